//! Receipt handles: a receipt in base64, opaque to clients.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyu_broker::Receipt;
use serde::{Serialize, Serializer};

use crate::error::{Error, quoted};

/// Length of a handle: 24 bytes in base64, without padding.
const HANDLE_BYTES: usize = 32;

/// A receipt as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub(crate) Receipt);

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; HANDLE_BYTES];
        let length = BASE64.encode_slice(self.0.to_bytes(), &mut text).unwrap_or_default();
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok());
        serializer.serialize_str(text.unwrap_or_default())
    }
}

/// Reads a handle that a client sent.
pub(crate) fn parse(handle: &str) -> Result<Receipt, Error> {
    let mut bytes = [0; 2 * Receipt::BYTES];
    let length = if handle.len() == HANDLE_BYTES {
        BASE64.decode_slice(handle, &mut bytes).unwrap_or_default()
    } else {
        0
    };
    bytes.get(..length).and_then(Receipt::from_bytes).ok_or_else(|| {
        Error::ReceiptHandleIsInvalid(format!(
            "The input receipt handle \"{}\" is not a valid receipt handle.",
            quoted(handle)
        ))
    })
}

/// The handle belongs to another queue.
pub(crate) fn foreign(handle: &str) -> Error {
    Error::ReceiptHandleIsInvalid(format!(
        "The receipt handle \"{}\" is not valid for this queue.",
        quoted(handle)
    ))
}

/// The handle's lease has lapsed on a FIFO queue.
pub(crate) fn expired(handle: &str) -> Error {
    Error::invalid(handle, "ReceiptHandle", "The receipt handle has expired.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyu_broker::QueueId;
    use proptest::prelude::*;

    #[test]
    fn a_handle_is_read_back_and_nothing_else_is() {
        let receipt = Receipt { queue: QueueId(1), seq: 2, delivery: 3, epoch: 4 };
        let handle = serde_json::to_value(Handle(receipt)).unwrap();
        let handle = handle.as_str().unwrap();
        assert_eq!(handle.len(), HANDLE_BYTES);
        assert_eq!(parse(handle), Ok(receipt));
        assert!(parse(&handle[1..]).is_err());
        assert!(parse(&handle.replacen(&handle[..1], "!", 1)).is_err());
        assert!(parse("").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_calmly(text in ".{0,64}") {
            prop_assert!(parse(&text).is_err());
        }
    }
}
