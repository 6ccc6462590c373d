//! Message contents that say which message they are, so that a wrong byte anywhere shows.

use bytes::Bytes;
use kyu_broker::{Attribute, AttributeValue, Content};

use crate::random::Random;

/// The attribute by which guards go in simulated queues.
pub(crate) const DEPENDENCY: &str = "dependency";

/// The content of message `number` with a body of `len` bytes (at least 8).
pub(crate) fn content(number: u64, len: usize) -> Bytes {
    let mut random = Random::new(number);
    let mut body = number.to_le_bytes().to_vec();
    while body.len() < len {
        body.extend_from_slice(&random.next().to_le_bytes());
    }
    body.truncate(len.max(8));
    // One in four depends on nothing.
    let dependency = Some(number % 4).filter(|n| *n > 0).map(|n| format!("dependency {n}"));
    let attributes = dependency.map(|dependency| Attribute {
        name: DEPENDENCY.to_owned(),
        data_type: "String".to_owned(),
        value: AttributeValue::Text(dependency),
    });
    Content { attributes: attributes.into_iter().collect(), ..Content::of(body) }.encode()
}

/// Returns the number of the message that an encoded content claims to be.
pub(crate) fn number_of(content: &Bytes) -> Option<u64> {
    let body = Content::decode(content.clone()).ok()?.body;
    body.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_names_its_message() {
        for len in [0, 8, 9, 1_000] {
            assert_eq!(number_of(&content(7, len)), Some(7));
        }
        assert_eq!(number_of(&Bytes::from_static(b"?")), None);
    }
}
