//! Headers that no document writes.

/// Those that the host writes itself, besides all that begin with `proxy-`: about the
/// connection, what is sent where, and the way that a request took (RFC 9110, 7.6.1, 7.6.3
/// and 8.6; RFC 7239). A test holds that they are the host's.
const HOST_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether the host writes a header itself, so that no policy may. A character that is no
/// letter or digit counts as `-`, as it does for the host.
pub fn host_writes(name: &str) -> bool {
    let is = |byte: u8, known: u8| match byte.is_ascii_alphanumeric() {
        true => byte.eq_ignore_ascii_case(&known),
        false => known == b'-',
    };
    let begins = |known: &str| {
        name.len() >= known.len() && name.bytes().zip(known.bytes()).all(|(a, b)| is(a, b))
    };
    begins("proxy-")
        || HOST_HEADERS
            .iter()
            .any(|known| name.len() == known.len() && begins(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_writes_is_known_in_each_spelling() {
        for name in [
            "Host",
            "forwarded",
            "Content_Length",
            "TE",
            "Proxy-Authenticate",
            "proxy.x",
            "via",
        ] {
            assert!(host_writes(name), "{name}");
        }
        for name in [
            "",
            "x-forwarded-host",
            "hosts",
            "hos",
            "x-host",
            "proxy",
            "content-type",
            "content0length",
            "prefer",
        ] {
            assert!(!host_writes(name), "{name}");
        }
    }
}
