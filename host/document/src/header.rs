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
