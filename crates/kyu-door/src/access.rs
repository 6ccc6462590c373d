//! The check of who may call: either everybody on this machine, or whoever holds a configured key.

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::basic::{self, Secret};
use crate::http::{Client, Head, header};
use crate::sigv4::{self, Signer};

/// A configured key pair and the user it stands for.
#[derive(Clone)]
pub struct Credential {
    /// Public half; sent with each request.
    pub access_key_id: String,
    /// Secret half; never sent, never shown.
    pub secret_access_key: String,
    /// Whom doors name as the caller; `None` for the access key id itself.
    pub user: Option<String>,
}

impl Credential {
    /// The public and the secret half.
    pub fn pair(&self) -> (&str, &str) {
        (&self.access_key_id, &self.secret_access_key)
    }
}

impl fmt::Debug for Credential {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("access_key_id", &self.access_key_id).finish()
    }
}

/// A caller, as the credentials of a request name it.
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
    /// No credentials are configured, and the request is for this host, which is no name of this
    /// machine that is known here.
    ForeignHost(String),
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

/// The words of a [`Denied::ForeignHost`] for people, in every dialect.
pub fn foreign_host_text(host: &str) -> String {
    format!(
        "This server has no credentials configured, and it knows no name \"{host}\" of its machine. \
         If that is one, start the server with --allowed-host NAME; this keeps web pages out whose \
         names point to this machine."
    )
}

/// Longest host that is repeated in an error: the longest name there can be.
const MAX_HOST_CHARS: usize = 255;

/// The rule of one port.
#[derive(Debug)]
pub enum Access {
    /// Loopback peers only; signatures, if any, are not looked at.
    Loopback(HostNames),
    /// Signed requests only, from anywhere.
    Keys(Keys),
}

/// Names of this machine, besides those that nobody else can give to it; in lower case.
#[derive(Debug, Default)]
pub struct HostNames(Vec<String>);

/// Configured credentials by access key id.
pub struct Keys(HashMap<String, Key>);

struct Key {
    user: Arc<str>,
    signer: Signer,
    secret: Secret,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.0.len()).finish()
    }
}

impl Access {
    /// Requires keys if there are any, and loopback otherwise.
    pub fn new(credentials: Vec<Credential>) -> Self {
        Self::with_hosts(credentials, &[])
    }

