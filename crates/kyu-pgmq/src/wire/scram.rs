//! SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677), as Postgres speaks it: the user's name
//! comes from the startup packet, and channel binding is not offered.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Rounds of PBKDF2, as Postgres has it (`SCRAM_SHA_256_DEFAULT_ITERATIONS`).
const ITERATIONS: u32 = 4_096;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 18;

/// The only mechanism that is offered.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

type Key = [u8; 32];

/// The part of a password that is kept: enough to check it, not enough to log in with.
#[derive(Clone)]
pub(super) struct Verifier {
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
    /// False for a user that does not exist: the conversation goes on so that nobody learns it.
    genuine: bool,
}

impl fmt::Debug for Verifier {
    /// Leaves the keys out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl Verifier {
    /// The verifier of a password; making it takes some milliseconds on purpose.
    pub(super) fn new(password: &str, salt: Vec<u8>) -> Self {
        let salted = salted_password(password.as_bytes(), &salt, ITERATIONS);
        let client_key = mac(&salted, &[b"Client Key"]);
        let stored_key = Sha256::digest(client_key).into();
        Self { salt, stored_key, server_key: mac(&salted, &[b"Server Key"]), genuine: true }
    }

    /// The verifier of a user that does not exist: the same salt for the same name, and no password
    /// fits.
    pub(super) fn mock(user: &str, secret: &[u8]) -> Self {
        let salt = mac(secret, &[user.as_bytes()]);
        let salt = salt.iter().take(SALT_BYTES).copied().collect();
        Self { salt, stored_key: Key::default(), server_key: Key::default(), genuine: false }
    }

    /// Bytes of randomness that a salt takes.
    pub(super) const fn salt_bytes() -> usize {
        SALT_BYTES
    }
}

/// The reason why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Not what the RFC says: 08P01.
    Malformed(&'static str),
    /// 28P01.
    WrongPassword,
}

/// The state between the client's first and last message.
pub(super) struct Exchange {
    verifier: Verifier,
    gs2_header: String,
    nonce: String,
    /// `client-first-message-bare , server-first-message ,`.
    said: String,
}

