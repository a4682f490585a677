//! Which headers a policy may write, and how.

use http::{HeaderMap, HeaderName, HeaderValue};
use keyward_vault::{HeaderRole, header_role, names_alike};

use crate::bindings::keyward::policy::exchange::ExchangeFailure;

/// Whether the host writes this header itself, so that no policy may: framing and
/// connection handling (RFC 9110, 7.6.1 and 8.6) and the request's target and way.
fn is_host_owned(name: &HeaderName) -> bool {
    use HeaderRole::{Connection, Framing, Way};
    matches!(header_role(name), Some(Connection | Framing | Way))
}

pub(crate) fn parse(
    name: &str,
    value: Vec<u8>,
    most: usize,
) -> Result<(HeaderName, HeaderValue), ExchangeFailure> {
    let name = parse_name(name)?;
    if value.len() > most {
        return Err(ExchangeFailure::Limit);
    }
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value))
        .map_err(|_| ExchangeFailure::Invalid)?;
    Ok((name, value))
}

pub(crate) fn parse_name(name: &str) -> Result<HeaderName, ExchangeFailure> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ExchangeFailure::Invalid)?;
    if is_host_owned(&name) {
        return Err(ExchangeFailure::Invalid);
    }
    Ok(name)
}

/// Removes the other spellings of a name, which some backend takes for it
/// ([`names_alike`]), so that a header which a client spelled so would stand beside
/// the one that a policy sets.
pub(crate) fn remove_alike(headers: &mut HeaderMap, name: &HeaderName) {
    let alike = |other: &&HeaderName| {
        names_alike(other.as_str().as_bytes(), name.as_str().as_bytes()) && *other != name
    };
    let found: Vec<HeaderName> = headers.keys().filter(alike).cloned().collect();
    for other in found {
        headers.remove(other);
    }
}

/// Room for one more header beside those that are there.
pub(crate) fn has_room(headers: &HeaderMap, most: usize) -> Result<(), ExchangeFailure> {
    if headers.len() < most {
        Ok(())
    } else {
        Err(ExchangeFailure::Limit)
    }
}

/// One value of a header; `index` counts the values of that name.
pub(crate) fn value(headers: &HeaderMap, name: &str, index: u32) -> Option<Vec<u8>> {
    let index = usize::try_from(index).ok()?;
    all(headers, name).nth(index).map(<[u8]>::to_vec)
}

/// All values of a header, in their order; `None` if they have more bytes than `most`.
pub(crate) fn values(headers: &HeaderMap, name: &str, most: usize) -> Option<Vec<Vec<u8>>> {
    let bytes: usize = all(headers, name).map(<[u8]>::len).sum();
    (bytes <= most).then(|| all(headers, name).map(<[u8]>::to_vec).collect())
}

fn all<'h>(headers: &'h HeaderMap, name: &str) -> impl Iterator<Item = &'h [u8]> {
    // A name that is not a header name is in no map; no need to tell them apart.
    headers.get_all(name).iter().map(HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_header_that_the_host_writes_is_taken() {
        for name in [
            "Host",
            "content-length",
            "Content_Length",
            "transfer_encoding",
            "Connection",
            "proxy_connection",
            "Proxy-Authorization",
            "via",
            "Forwarded",
            "upgrade",
        ] {
            assert!(parse_name(name).is_err(), "{name}");
        }
        for name in ["x-host", "content-type", "authorization", "x_api_key"] {
            assert!(parse_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_a_policy_sets_stands_in_the_place_of_every_spelling() {
        let mut headers = HeaderMap::new();
        for name in ["x-user", "x_user", "x.user", "x!user", "x-users", "xuser"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        remove_alike(&mut headers, &HeaderName::from_static("x-user"));
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-user", "x-users", "xuser"]);
    }

    /// Bytes of which many are what splits, colours or ends a header.
    fn hostile(random: &mut fastrand::Rng) -> Vec<u8> {
        const PIECES: [&[u8]; 12] = [
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
            b"\x1b[31m",
            b"\x7f",
            b": ",
            b"<script>",
            b"\xc4\x8d\xc4\x8a",
            b"\t",
            b"x-more: 1",
            b"\r\n\r\nHTTP/1.1 200 OK",
        ];
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..6) {
            match random.bool() {
                true => bytes.extend_from_slice(PIECES[random.usize(..PIECES.len())]),
                false => bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(4)),
            }
        }
        bytes
    }

    /// Whether a head with this field has one field and no more.
    fn is_one_field(name: &[u8], value: &[u8]) -> bool {
        let token = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
        let plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        !name.is_empty() && name.iter().all(token) && value.iter().all(plain)
    }

    #[test]
    fn whatever_a_policy_writes_is_one_field_in_one_line() {
        let mut random = fastrand::Rng::with_seed(13);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..200_000 {
            let value = hostile(&mut random);
            let name = match random.bool() {
                true => "x-policy".to_owned(),
                false => String::from_utf8_lossy(&hostile(&mut random)).into_owned(),
            };
            let would_be = is_one_field(name.as_bytes(), &value);
            match parse(&name, value.clone(), 4096) {
                Ok((name, written)) => {
                    assert!(is_one_field(name.as_str().as_bytes(), written.as_bytes()));
                    assert_eq!(written.as_bytes(), value);
                    taken += 1;
                }
                // Control: what is refused is not one field, but for names that no
                // policy may write.
                Err(_) => {
                    assert!(
                        !would_be || parse_name(&name).is_err(),
                        "{name:?} {value:?}"
                    );
                    refused += 1;
                }
            }
        }
        assert!(taken > 1_000 && refused > 100_000, "{taken} {refused}");
    }
}
