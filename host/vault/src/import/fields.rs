//! What the imports of values with several fields share: the stored form, and
//! decoding that leaves no copy behind.

use crate::plaintext::{Encoded, Plaintext, Writer};
use crate::secret::{ImportError, Secret};

/// One field of a stored form.
pub(super) enum Field<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
    Number(u64),
    List(&'a [Field<'a>]),
}

impl Field<'_> {
    /// At least the length that [`write`](Self::write) takes.
    fn room(&self) -> usize {
        let head = 9;
        match self {
            Self::Text(text) => head + text.len(),
            Self::Bytes(bytes) => head + bytes.len(),
            Self::Number(_) => head,
            Self::List(fields) => head + fields.iter().map(Self::room).sum::<usize>(),
        }
    }

    fn write(&self, encoder: &mut Writer<'_>) -> Encoded {
        match self {
            Self::Text(text) => encoder.str(text)?.ok(),
            Self::Bytes(bytes) => encoder.bytes(bytes)?.ok(),
            Self::Number(number) => encoder.u64(*number)?.ok(),
            Self::List(fields) => {
                encoder.array(fields.len() as u64)?;
                fields.iter().try_for_each(|field| field.write(encoder))
            }
        }
    }
}

/// The stored form: a CBOR array of the fields.
pub(super) fn stored(fields: &[Field<'_>]) -> Secret {
    let list = Field::List(fields);
    Secret::copy_of(&Plaintext::written(list.room(), |writer| {
        list.write(writer)
    }))
}

/// The text of a value that must be UTF-8 without control characters.
pub(super) fn text<'a>(bytes: &'a [u8], kind: &'static str) -> Result<&'a str, ImportError> {
    let reason = "it must be UTF-8 text without control characters";
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or(ImportError::Malformed { kind, reason })
}

/// Whether a text has `min` to `max` visible ASCII characters.
pub(super) fn is_visible(text: &[u8], min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic)
}

/// Undoes percent-encoding (RFC 3986, section 2.1). `None` if a `%` is not followed
/// by two hexadecimal digits.
pub(super) fn percent_decoded(text: &str) -> Option<Plaintext> {
    let mut decoded = Plaintext::with_room(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(*rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                decoded.push(u8::try_from(high * 16 + low).ok()?)?;
            }
            byte => decoded.push(*byte)?,
        }
    }
    Some(decoded)
}

/// Whether a host is this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let address = bare.unwrap_or(host).parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a text is a host: a DNS name, an IPv4 address, or an IPv6 address in
/// brackets.
pub(super) fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner
            .strip_suffix(']')
            .map(str::parse::<std::net::Ipv6Addr>);
        return matches!(address, Some(Ok(_)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label)
}
