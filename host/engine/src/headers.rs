//! Which headers a policy may write, and how.

use http::{HeaderMap, HeaderName, HeaderValue};
use keyward_vault::{HeaderRole, header_role};

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

/// Removes the other spellings of a name: many backends take `_` for `-`, so that a
/// header which a client spelled so would stand beside the one that a policy sets.
pub(crate) fn remove_alike(headers: &mut HeaderMap, name: &HeaderName) {
    let alike = |other: &HeaderName| {
        let dash = |byte| if byte == b'_' { b'-' } else { byte };
        other != name
            && other.as_str().len() == name.as_str().len()
            && other
                .as_str()
                .bytes()
                .map(dash)
                .eq(name.as_str().bytes().map(dash))
    };
    let found: Vec<HeaderName> = headers
        .keys()
        .filter(|other| alike(other))
        .cloned()
        .collect();
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
    // A name that is not a header name is in no map; no need to tell them apart.
    let index = usize::try_from(index).ok()?;
    headers
        .get_all(name)
        .iter()
        .nth(index)
        .map(|value| value.as_bytes().to_vec())
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
}
