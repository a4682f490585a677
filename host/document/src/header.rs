//! Headers by RFC 9110, as far as a document writes them out.

use keyward_document_program::header;

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

/// What to do about a header that the host writes itself, so that no policy may. None if
/// the header is anyone's.
pub(crate) fn host_writes(name: &str) -> Option<&'static str> {
    let name = name.trim();
    header::host_writes(name).then_some(match name.to_ascii_lowercase().as_str() {
        "host" => "leave it out: it is that of the address that the request goes to",
        "forwarded" => {
            "leave it out: with forwarded = \"forwarded\" in [gateway] the gateway writes it for each request"
        }
        _ => "leave it out",
    })
}
