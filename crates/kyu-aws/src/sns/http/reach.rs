//! The addresses that this server connects to for its subscribers. Whoever may call Subscribe
//! chooses them, so they must not lead to what only this machine can reach: the server's own ports,
//! and the services that clouds keep on link-local addresses to hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The rule for the addresses that may be subscribed. Whatever it says, the server's own ports,
/// link-local addresses and those of clouds' metadata services may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointRule {
    /// Also this machine and private networks: the server stands beside what it serves.
    #[default]
    Any,
    /// Only addresses of the public internet: not this machine, not private networks. Asked of every
    /// address that a name resolves to, at each connection.
    Public,
    /// No HTTP subscriptions.
    Off,
}

/// Metadata services that are not link-local: of Azure, Alibaba and Oracle; of AWS and Google over
/// IPv6.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [[u16; 2]; 2] = [[0xfd00, 0x0ec2], [0xfd20, 0x00ce]];

/// The rule of a server, with the ports that are its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    rule: EndpointRule,
    own: Vec<SocketAddr>,
}

impl Reach {
    pub(crate) fn new(rule: EndpointRule, own: Vec<SocketAddr>) -> Self {
        Self { rule, own }
    }

    /// Tells whether the server may connect there.
    pub(crate) fn allows(&self, to: SocketAddr) -> bool {
        let address = to.ip().to_canonical();
        let inner = embedded(address).map(IpAddr::V4);
        let all = || [Some(address), inner].into_iter().flatten();
        let by_rule = match self.rule {
            EndpointRule::Any => true,
            EndpointRule::Public => all().all(is_public),
            EndpointRule::Off => false,
        };
        by_rule && !all().any(is_never) && !all().any(|one| self.is_own(one, to.port()))
    }

    fn is_own(&self, address: IpAddr, port: u16) -> bool {
        let listens = |own: &SocketAddr| {
            let at = own.ip().to_canonical();
            own.port() == port && (at == address || at.is_unspecified() && is_of_machine(address))
        };
        self.own.iter().any(listens)
    }
}

/// Tells whether an address is one of this machine: only those can be bound.
fn is_of_machine(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// The IPv4 address to which an IPv6 one is translated on the way: compatible and translated
/// addresses (RFC 4291, RFC 6052) and 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let of = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, _, _, _, _, high, low]
        | [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            // 0.0.0.0 is this machine by another name.
            v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.octets()[0] == 0
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            v6.is_unspecified()
                || v6.is_multicast()
                || is_link_local(v6)
                || METADATA_V6.contains(&[first, second])
        }
    }
}

fn is_link_local(v6: Ipv6Addr) -> bool {
    v6.segments()[0] & 0xffc0 == 0xfe80
}

/// Tells whether an address is reachable from everywhere (the IANA registries of special-purpose
/// addresses, as far as they name networks that a server may stand in).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            !(v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0)
                || (a == 198 && (18..20).contains(&b)))
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let special = first == 0x2001 && (second < 0x200 || second == 0xdb8);
            // Global unicast is 2000::/3; of that, 6to4 leads back to IPv4.
            first & 0xe000 == 0x2000 && first != 0x2002 && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: EndpointRule, address: &str) -> bool {
        let ip: IpAddr = address.parse().unwrap();
        Reach::new(rule, Vec::new()).allows(SocketAddr::new(ip, 80))
    }

    #[test]
    fn rules() {
        // Of each address: whether it is public, and whether it is allowed at all.
        for (address, public, any) in [
            ("127.0.0.1", false, true),
            ("10.1.2.3", false, true),
            ("172.31.0.1", false, true),
            ("192.168.0.1", false, true),
            ("100.64.0.1", false, true),
            ("::1", false, true),
            ("fd00::1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("2002:7f00:1::", false, true),
            ("2001:db8::1", false, true),
            ("8.8.8.8", true, true),
            ("2a00:1450::1", true, true),
            ("169.254.169.254", false, false),
            ("169.254.0.1", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", true, false),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("::", false, false),
            ("fe80::1", false, false),
            ("ff02::1", false, false),
            ("fd00:ec2::254", false, false),
            // The same, dressed up.
            ("::ffff:169.254.169.254", false, false),
            ("::169.254.169.254", false, false),
            ("64:ff9b::a9fe:a9fe", false, false),
            ("64:ff9b:1::a9fe:a9fe", false, false),
            ("2002:a9fe:a9fe::1", false, false),
        ] {
            assert_eq!(allows(EndpointRule::Public, address), public && any, "{address}");
            assert_eq!(allows(EndpointRule::Any, address), any, "{address}");
            assert!(!allows(EndpointRule::Off, address));
        }
    }

    /// A subscriber could make the server call its own admin API, which trusts this machine.
    #[test]
    fn its_own_ports_are_never_asked() {
        let own = |listens: &str, to: &str| {
            let reach = Reach::new(EndpointRule::Any, vec![listens.parse().unwrap()]);
            !reach.allows(to.parse().unwrap())
        };
        assert!(own("127.0.0.1:9324", "127.0.0.1:9324"));
        assert!(own("127.0.0.1:9324", "[::ffff:127.0.0.1]:9324"));
        assert!(own("127.0.0.1:9324", "[64:ff9b::7f00:1]:9324"));
        assert!(!own("127.0.0.1:9324", "127.0.0.1:9325"));
        assert!(!own("127.0.0.1:9324", "192.0.2.1:9324"));
        assert!(own("0.0.0.0:9324", "127.0.0.1:9324"));
        assert!(own("[::]:9324", "127.8.9.1:9324"));
        assert!(!own("0.0.0.0:9324", "192.0.2.1:9324"), "another machine's");
    }
}
