//! The origin of a call: the scheme and host by which its client reaches this server, for the URLs
//! in answers. A proxy that ends TLS is between them as a rule, so that the connection knows neither.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::http::{Head, HeaderMap, header};

/// Longest name of a host (RFC 1035 section 2.3.4), with a port.
const MAX_AUTHORITY_BYTES: usize = 261;
/// Longest `--public-url`.
const MAX_URL_BYTES: usize = 2_048;

/// The beginning of URLs: `https://queue.example:8443`, and of a configured one the path before
/// ours. It has no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The URL so far.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = String;

    /// Reads `http://HOST[:PORT][/PATH]` or the same with `https`.
    fn from_str(url: &str) -> Result<Self, String> {
        let wrong = || "must be http://HOST[:PORT][/PATH] or https://HOST[:PORT][/PATH]".to_owned();
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "https") || url.len() > MAX_URL_BYTES {
            return Err(wrong());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let plain =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'<');
        if !is_authority(authority) || !path.bytes().all(plain) {
            return Err(wrong());
        }
        Ok(Self(url.trim_end_matches('/').to_owned()))
    }
}

/// Addresses of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix_bits: u8,
}

impl Network {
    fn has(self, address: IpAddr) -> bool {
        let network = |bits: u128, width: u32| {
            let free_bits = width.saturating_sub(u32::from(self.prefix_bits));
            bits.checked_shr(free_bits).unwrap_or(0)
        };
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                network(first.to_bits().into(), 32) == network(address.to_bits().into(), 32)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                network(first.to_bits(), 128) == network(address.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    /// Reads an address, or the first of a network with the number of bits that its addresses share:
    /// `10.0.0.0/8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is neither an address nor a network such as 10.0.0.0/8");
        let (first, bits) = text.split_once('/').unwrap_or((text, ""));
        let first: IpAddr = first.parse().map_err(|_| wrong())?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match bits {
            "" if text.contains('/') => return Err(wrong()),
            "" => width,
            bits => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wrong)?,
        };
        Ok(Self { first, prefix_bits })
    }
}

/// The two ends of a connection, and whether what goes over it is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The other end.
    pub peer: SocketAddr,
    /// This end; `None` if the system did not say.
    pub local: Option<SocketAddr>,
    /// True if TLS ended here.
    pub secure: bool,
}

/// The operator's word about origins.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The origin of every call, if that is known.
    pub public_url: Option<Origin>,
    /// Proxies whose forwarded headers are believed. Of others they are not looked at.
    pub trusted_proxies: Vec<Network>,
}

impl Origins {
    /// Believes the proxies of this machine, which is right where nobody else can connect.
    pub fn trusting_loopback() -> Self {
        let v4 = Network { first: Ipv4Addr::new(127, 0, 0, 0).into(), prefix_bits: 8 };
        let v6 = Network { first: Ipv6Addr::LOCALHOST.into(), prefix_bits: 128 };
        Self { public_url: None, trusted_proxies: vec![v4, v6] }
    }

    /// The origin of a call: the configured one; else what a trusted proxy says in `Forwarded`
    /// (RFC 7239) or `X-Forwarded-Proto`, `-Host` and `-Port`; else `Host`; else this end of the
    /// connection. Of several proxies the first to write counts, the one that the client came to.
    pub fn of(&self, head: &Head, arrival: Arrival) -> Origin {
        if let Some(origin) = &self.public_url {
            return origin.clone();
        }
        let is_trusted = self.trusted_proxies.iter().any(|one| one.has(arrival.peer.ip()));
        let said = if is_trusted { Forwarded::of(&head.headers) } else { Forwarded::default() };
        let is_secure = match said.scheme {
            Some(scheme) => scheme.eq_ignore_ascii_case("https"),
            None => arrival.secure,
        };
        let scheme = if is_secure { "https" } else { "http" };
        let own = || head.uri.authority().map(|authority| authority.as_str());
        let host = said.host.or_else(|| host(&head.headers)).or_else(own);
        match host.filter(|host| is_authority(host)) {
            Some(host) => match said.port.filter(|port| needs_port(host, *port, is_secure)) {
                Some(port) => Origin(format!("{scheme}://{host}:{port}")),
                None => Origin(format!("{scheme}://{host}")),
            },
            None => match arrival.local {
                Some(local) => Origin(format!("{scheme}://{local}")),
                None => Origin(format!("{scheme}://localhost")),
            },
        }
    }
}

/// The words of a proxy about the call that it passes on.
#[derive(Clone, Copy, Debug, Default)]
struct Forwarded<'h> {
    scheme: Option<&'h str>,
    host: Option<&'h str>,
    port: Option<u16>,
}

impl<'h> Forwarded<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let standard = first(headers, "forwarded").map(Self::parse).unwrap_or_default();
        let is_scheme = |scheme: &&str| {
            scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
        };
        Self {
            scheme: standard.scheme.or(first(headers, "x-forwarded-proto")).filter(is_scheme),
            host: standard.host.or(first(headers, "x-forwarded-host")),
            port: first(headers, "x-forwarded-port").and_then(|port| port.parse().ok()),
        }
    }

    /// One element of `Forwarded`: pairs with `;` between them, values perhaps in quotes.
    fn parse(element: &'h str) -> Self {
        let mut said = Self::default();
        for pair in element.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("proto") => said.scheme = Some(value),
                name if name.eq_ignore_ascii_case("host") => said.host = Some(value),
                _ => {}
            }
        }
        said
    }
}

