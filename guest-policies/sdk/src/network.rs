//! Ranges of IP addresses.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A range of IP addresses in CIDR notation, or one address: `192.0.2.0/24`,
/// `2001:db8::/32`, `192.0.2.7`.
///
/// ```
/// use keyward_policy::Network;
/// let network: Network = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.7".parse()?));
/// assert!(network.contains("::ffff:192.0.2.7".parse()?));
/// assert!("192.0.2.7/24".parse::<Network>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An IPv4 address written as an IPv6 one counts as the IPv4 address, on both
/// sides, so that a client can't slip past a rule by its notation. It follows
/// that `::/0` holds no IPv4 address: say `0.0.0.0/0` as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: u128,
    mask: u128,
    is_v4: bool,
}

/// Why a text is not a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkError {
    /// Not an IPv4 or IPv6 address.
    Address,
    /// The length of the prefix is not a number within the address's.
    Prefix,
    /// Bits are set past the prefix, so that it is unclear what was meant.
    HostBits,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => {
                "not an IP address or range; write 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7"
            }
            Self::Prefix => "the length after `/` must be 0 to 32 for IPv4, 0 to 128 for IPv6",
            Self::HostBits => {
                "the address has bits set past its prefix: write the range's first address"
            }
        })
    }
}

impl core::error::Error for NetworkError {}

/// The bits of an address, right-aligned, and how many there are.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

impl Network {
    /// Whether an address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let (bits, _) = bits(address);
        address.is_ipv4() == self.is_v4 && bits & self.mask == self.first
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        let (_, written_width) = bits(written);
        let prefix = match prefix {
            None => written_width,
            // `parse` alone would also take `+8` and `08`.
            Some(digits)
                if digits.starts_with('+') || (digits.len() > 1 && digits.starts_with('0')) =>
            {
                return Err(NetworkError::Prefix);
            }
            Some(digits) => digits.parse().map_err(|_| NetworkError::Prefix)?,
        };
        // A range of IPv4 addresses in IPv6 notation becomes the IPv4 range.
        let canonical = written.to_canonical();
        let (first, width) = bits(canonical);
        let prefix = match (written_width.checked_sub(prefix), written_width - width) {
            (None, _) => return Err(NetworkError::Prefix),
            (Some(_), narrowed) => match prefix.checked_sub(narrowed) {
                Some(prefix) => prefix,
                // Shorter than `::ffff:0:0/96`, yet with those bits set.
                None => return Err(NetworkError::HostBits),
            },
        };
        let ones = u128::MAX.checked_shr(128 - u32::from(width)).unwrap_or(0);
        let mask = ones & !ones.checked_shr(u32::from(prefix)).unwrap_or(0);
        if first & !mask != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(Self {
            first,
            mask,
            is_v4: canonical.is_ipv4(),
        })
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IP address or range, such as 192.0.2.0/24")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                text.parse()
                    .map_err(|error| E::custom(format_args!("{text:?}: {error}")))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let parsed: Network = network.parse().unwrap();
        for address in inside {
            assert!(
                parsed.contains(address.parse().unwrap()),
                "{address} in {network}"
            );
        }
        for address in outside {
            assert!(
                !parsed.contains(address.parse().unwrap()),
                "{address} in {network}"
            );
        }
    }

    #[test]
    fn a_range_holds_its_addresses_in_either_notation() {
        check(
            "192.0.2.0/24",
            &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9"],
            &["192.0.3.0", "192.0.1.255", "::192.0.2.1"],
        );
        check(
            "2001:db8::/32",
            &["2001:db8:1::7"],
            &["2001:db9::", "192.0.2.1"],
        );
        check("::ffff:192.0.2.0/120", &["192.0.2.7"], &["192.0.3.7"]);
        check("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]);
        check("2001:db8::7", &["2001:db8::7"], &["2001:db8::8"]);
    }

    #[test]
    fn the_longest_and_shortest_prefixes_work() {
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::1"]);
        check(
            "::/0",
            &["::1", "ffff::"],
            &["192.0.2.1", "::ffff:192.0.2.1"],
        );
        check("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]);
        check("2001:db8::1/128", &["2001:db8::1"], &["2001:db8::"]);
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (text, error) in [
            ("", NetworkError::Address),
            ("192.0.2", NetworkError::Address),
            ("192.0.2.010", NetworkError::Address),
            ("example.com", NetworkError::Address),
            ("192.0.2.0/33", NetworkError::Prefix),
            ("192.0.2.0/", NetworkError::Prefix),
            ("192.0.2.0/+8", NetworkError::Prefix),
            ("192.0.2.0/08", NetworkError::Prefix),
            ("192.0.2.0/-1", NetworkError::Prefix),
            ("2001:db8::/129", NetworkError::Prefix),
            ("192.0.2.7/24", NetworkError::HostBits),
            ("2001:db8::7/64", NetworkError::HostBits),
            ("::ffff:192.0.2.0/64", NetworkError::HostBits),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
    }
}
