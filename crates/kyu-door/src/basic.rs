//! HTTP Basic credentials (RFC 7617) made of an access key: id and secret.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::Mac;

use crate::access::Denied;
use crate::http::{Head, header};
use crate::sigv4::keyed;

/// A secret, kept to be compared in a time that says nothing of where a guess goes wrong.
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(secret: &str) -> Self {
        Self(secret.to_owned())
    }

    /// True if that is the secret. MACs are compared and not texts, so that neither content nor
    /// length of the secret is in the time it takes.
    pub(crate) fn is(&self, given: &str) -> bool {
        let mac = |key: &str| keyed(key.as_bytes(), b"kyu basic credentials");
        match (mac(&self.0), mac(given)) {
            (Some(expected), Some(given)) => {
                expected.verify_slice(&given.finalize().into_bytes()).is_ok()
            }
            _ => false,
        }
    }
}

/// Id and secret of a request; `None` if it has no such credentials.
pub(crate) fn pair(head: &Head) -> Result<Option<(String, String)>, Denied> {
    let Some(value) = head.headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().unwrap_or_default();
    let (scheme, encoded) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let decoded = BASE64.decode(encoded.trim()).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = text.as_deref().and_then(|text| text.split_once(':'));
    let pair = pair.map(|(id, secret)| Some((id.to_owned(), secret.to_owned())));
    pair.ok_or_else(|| Denied::Incomplete("Basic credentials are base64 of ID:SECRET.".into()))
}