impl Exchange {
    /// Takes the client's first message; gives the server's. `random` is fresh.
    pub(super) fn begin(
        verifier: Verifier,
        client_first: &str,
        random: [u8; NONCE_BYTES],
    ) -> Result<(Self, String), Failed> {
        let malformed = Failed::Malformed("malformed SCRAM message");
        let (binding, rest) = client_first.split_once(',').ok_or(malformed.clone())?;
        match binding {
            "n" | "y" => {}
            _ => return Err(Failed::Malformed("channel binding is not offered")),
        }
        let (authzid, bare) = rest.split_once(',').ok_or(malformed.clone())?;
        if !authzid.is_empty() {
            return Err(Failed::Malformed(
                "client uses authorization identity, but it is not supported",
            ));
        }
        let mut attributes = bare.split(',');
        // The name was told at startup; this one is ignored, as Postgres does.
        let named = attributes.next().is_some_and(|name| name.starts_with("n="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let (true, Some(nonce)) = (named, nonce.filter(|nonce| !nonce.is_empty())) else {
            return Err(malformed);
        };
        let nonce = format!("{nonce}{}", BASE64.encode(random));
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", BASE64.encode(&verifier.salt));
        let said = format!("{bare},{server_first},");
        let gs2_header = format!("{binding},,");
        Ok((Self { verifier, gs2_header, nonce, said }, server_first))
    }

    /// Takes the client's last message; gives the server's.
    pub(super) fn finish(self, client_final: &str) -> Result<String, Failed> {
        let malformed = Failed::Malformed("malformed SCRAM message");
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(malformed.clone())?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next().and_then(|binding| binding.strip_prefix("c="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if binding != Some(BASE64.encode(&self.gs2_header).as_str()) {
            return Err(Failed::Malformed("unexpected SCRAM channel-binding attribute"));
        }
        if nonce != Some(self.nonce.as_str()) {
            return Err(Failed::Malformed("invalid SCRAM response"));
        }
        let proof: Key =
            BASE64.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(malformed)?;
        let said = [self.said.as_bytes(), without_proof.as_bytes()];
        let signature = mac(&self.verifier.stored_key, &said);
        let mut client_key = Key::default();
        for ((to, proof), signature) in client_key.iter_mut().zip(proof).zip(signature) {
            *to = proof ^ signature;
        }
        let given: Key = Sha256::digest(client_key).into();
        // In time that does not depend on where they differ.
        let differences = given
            .iter()
            .zip(self.verifier.stored_key)
            .fold(0, |differences, (given, kept)| differences | (given ^ kept));
        if differences != 0 || !self.verifier.genuine {
            return Err(Failed::WrongPassword);
        }
        Ok(format!("v={}", BASE64.encode(mac(&self.verifier.server_key, &said))))
    }
}

/// PBKDF2 with HMAC-SHA-256, one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let mut round = mac(password, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = round;
    for _ in 1..iterations {
        round = mac(password, &[&round]);
        for (sum, round) in sum.iter_mut().zip(round) {
            *sum ^= round;
        }
    }
    sum
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Key {
    // HMAC takes keys of any length; the type has the error all the same.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Key::default() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The client's side, from the same RFC.
#[cfg(test)]
pub(super) fn client_final(password: &str, client_first_bare: &str, server_first: &str) -> String {
    let field = |name: &str| {
        server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap().to_owned()
    };
    let salt = BASE64.decode(field("s=")).unwrap();
    let salted = salted_password(password.as_bytes(), &salt, field("i=").parse().unwrap());
    let client_key = mac(&salted, &[b"Client Key"]);
    let stored_key: Key = Sha256::digest(client_key).into();
    let without_proof = format!("c=biws,r={}", field("r="));
    let said = format!("{client_first_bare},{server_first},{without_proof}");
    let signature = mac(&stored_key, &[said.as_bytes()]);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
    format!("{without_proof},p={}", BASE64.encode(proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677() {
        let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let exchange = Exchange {
            verifier: Verifier::new("pencil", salt),
            gs2_header: "n,,".into(),
            nonce: "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".into(),
            said: "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                   s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
                .into(),
        };
        let last = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let answer = exchange.finish(last);
        assert_eq!(answer.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn the_right_password_and_no_other_and_no_other_user() {
        let verifier = Verifier::new("s3cret", vec![7; SALT_BYTES]);
        let first = "n,,n=,r=abc";
        for (verifier, password, accepted) in [
            (verifier.clone(), "s3cret", true),
            (verifier.clone(), "S3cret", false),
            (verifier, "", false),
            (Verifier::mock("nobody", b"x"), "s3cret", false),
        ] {
            let (exchange, said) = Exchange::begin(verifier, first, [1; NONCE_BYTES]).unwrap();
            let answer = exchange.finish(&client_final(password, "n=,r=abc", &said));
            assert_eq!(answer.is_ok(), accepted, "{password}");
        }
    }

    #[test]
    fn malformed_messages() {
        let begin = |first: &str| {
            Exchange::begin(Verifier::mock("u", b"x"), first, [0; NONCE_BYTES]).map(drop)
        };
        for first in ["", "n", "n,,", "p=tls-unique,,n=,r=a", "n,a=x,n=,r=a", "n,,r=a", "n,,n=,r="]
        {
            assert!(matches!(begin(first), Err(Failed::Malformed(_))), "{first}");
        }
        for last in ["", "c=biws", "c=xxxx,r=,p=", "c=biws,r=other,p=AA=="] {
            let (exchange, _) =
                Exchange::begin(Verifier::mock("u", b"x"), "n,,n=,r=a", [0; 18]).unwrap();
            assert!(matches!(exchange.finish(last), Err(Failed::Malformed(_))), "{last}");
        }
        assert_eq!(Verifier::mock("u", b"x").salt, Verifier::mock("u", b"x").salt);
    }
}
