//! Which addresses a route may lead to. A name is looked up by someone who may
//! answer anything, so every address is judged after the look-up: in each way in
//! which a router could read it, against the ranges that the operator allowed.
//!
//! What is public follows the IANA special-purpose address registries (RFC 6890,
//! as of RFC 9637), and less than they allow: an address that only exists for a
//! protocol of its own is nobody's backend.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses that a route may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// `public`: what is routed on the Internet.
    Public,
    /// `private`: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918) and fc00::/7
    /// (RFC 4193).
    Private,
    /// `loopback`: this machine, 127.0.0.0/8 and ::1.
    Loopback,
    /// A range, such as `10.20.0.0/16`. One that is a single address (/32 or /128)
    /// allows it even where it is known to serve a platform's credentials.
    Range(IpNet),
}

/// A text names no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither a word nor a range.
    #[error(
        "not a network: write \"public\", \"private\", \"loopback\", a range such as \"10.20.0.0/16\" or an address such as \"10.20.0.7/32\""
    )]
    Malformed,
    /// Bits are set beyond the prefix: either the address or its length is wrong.
    #[error("the address has bits beyond the length of the range; the range begins at {0}")]
    HostBits(IpAddr),
    /// A range of IPv6 that only spells IPv4.
    #[error("write this range as the IPv4 range that it stands for")]
    Mapped,
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text {
            "public" => return Ok(Self::Public),
            "private" => return Ok(Self::Private),
            "loopback" => return Ok(Self::Loopback),
            _ => {}
        }
        // The standard library's reader, which takes no leading zeros: some take
        // them for octal.
        let (address, length) = text.split_once('/').ok_or(NetworkError::Malformed)?;
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Malformed)?;
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NetworkError::Malformed);
        }
        let length = length.parse().map_err(|_| NetworkError::Malformed)?;
        let range = IpNet::new(address, length).map_err(|_| NetworkError::Malformed)?;
        if range.network() != range.addr() {
            return Err(NetworkError::HostBits(range.network()));
        }
        let spells_v4 = match range.addr() {
            IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
            IpAddr::V4(_) => false,
        };
        if spells_v4 {
            return Err(NetworkError::Mapped);
        }
        Ok(Self::Range(range))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Private => f.write_str("private"),
            Self::Loopback => f.write_str("loopback"),
            Self::Range(range) => range.fmt(f),
        }
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Private => is_private(address),
            Self::Loopback => address.is_loopback(),
            Self::Range(range) => range.contains(&address),
        }
    }

    /// Whether this is that address and no other.
    fn is_exactly(self, address: IpAddr) -> bool {
        matches!(self, Self::Range(range) if range.prefix_len() == range.max_prefix_len() && range.addr() == address)
    }
}

/// The address to connect to, if every reading of `found` lies in one of `networks`.
pub(crate) fn vet(found: IpAddr, networks: &[Network]) -> Option<IpAddr> {
    let address = found.to_canonical();
    let is_allowed = |address: IpAddr| {
        !is_nobody(address)
            && (networks.iter().any(|network| network.is_exactly(address))
                || (!is_platform(address)
                    && networks.iter().any(|network| network.contains(address))))
    };
    let embedded = embedded_v4(address).map(IpAddr::V4);
    (is_allowed(address) && embedded.is_none_or(is_allowed)).then_some(address)
}

/// Whether the address leads to no single machine: unspecified (which many systems
/// take for themselves), multicast, broadcast, reserved.
fn is_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.octets()[0] >= 224,
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    }
}

/// Whether a platform answers there with credentials or configuration for whoever
/// asks from this machine: link-local addresses, and the well-known ones that
/// are not link-local.
pub(crate) fn is_platform(address: IpAddr) -> bool {
    const V4: [Ipv4Addr; 3] = [
        Ipv4Addr::new(168, 63, 129, 16),   // Azure
        Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
        Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
    ];
    const V6: [Ipv6Addr; 4] = [
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
        Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS, credentials of pods
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google Cloud
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),   // Scaleway
    ];
    match address {
        IpAddr::V4(address) => address.is_link_local() || V4.contains(&address),
        IpAddr::V6(address) => address.is_unicast_link_local() || V6.contains(&address),
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private(),
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// The IPv4 address to which some router would send what is sent to an IPv6
/// address: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380) and the
/// retired IPv4-compatible form (RFC 4291, 2.5.5.1).
fn embedded_v4(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let last = |parts: [u16; 8]| joined(parts[6], parts[7]);
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(last(address.segments())),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        [0x2001, 0, .., high, low] => Some(joined(!high, !low)),
        [0, 0, 0, 0, 0, 0, ..] if !address.is_loopback() => Some(last(address.segments())),
        _ => None,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|range| range.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_UNICAST.contains(&address)
                && !NOT_PUBLIC_V6.iter().any(|range| range.contains(&address))
                || NAT64.contains(&address)
        }
    }
}

