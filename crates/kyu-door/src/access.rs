//! Who may call: either everybody on this machine, or whoever holds a configured key.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::http::{Head, header};
use crate::sigv4::{self, Signer};

/// A configured key pair and the user it stands for.
pub struct Credential {
    /// Public half; sent with each request.
    pub access_key_id: String,
    /// Secret half; never sent, never shown.
    pub secret_access_key: String,
    /// Whom doors name as the caller; `None` for the access key id itself.
    pub user: Option<String>,
}

impl fmt::Debug for Credential {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("access_key_id", &self.access_key_id).finish()
    }
}

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Somebody on this machine; no credentials are configured.
    Local,
    /// The holder of a configured key.
    User(Arc<str>),
}

/// Why a request is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// No credentials are configured, and the peer is on another machine.
    NotLoopback,
    /// No credentials are configured, and a web page of another site sent the request.
    CrossSite,
    /// Nothing says who is calling.
    NoSignature,
    /// A signature that lacks a part, or has one that cannot be read.
    Incomplete(String),
    /// The access key id is none of ours.
    UnknownKey,
    /// The signature is not the one that our secret makes.
    WrongSignature,
    /// Signed too long ago, or for too far in the future.
    Expired(String),
}

/// The rule of one port.
#[derive(Debug)]
pub enum Access {
    /// Loopback peers only; signatures, if any, are not looked at.
    Loopback,
    /// Signed requests only, from anywhere.
    Keys(Keys),
}

/// Configured credentials by access key id.
pub struct Keys(HashMap<String, Key>);

struct Key {
    user: Arc<str>,
    signer: Signer,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.len()).finish()
    }
}

impl Access {
    /// Requires keys if there are any, and loopback otherwise.
    pub fn new(credentials: Vec<Credential>) -> Self {
        if credentials.is_empty() {
            return Self::Loopback;
        }
        let keys = credentials.into_iter().map(|credential| {
            let user = credential.user.as_deref().unwrap_or(&credential.access_key_id).into();
            let signer = Signer::new(credential.secret_access_key);
            (credential.access_key_id, Key { user, signer })
        });
        Self::Keys(Keys(keys.collect()))
    }

    /// Decides whether a request is let in, and as whom. `now_s` is Unix time in seconds.
    pub fn admit(
        &self,
        head: &Head,
        body: &[u8],
        peer: SocketAddr,
        now_s: u64,
    ) -> Result<Principal, Denied> {
        match self {
            Self::Loopback => admit_local(head, peer),
            Self::Keys(keys) => {
                let claim = sigv4::Claim::of(head)?;
                let key = keys.0.get(claim.access_key_id()).ok_or(Denied::UnknownKey)?;
                claim.verify(&key.signer, head, body, now_s)?;
                Ok(Principal::User(Arc::clone(&key.user)))
            }
        }
    }
}

/// An open local port is within reach of every web page in the user's browser; browsers say so.
fn admit_local(head: &Head, peer: SocketAddr) -> Result<Principal, Denied> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err(Denied::NotLoopback);
    }
    let headers = &head.headers;
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if matches!(site, Some(b"cross-site" | b"same-site")) {
        return Err(Denied::CrossSite);
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let host = headers.get(header::HOST).map(|host| host.as_bytes());
        let page = origin.as_bytes();
        let page = page.strip_prefix(b"http://").or_else(|| page.strip_prefix(b"https://"));
        if page.is_none() || page != host {
            return Err(Denied::CrossSite);
        }
    }
    Ok(Principal::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut request = hyper::Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn admit(peer: &str, headers: &[(&str, &str)]) -> Result<Principal, Denied> {
        Access::new(vec![]).admit(&head(headers), b"", peer.parse().unwrap(), 0)
    }

    #[test]
    fn without_keys_only_this_machine_is_served() {
        assert_eq!(admit("127.0.0.1:5", &[]), Ok(Principal::Local));
        assert_eq!(admit("[::1]:5", &[]), Ok(Principal::Local));
        assert_eq!(admit("[::ffff:127.0.0.1]:5", &[]), Ok(Principal::Local));
        assert_eq!(admit("192.0.2.1:5", &[]), Err(Denied::NotLoopback));
        assert_eq!(admit("[2001:db8::1]:5", &[]), Err(Denied::NotLoopback));
    }

    #[test]
    fn a_web_page_of_another_site_cannot_use_the_local_port() {
        let host = ("host", "localhost:9324");
        for foreign in [
            ("origin", "https://example.com"),
            ("origin", "null"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "cross-site"),
        ] {
            assert_eq!(admit("127.0.0.1:5", &[host, foreign]), Err(Denied::CrossSite));
        }
        let own = ("origin", "http://localhost:9324");
        assert_eq!(admit("127.0.0.1:5", &[host, own]), Ok(Principal::Local));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let credential = Credential {
            access_key_id: "AKID".into(),
            secret_access_key: "hush".into(),
            user: None,
        };
        assert!(!format!("{credential:?}").contains("hush"));
        assert!(!format!("{:?}", Access::new(vec![credential])).contains("hush"));
    }
}
