//! The MD5 sums by which SDKs check what SQS stored, and the SHA-256 of content-based
//! deduplication.

use kyu_broker::{Attribute, AttributeValue};
use md5::{Digest, Md5};
use serde::{Serialize, Serializer};
use sha2::Sha256;

/// An MD5 sum; lower-case hex on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Md5Sum([u8; 16]);

impl Serialize for Md5Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 32];
        push_hex(&self.0, &mut text);
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// The sum of a message body.
pub(crate) fn of_body(body: &[u8]) -> Md5Sum {
    Md5Sum(Md5::digest(body).into())
}

/// The sum of message attributes, `None` if there are none: for each in order of name, length and
/// bytes of name and of type, a byte for the kind of value, and length and bytes of the value.
pub(crate) fn of_attributes<'a>(
    attributes: impl IntoIterator<Item = &'a Attribute>,
) -> Option<Md5Sum> {
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    let mut sorted: Vec<&Attribute> = attributes.into_iter().collect();
    if sorted.is_empty() {
        return None;
    }
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut sum = Md5::new();
    let push = |sum: &mut Md5, bytes: &[u8]| {
        sum.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        sum.update(bytes);
    };
    for attribute in sorted {
        push(&mut sum, attribute.name.as_bytes());
        push(&mut sum, attribute.data_type.as_bytes());
        match &attribute.value {
            AttributeValue::Text(text) => {
                sum.update([TEXT]);
                push(&mut sum, text.as_bytes());
            }
            AttributeValue::Binary(bytes) => {
                sum.update([BINARY]);
                push(&mut sum, bytes);
            }
        }
    }
    Some(Md5Sum(sum.finalize().into()))
}

/// The deduplication id of a message that brings none: SHA-256 of the body, in hex.
pub(crate) fn dedup_id_of(body: &[u8]) -> String {
    let mut text = [0; 64];
    push_hex(&Sha256::digest(body), &mut text);
    text.into_iter().map(char::from).collect()
}

fn push_hex(bytes: &[u8], text: &mut [u8]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, value: &str) -> Attribute {
        Attribute {
            name: name.into(),
            data_type: "String".into(),
            value: AttributeValue::Text(value.into()),
        }
    }

    fn hex(sum: Option<Md5Sum>) -> String {
        serde_json::to_value(sum).unwrap().as_str().unwrap_or_default().to_owned()
    }

    /// Sums that AWS answered, as recorded in LocalStack's validated snapshots.
    #[test]
    fn sums_recorded_from_aws() {
        assert_eq!(hex(Some(of_body(b"msg"))), "6e2baaf3b97dbeef01c0043275f9a0e7");
        let all = [text("Help.Me", "Me"), text("Hello", "There"), text("General", "Kenobi")];
        assert_eq!(hex(of_attributes(&all)), "4c360f3fdafd970e05fae2f149d997f5");
        assert_eq!(hex(of_attributes(&all[1..])), "fca026605781cb4126a1e9044df24232");
        assert_eq!(hex(of_attributes(&all[1..2])), "a311262e065454b75da111d535b8dacd");
        let binary = Attribute {
            name: "attr1".into(),
            data_type: "Binary".into(),
            value: AttributeValue::Binary(
                b"traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"[..]
                    .into(),
            ),
        };
        assert_eq!(hex(of_attributes([&binary])), "8cbe4db156db8a94db8b801b7addb984");
        assert_eq!(of_attributes([]), None);
    }

    #[test]
    fn content_based_deduplication_is_sha_256() {
        let id = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(dedup_id_of(b"abc"), id);
    }
}
