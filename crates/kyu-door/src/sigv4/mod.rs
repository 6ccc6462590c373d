//! AWS Signature Version 4: is this request signed with the secret of the key that it names?
//!
//! Both forms are understood: the `Authorization` header, and a presigned URL (`X-Amz-Signature`
//! and its siblings in the query). The body always counts: `UNSIGNED-PAYLOAD` and streaming
//! signatures are S3's and are refused here.

mod canonical;
mod claim;
mod time;

use std::sync::Mutex;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

pub use claim::{Claim, claimed_region};

/// A secret key, able to make the signing keys of each day, region and service.
pub struct Signer {
    secret: String,
    /// The latest scope and its key: four HMACs saved on nearly every request.
    latest: Mutex<Option<(String, [u8; 32])>>,
}

impl Signer {
    /// Signs with this secret.
    pub fn new(secret: String) -> Self {
        Self { secret, latest: Mutex::new(None) }
    }

    /// The HMAC of `text` with the key of `scope`, not yet finished so that the comparison can be
    /// in constant time.
    fn sign(&self, scope: &Scope<'_>, text: &[u8]) -> Option<Hmac<Sha256>> {
        let name = format!("{}/{}/{}", scope.date, scope.region, scope.service);
        let cached = self.latest.lock().ok().and_then(|latest| {
            latest.as_ref().filter(|(scope, _)| *scope == name).map(|(_, key)| *key)
        });
        let key = match cached {
            Some(key) => key,
            None => {
                let key = self.derive(scope)?;
                if let Ok(mut latest) = self.latest.lock() {
                    *latest = Some((name, key));
                }
                key
            }
        };
        keyed(&key, text)
    }

    fn derive(&self, scope: &Scope<'_>) -> Option<[u8; 32]> {
        let mut key = keyed(format!("AWS4{}", self.secret).as_bytes(), scope.date.as_bytes())?;
        for part in [scope.region, scope.service, "aws4_request"] {
            key = keyed(&key.finalize().into_bytes(), part.as_bytes())?;
        }
        Some(key.finalize().into_bytes().into())
    }
}

/// The scope that a signature is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Scope<'a> {
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

/// `None` never comes, as HMAC takes keys of any length; the type has it all the same.
pub(crate) fn keyed(key: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}

#[cfg(test)]
mod tests;