/// The first of the values of a header that is a list.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let value = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
    Some(value).filter(|value| !value.is_empty())
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// True if a URL with this host must name the port.
fn needs_port(host: &str, port: u16, is_secure: bool) -> bool {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(before, _)| !host.starts_with('[') || before.ends_with(']'));
    !has_port && port != if is_secure { 443 } else { 80 }
}

/// True if a text is a host, perhaps with a port, that can stand in a URL as it is.
fn is_authority(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
    if text.is_empty() || text.len() > MAX_AUTHORITY_BYTES || !text.bytes().all(allowed) {
        return false;
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((ip, rest)) if ip.parse::<Ipv6Addr>().is_ok() => {
                if rest.is_empty() {
                    ("ip", None)
                } else {
                    ("ip", rest.strip_prefix(':').or(Some("-")))
                }
            }
            _ => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    !host.is_empty() && !host.contains(['[', ']']) && port.is_none_or(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(peer: &str) -> Arrival {
        let local = Some("127.0.0.1:9000".parse().unwrap());
        Arrival { peer: format!("{peer}:5").parse().unwrap(), local, secure: false }
    }

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut request = hyper::Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// Queue URLs were `http://` and the `Host` behind every proxy that ends TLS: clients that use
    /// the QueueUrl as the address then spoke plain text to a TLS port.
    #[test]
    fn what_trusted_proxies_say_and_what_others_say() {
        let host = ("host", "inner:80");
        let said = |headers: &[(&str, &str)]| {
            let headers = [&[host], headers].concat();
            Origins::trusting_loopback().of(&head(&headers), arrival("127.0.0.1")).to_string()
        };
        for (headers, expected) in [
            (&[][..], "http://inner:80"),
            (&[("x-forwarded-proto", "https")], "https://inner:80"),
            (&[("x-forwarded-proto", "HTTPS, http")], "https://inner:80"),
            (&[("x-forwarded-proto", "gopher")], "http://inner:80"),
            (&[("x-forwarded-host", "q.example, inner")], "http://q.example"),
            (
                &[("x-forwarded-host", "q.example"), ("x-forwarded-port", "8443")],
                "http://q.example:8443",
            ),
            (&[("x-forwarded-host", "[::1]"), ("x-forwarded-port", "80")], "http://[::1]"),
            (&[("x-forwarded-host", "[::1]"), ("x-forwarded-port", "81")], "http://[::1]:81"),
            (
                &[("forwarded", "for=1.2.3.4;proto=https;host=\"q.example:8443\", for=x")],
                "https://q.example:8443",
            ),
            (&[("forwarded", "for=_x"), ("x-forwarded-proto", "https")], "https://inner:80"),
        ] {
            assert_eq!(said(headers), expected, "{headers:?}");
        }
        let forged = [host, ("x-forwarded-proto", "https"), ("forwarded", "host=evil")];
        let origins = Origins::trusting_loopback();
        assert_eq!(origins.of(&head(&forged), arrival("192.0.2.1")).as_str(), "http://inner:80");
        let trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
        let origins = Origins { trusted_proxies, ..Origins::default() };
        assert_eq!(origins.of(&head(&forged), arrival("192.0.2.1")).as_str(), "https://evil");
        assert_eq!(origins.of(&head(&forged), arrival("127.0.0.1")).as_str(), "http://inner:80");
    }

    #[test]
    fn without_a_host_the_real_port_and_with_a_public_url_that() {
        let mut origins = Origins::default();
        let of = |origins: &Origins, headers: &[(&str, &str)], secure| {
            let arrival = Arrival { secure, ..arrival("127.0.0.1") };
            origins.of(&head(headers), arrival).to_string()
        };
        assert_eq!(of(&origins, &[], false), "http://127.0.0.1:9000");
        assert_eq!(of(&origins, &[("host", "a\"b")], false), "http://127.0.0.1:9000");
        assert_eq!(of(&origins, &[("host", "q:1")], true), "https://q:1");
        origins.public_url = Some("https://q.example/kyu/".parse().unwrap());
        assert_eq!(of(&origins, &[("host", "q:1")], false), "https://q.example/kyu");
    }

    #[test]
    fn urls_hosts_and_networks() {
        for right in ["http://a", "https://a.b:1/", "http://[::1]:2/x/y"] {
            assert!(right.parse::<Origin>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a b",
            "http://a:x",
            "http://[x]",
            "http://[::1]x",
            "http://a/?b",
            "http://u@a",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
        let has = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().has(address.parse().unwrap())
        };
        assert!(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
        assert!(has("10.1.2.3", "::ffff:10.1.2.3") && !has("10.1.2.3", "10.1.2.4"));
        assert!(
            has("0.0.0.0/0", "8.8.8.8") && has("fd00::/8", "fd12::1") && !has("::/0", "8.8.8.8")
        );
        for wrong in ["", "x", "10.0.0.0/33", "10.0.0.0/", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