const NOT_PUBLIC_V4: [Ipv4Net; 14] = [
    v4([0, 0, 0, 0], 8),       // this network
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // shared by a carrier's customers
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 88, 99, 0], 24),  // relays of 6to4, retired
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarks
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 3),     // multicast and reserved
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0], 3);
/// Public if the IPv4 address in it is.
const NAT64: Ipv6Net = v6([0x64, 0xff9b], 96);

const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0], 23),     // protocol assignments, Teredo among them
    v6([0x2001, 0xdb8], 32), // documentation
    v6([0x2002, 0], 16),     // 6to4
    v6([0x3fff, 0], 20),     // documentation
];

const fn v4(parts: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = parts;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(first: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first[0], first[1], 0, 0, 0, 0, 0, 0), length)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn passes(address: &str, networks: &[&str]) -> bool {
        let networks: Vec<Network> = networks.iter().map(|text| text.parse().unwrap()).collect();
        vet(address.parse().unwrap(), &networks).is_some()
    }

    #[test]
    fn only_what_is_routed_on_the_internet_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "64:ff9b::8.8.8.8",
            "::ffff:8.8.8.8",
        ] {
            assert!(passes(address, &["public"]), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::8.8.8.8",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::168.63.129.16",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "2002:808:808::1",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!passes(address, &["public"]), "{address}");
        }
    }

    #[test]
    fn a_word_or_a_range_allows_what_it_says_and_no_more() {
        for (address, networks, expected) in [
            ("10.1.2.3", &["private"][..], true),
            ("fd12::1", &["private"], true),
            ("8.8.8.8", &["private"], false),
            ("127.0.0.1", &["private", "public"], false),
            ("127.0.0.1", &["loopback"], true),
            ("::1", &["loopback"], true),
            ("::ffff:127.0.0.1", &["loopback"], true),
            ("0.0.0.0", &["loopback"], false),
            ("10.20.3.4", &["10.20.0.0/16"], true),
            ("::ffff:10.20.3.4", &["10.20.0.0/16"], true),
            ("10.21.3.4", &["10.20.0.0/16"], false),
            ("203.0.113.7", &["203.0.113.0/24"], true),
            // Each reading counts.
            ("64:ff9b::10.20.3.4", &["public"], false),
            ("64:ff9b::10.20.3.4", &["10.20.0.0/16"], false),
            ("64:ff9b::10.20.3.4", &["public", "10.20.0.0/16"], true),
            ("2002:a14:304::1", &["2002::/16"], false),
            ("2002:a14:304::1", &["2002::/16", "private"], true),
            // Nobody is nobody, whatever is allowed.
            ("0.0.0.0", &["0.0.0.0/0"], false),
            ("224.0.0.1", &["0.0.0.0/0"], false),
            ("255.255.255.255", &["0.0.0.0/0"], false),
            ("::", &["::/0"], false),
            ("ff02::1", &["::/0"], false),
            ("8.8.8.8", &[], false),
        ] {
            assert_eq!(
                passes(address, networks),
                expected,
                "{address} {networks:?}"
            );
        }
    }

    #[test]
    fn a_platforms_own_address_must_be_named_itself() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
        ] {
            let exact = format!("{address}/32");
            let mapped = format!("::ffff:{address}");
            let wide = ["public", "private", "loopback", "0.0.0.0/0"];
            assert!(!passes(address, &wide), "{address}");
            assert!(!passes(&mapped, &wide), "{mapped}");
            assert!(passes(address, &[&exact]), "{address}");
            assert!(passes(&mapped, &[&exact]), "{mapped}");
            let translated = format!("64:ff9b::{address}");
            assert!(
                !passes(&translated, &["public", "0.0.0.0/0"]),
                "{translated}"
            );
        }
        for address in ["fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fe80::1"] {
            let exact = format!("{address}/128");
            assert!(!passes(address, &["private", "::/0"]), "{address}");
            assert!(passes(address, &[&exact]), "{address}");
        }
    }

    #[test]
    fn a_network_is_read_as_it_is_written() {
        for text in [
            "public",
            "private",
            "loopback",
            "10.0.0.0/8",
            "fd00::/8",
            "1.2.3.4/32",
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for (text, error) in [
            ("", NetworkError::Malformed),
            ("Public", NetworkError::Malformed),
            ("10.0.0.1", NetworkError::Malformed),
            ("10.0.0.0/33", NetworkError::Malformed),
            ("010.0.0.0/8", NetworkError::Malformed),
            ("::ffff:10.0.0.0/104", NetworkError::Mapped),
            (
                "10.1.0.0/8",
                NetworkError::HostBits(Ipv4Addr::new(10, 0, 0, 0).into()),
            ),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
