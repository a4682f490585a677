//! Headers by RFC 9110, as far as a document writes them out.

/// The most bytes in one header value.
pub(crate) const MAX_VALUE_BYTES: usize = 8 * 1024;
/// The most bytes in a header's name.
pub(crate) const MAX_NAME_BYTES: usize = 256;

/// Checks a header's value: visible ASCII with single spaces or tabs anywhere
/// but at its ends (the caller has trimmed them).
pub(crate) fn header_value(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_VALUE_BYTES {
        return Err("is longer than 8192 bytes");
    }
    if text.contains(['\r', '\n']) {
        return Err("has a line break in it, which a header can't carry");
    }
    if !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return Err(
            "has a character in it that a header can't carry: only ASCII without control characters",
        );
    }
    Ok(())
}

/// What to do about a header that the host writes itself, so that no policy may: about the
/// connection, what is sent where, and the way that a request took (RFC 9110, 7.6.1, 7.6.3
/// and 8.6; RFC 7239). None if the header is anyone's. A character that is no letter or
/// digit counts as `-`, as it does for the host.
pub(crate) fn host_writes(name: &str) -> Option<&'static str> {
    let fold = |byte: u8| match byte.to_ascii_lowercase() {
        byte if byte.is_ascii_alphanumeric() => byte,
        _ => b'-',
    };
    let folded: Vec<u8> = name.trim().bytes().map(fold).collect();
    Some(match folded.as_slice() {
        b"host" => "leave it out: it is that of the address that the request goes to",
        b"forwarded" => {
            "leave it out: with forwarded = \"forwarded\" in [gateway] the gateway writes it for each request"
        }
        b"connection" | b"content-length" | b"expect" | b"http2-settings" | b"keep-alive"
        | b"te" | b"trailer" | b"transfer-encoding" | b"upgrade" | b"via" => "leave it out",
        folded if folded.starts_with(b"proxy-") => "leave it out",
        _ => return None,
    })
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
            "via",
        ] {
            assert!(host_writes(name).is_some(), "{name}");
        }
        for name in [
            "x-forwarded-host",
            "hosts",
            "x-host",
            "proxy",
            "content-type",
            "prefer",
        ] {
            assert!(host_writes(name).is_none(), "{name}");
        }
    }
}
