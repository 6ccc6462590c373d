//! The claim of a request about its signer, and the check that it holds.

use std::borrow::Cow;

use hmac::Mac;
use percent_encoding::percent_decode_str;

use super::{Scope, Signer, canonical, time};
use crate::access::Denied;
use crate::http::{Head, header};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The most by which the signer's clock may be off.
const MAX_SKEW_S: u64 = 15 * 60;
/// Longest life of a presigned URL: seven days.
const MAX_EXPIRES_S: u64 = 7 * 86_400;

/// The parts of a signature, not yet believed.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: [u8; 32],
    signed_at: Cow<'a, str>,
    /// Life of a presigned URL; `None` for a signed header.
    expires_s: Option<u64>,
}

/// The region that a request says it is signed for, whether or not that is true; `None` if it says
/// none that could be one.
pub fn claimed_region(head: &Head) -> Option<String> {
    /// Longer ones are no names of regions.
    const MAX_REGION_BYTES: usize = 32;
    let header = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(value) => value.split_once("Credential=")?.1.split([',', ' ']).next()?.into(),
        None => {
            let mut pairs = head.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(name, _)| *name == "X-Amz-Credential")?;
            percent_decode_str(value).decode_utf8().ok()?
        }
    };
    let region = credential.split('/').nth(2)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let could_be = (1..=MAX_REGION_BYTES).contains(&region.len()) && region.bytes().all(plain);
    could_be.then(|| region.to_owned())
}

impl<'a> Claim<'a> {
    /// Reads the signature of a request, from its header or its query.
    pub fn of(head: &'a Head) -> Result<Self, Denied> {
        if let Some(value) = head.headers.get(header::AUTHORIZATION) {
            let value =
                value.to_str().map_err(|_| incomplete("Authorization header is not text."))?;
            let date = head.headers.get("x-amz-date").and_then(|date| date.to_str().ok());
            return Self::of_header(value, date);
        }
        match head.uri.query() {
            Some(query) if query.contains("X-Amz-Signature=") => Self::of_query(query),
            _ => Err(Denied::NoSignature),
        }
    }

    fn of_header(value: &'a str, date: Option<&'a str>) -> Result<Self, Denied> {
        let Some(parts) = value.strip_prefix(ALGORITHM) else {
            return Err(incomplete("Unsupported AWS 'algorithm'; it must be AWS4-HMAC-SHA256."));
        };
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in parts.split(',') {
            match part.trim().split_once('=') {
                Some(("Credential", value)) => credential = Some(value),
                Some(("SignedHeaders", value)) => signed_headers = Some(value),
                Some(("Signature", value)) => signature = Some(value),
                _ => return Err(incomplete("Authorization header has a part without '='.")),
            }
        }
        let missing =
            |what: &str| incomplete(&format!("Authorization header requires '{what}' parameter."));
        Ok(Self {
            credential: credential.ok_or_else(|| missing("Credential"))?.into(),
            signed_headers: signed_headers.ok_or_else(|| missing("SignedHeaders"))?.into(),
            signature: signature_bytes(signature.ok_or_else(|| missing("Signature"))?)?,
            signed_at: date
                .ok_or_else(|| {
                    incomplete("Authorization header requires existence of an 'X-Amz-Date' header.")
                })?
                .into(),
            expires_s: None,
        })
    }

    fn of_query(query: &'a str) -> Result<Self, Denied> {
        let part = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
            let value = value.ok_or_else(|| incomplete(&format!("The query lacks '{name}'.")))?;
            percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| incomplete(&format!("'{name}' is not text.")))
        };
        if part("X-Amz-Algorithm")? != ALGORITHM {
            return Err(incomplete("Unsupported X-Amz-Algorithm; it must be AWS4-HMAC-SHA256."));
        }
        let expires_s = part("X-Amz-Expires")?.parse().ok().filter(|s| *s <= MAX_EXPIRES_S);
        Ok(Self {
            credential: part("X-Amz-Credential")?,
            signed_headers: part("X-Amz-SignedHeaders")?,
            signature: signature_bytes(&part("X-Amz-Signature")?)?,
            signed_at: part("X-Amz-Date")?,
            expires_s: Some(expires_s.ok_or_else(|| {
                incomplete("X-Amz-Expires must be a number of seconds, at most 604800.")
            })?),
        })
    }

    /// The key that the request says it was signed with.
    pub fn access_key_id(&self) -> &str {
        self.credential.split('/').next().unwrap_or_default()
    }

    /// True if the signature covers a header, whose name is in lower case.
    pub fn signs(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }

    /// Checks time and signature.
    pub fn verify(
        &self,
        signer: &Signer,
        head: &Head,
        body: &[u8],
        now_s: u64,
    ) -> Result<(), Denied> {
        let scope = self.scope()?;
        self.check_time(&scope, now_s)?;
        let names: Vec<&str> = self.signed_headers.split(';').collect();
        if !self.signs("host") || !names.is_sorted() {
            return Err(incomplete(
                "'Host' must be a signed header, and signed headers be sorted.",
            ));
        }
        for path in canonical::paths(head.uri.path()) {
            let hash = canonical::hash(head, &path, &self.signed_headers, body)?;
            let text = format!(
                "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{hash}",
                self.signed_at, scope.date, scope.region, scope.service
            );
            let mac = signer.sign(&scope, text.as_bytes()).ok_or(Denied::WrongSignature)?;
            // Takes the same time wherever the first difference is.
            if mac.verify_slice(&self.signature).is_ok() {
                return Ok(());
            }
        }
        Err(Denied::WrongSignature)
    }

    fn scope(&self) -> Result<Scope<'_>, Denied> {
        let mut parts = self.credential.split('/').skip(1);
        match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(date), Some(region), Some(service), Some("aws4_request"), None) => {
                Ok(Scope { date, region, service })
            }
            _ => Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements, \
                 e.g. keyid/date/region/service/term.",
            )),
        }
    }

    fn check_time(&self, scope: &Scope<'_>, now_s: u64) -> Result<(), Denied> {
        let signed_at_s = time::parse(&self.signed_at)
            .filter(|_| self.signed_at.get(..8) == Some(scope.date))
            .ok_or_else(|| incomplete("X-Amz-Date is no time, or not of the credential's day."))?;
        let life_s = self.expires_s.unwrap_or(MAX_SKEW_S);
        if signed_at_s.saturating_add(life_s) < now_s {
            return Err(Denied::Expired(format!(
                "Signature expired: {} is more than {life_s} seconds ago.",
                self.signed_at
            )));
        }
        if signed_at_s > now_s.saturating_add(MAX_SKEW_S) {
            return Err(Denied::Expired(format!(
                "Signature not yet current: {} is still in the future.",
                self.signed_at
            )));
        }
        Ok(())
    }
}

fn signature_bytes(hex: &str) -> Result<[u8; 32], Denied> {
    let mut bytes = [0; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return Err(incomplete("The signature must be 64 hexadecimal digits."));
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let nibble = |digit: u8| {
            let value = char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
            value.ok_or_else(|| incomplete("The signature must be 64 hexadecimal digits."))
        };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Ok(bytes)
}

fn incomplete(reason: &str) -> Denied {
    Denied::Incomplete(reason.to_owned())
}
