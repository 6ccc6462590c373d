//! A self-signed X.509 certificate around the signing key (RFC 5280), which is what SNS' consumers
//! take the public key from. One shape, so that a few lines of DER replace a library.

use super::{Hash, KeyError, sign_with};

/// `SEQUENCE`, `SET`, ...: the tags of X.690 that a certificate needs.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;

/// `sha256WithRSAEncryption` with its NULL parameter (RFC 4055).
const ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// `commonName`.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
const NAME: &str = "sns.kyu.internal";

/// The certificate, in DER. `public_key` is a SubjectPublicKeyInfo. It is valid from 2020 on and
/// has no end (RFC 5280 section 4.1.2.5): its trust comes from where it was fetched.
pub(super) fn of(key: &rsa::PrivateKey, public_key: &[u8]) -> Result<Vec<u8>, KeyError> {
    let name = {
        let common_name = [COMMON_NAME, &der(UTF8_STRING, NAME.as_bytes())].concat();
        der(SEQUENCE, &der(SET, &der(SEQUENCE, &common_name)))
    };
    let validity = [der(UTC_TIME, b"200101000000Z"), der(GENERALIZED_TIME, b"99991231235959Z")];
    let version_3 = [0xa0, 0x03, INTEGER, 1, 2];
    let body = [
        &version_3[..],
        &der(INTEGER, &[1]),
        ALGORITHM,
        &name,
        &der(SEQUENCE, &validity.concat()),
        &name,
        public_key,
    ];
    let body = der(SEQUENCE, &body.concat());
    let signature = sign_with(key, Hash::Sha256, &body)?;
    let signature = der(BIT_STRING, &[&[0], signature.as_slice()].concat());
    Ok(der(SEQUENCE, &[&body, ALGORITHM, &signature].concat()))
}

/// Tag, length, contents.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let digits = length.to_be_bytes();
    let digits = digits.get(length.leading_zeros() as usize / 8..).unwrap_or_default();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    out.extend_from_slice(contents);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(der(4, b"a"), [4, 1, b'a']);
        assert_eq!(der(4, &[7; 0x7f])[..2], [4, 0x7f]);
        assert_eq!(der(4, &[7; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(der(4, &[7; 0x1234])[..4], [4, 0x82, 0x12, 0x34]);
    }
}