    /// As [`Access::new`]. Without keys, requests may also name this machine by one of `hosts`,
    /// which a proxy or the system's host file gives to it.
    pub fn with_hosts(credentials: Vec<Credential>, hosts: &[String]) -> Self {
        if credentials.is_empty() {
            let names = hosts.iter().map(|host| host.to_ascii_lowercase());
            return Self::Loopback(HostNames(names.collect()));
        }
        let keys = credentials.into_iter().map(|credential| {
            let user = credential.user.as_deref().unwrap_or(&credential.access_key_id).into();
            let secret = Secret::new(&credential.secret_access_key);
            let signer = Signer::new(credential.secret_access_key);
            (credential.access_key_id, Key { user, signer, secret })
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
        let principal = match self {
            Self::Loopback(names) => names.admit(head, peer)?,
            Self::Keys(keys) => {
                let claim = sigv4::Claim::of(head)?;
                let key = keys.0.get(claim.access_key_id()).ok_or(Denied::UnknownKey)?;
                claim.verify(&key.signer, head, body, now_s)?;
                Principal::User(Arc::clone(&key.user))
            }
        };
        principal.stands_behind(head);
        Ok(principal)
    }

    /// Checks that the signature of an admitted request covers a header by which the door goes. Who
    /// can send a request on, and change it on the way, must not change its meaning.
    pub fn check_signs(&self, head: &Head, name: &str) -> Result<(), Denied> {
        match self {
            Self::Loopback(_) => Ok(()),
            Self::Keys(_) if !head.headers.contains_key(name) => Ok(()),
            Self::Keys(_) => match sigv4::Claim::of(head)?.signs(name) {
                true => Ok(()),
                false => Err(Denied::Incomplete(format!("'{name}' must be a signed header."))),
            },
        }
    }

    /// As [`Access::admit`], for doors whose clients are people, programs without an AWS SDK, and
    /// browsers: HTTP Basic (RFC 7617) with the same key pair is as good as a signature.
    pub fn admit_api(
        &self,
        head: &Head,
        body: &[u8],
        peer: SocketAddr,
        now_s: u64,
    ) -> Result<Principal, Denied> {
        let Self::Keys(keys) = self else { return self.admit(head, body, peer, now_s) };
        let Some((id, secret)) = basic::pair(head)? else {
            return self.admit(head, body, peer, now_s);
        };
        // Browsers add what they were once told to requests of any page.
        check_same_site(head)?;
        let key = keys.0.get(&id).ok_or(Denied::UnknownKey)?;
        if !key.secret.is(&secret) {
            return Err(Denied::WrongSignature);
        }
        let principal = Principal::User(Arc::clone(&key.user));
        principal.stands_behind(head);
        Ok(principal)
    }
}

impl Principal {
    /// Notes who the request's connection belongs to: what comes over it is paid from that
    /// principal's memory from now on.
    fn stands_behind(&self, head: &Head) {
        let Some(client) = head.extensions.get::<Client>() else { return };
        client.standing().prove(|| match self {
            Self::Local => Arc::from(""),
            Self::User(user) => Arc::clone(user),
        });
    }
}

impl HostNames {
    /// An open local port is within reach of every web page in the user's browser. Browsers say
    /// which page they act for; and a page whose own name was made to point to 127.0.0.1, so that
    /// for its browser it and this port are one site (DNS rebinding), is known by that name.
    fn admit(&self, head: &Head, peer: SocketAddr) -> Result<Principal, Denied> {
        if !peer.ip().to_canonical().is_loopback() {
            return Err(Denied::NotLoopback);
        }
        check_same_site(head)?;
        // Every browser sends one.
        let host = head.headers.get(header::HOST).map(|host| host.as_bytes());
        match host.filter(|host| !self.has(host)) {
            Some(host) => Err(Denied::ForeignHost(
                String::from_utf8_lossy(host).chars().take(MAX_HOST_CHARS).collect(),
            )),
            None => Ok(Principal::Local),
        }
    }

    fn has(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        if host.starts_with('[') {
            let end = host.find(']').unwrap_or(host.len());
            return host.get(1..end).is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
        }
        let name = host.split(':').next().unwrap_or_default().trim_end_matches('.');
        let name = name.to_ascii_lowercase();
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<Ipv4Addr>().is_ok()
            || self.0.contains(&name)
    }
}

/// Browsers say which page a request comes from; nobody else has to.
fn check_same_site(head: &Head) -> Result<(), Denied> {
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
    Ok(())
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

    /// `Basic` of `AKID:s:ecret`.
    const BASIC: &str = "Basic QUtJRDpzOmVjcmV0";

    fn admit_api(access: &Access, headers: &[(&str, &str)]) -> Result<Principal, Denied> {
        access.admit_api(&head(headers), b"", "192.0.2.1:5".parse().unwrap(), 0)
    }

    fn keys(secret: &str) -> Access {
        Access::new(vec![Credential {
            access_key_id: "AKID".into(),
            secret_access_key: secret.into(),
            user: Some("ann".into()),
        }])
    }

    #[test]
    fn the_key_pair_as_basic_credentials() {
        let right = keys("s:ecret");
        let user = Ok(Principal::User("ann".into()));
        assert_eq!(admit_api(&right, &[("authorization", BASIC)]), user);
        assert_eq!(admit_api(&right, &[("authorization", &BASIC.replace("Basic", "bASIC"))]), user);
        let wrong = Err(Denied::WrongSignature);
        assert_eq!(admit_api(&keys("other"), &[("authorization", BASIC)]), wrong);
        assert_eq!(admit_api(&keys("s:ecret2"), &[("authorization", BASIC)]), wrong);
        assert_eq!(admit_api(&right, &[]), Err(Denied::NoSignature));
        let unknown = [("authorization", "Basic QTpi")];
        assert_eq!(admit_api(&right, &unknown), Err(Denied::UnknownKey));
        for broken in ["Basic", "Basic !", "Basic QQ==", "Bearer x"] {
            let refused = admit_api(&right, &[("authorization", broken)]);
            assert!(matches!(refused, Err(Denied::Incomplete(_))), "{broken}: {refused:?}");
        }
    }

    /// The header chooses the action: a signature without it could be replayed for another one.
    #[test]
    fn a_header_that_chooses_the_action_must_be_signed() {
        let check = |access: &Access, signed: &str, more: &[(&str, &str)]| {
            let value = format!(
                "AWS4-HMAC-SHA256 Credential=A/20261121/r/s/aws4_request, SignedHeaders={signed}, \
                 Signature={}",
                "0".repeat(64)
            );
            let all = [&[("authorization", &*value), ("x-amz-date", "20261121T040000Z")], more];
            access.check_signs(&head(&all.concat()), "x-amz-target")
        };
        let (access, target) = (keys("s"), [("x-amz-target", "AmazonSQS.DeleteQueue")]);
        assert_eq!(check(&access, "host;x-amz-date;x-amz-target", &target), Ok(()));
        let refused = check(&access, "host;x-amz-date", &target);
        assert!(matches!(refused, Err(Denied::Incomplete(_))), "{refused:?}");
        assert_eq!(check(&access, "host;x-amz-date", &[]), Ok(()));
        assert_eq!(check(&Access::new(vec![]), "host", &target), Ok(()));
    }

    #[test]
    fn a_browser_that_knows_the_key_pair_sends_it_for_no_other_page() {
        let with = |name, value| [("authorization", BASIC), ("host", "q.example"), (name, value)];
        let access = keys("s:ecret");
        assert!(admit_api(&access, &with("origin", "https://q.example")).is_ok());
        let foreign = with("origin", "https://example.com");
        assert_eq!(admit_api(&access, &foreign), Err(Denied::CrossSite));
        let foreign = with("sec-fetch-site", "cross-site");
        assert_eq!(admit_api(&access, &foreign), Err(Denied::CrossSite));
    }

    #[test]
    fn without_keys_the_host_must_be_a_name_that_nobody_else_can_give_or_one_that_was_said() {
        let access = Access::with_hosts(vec![], &["Queue.test".into()]);
        let admit = |host| {
            let (head, peer) = (head(&[("host", host)]), "127.0.0.1:5".parse().unwrap());
            assert_eq!(access.admit(&head, b"", peer, 0), access.admit_api(&head, b"", peer, 0));
            access.admit(&head, b"", peer, 0)
        };
        for own in [
            "localhost",
            "LOCALHOST:9324",
            "a.localhost",
            "127.0.0.1:1",
            "[::1]:9324",
            "queue.test:9324",
            "QUEUE.TEST.",
        ] {
            assert_eq!(admit(own), Ok(Principal::Local), "{own}");
        }
        for foreign in [
            "rebound.example:9324",
            "localhost.example",
            "[evil",
            "",
            "127.0.0.1.nip.io",
            "a.queue.test",
        ] {
            assert_eq!(admit(foreign), Err(Denied::ForeignHost(foreign.into())), "{foreign}");
        }
        assert!(access.admit(&head(&[]), b"", "127.0.0.1:5".parse().unwrap(), 0).is_ok());
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
