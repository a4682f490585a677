//! The compact form (RFC 7515, section 3.1): three parts of base64url, the header read,
//! the claims not yet.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::{MAX_TOKEN_BYTES, TokenFault, json};

/// The longest that a header may be, decoded, in bytes.
const MAX_HEADER_BYTES: usize = 4096;
/// The longest id of a key, or type, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// What of a header must be understood, and is not here: what a header names as critical
/// (RFC 7515, section 4.1.11), an unencoded payload (RFC 7797), compression and
/// encryption (RFC 7516).
const NOT_UNDERSTOOD: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// A token that has the form of one. Nothing of it has been checked.
pub(super) struct Parsed<'a> {
    pub(super) header: Header,
    /// What is signed: header and claims as they were sent.
    pub(super) signed: &'a [u8],
    pub(super) claims: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// What counts of a header.
pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) key_id: Option<String>,
    pub(super) type_: Option<String>,
}

pub(super) fn parse(token: &str) -> Result<Parsed<'_>, TokenFault> {
    if token.is_empty() {
        return Err(TokenFault::Missing);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenFault::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
    // No padding, no other alphabet, no stray bits: a token has one spelling. A second
    // dot among the claims is no base64url either.
    let decoded = |part: &str| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes());
        bytes.map_err(|_| TokenFault::Malformed)
    };
    Ok(Parsed {
        header: read_header(&decoded(header)?).ok_or(TokenFault::Malformed)?,
        signed: signed.as_bytes(),
        claims: decoded(claims)?,
        signature: decoded(signature)?,
    })
}

fn read_header(bytes: &[u8]) -> Option<Header> {
    if bytes.len() > MAX_HEADER_BYTES {
        return None;
    }
    let header = json::object(bytes)?;
    if NOT_UNDERSTOOD.iter().any(|name| header.contains_key(*name)) {
        return None;
    }
    Some(Header {
        algorithm: name(&header, "alg")??,
        key_id: name(&header, "kid")?,
        type_: name(&header, "typ")?,
    })
}

/// A text of the header, if it is there. `None` if it is something else or too long.
fn name(header: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match header.get(name) {
        None => Some(None),
        Some(Value::String(text)) if text.len() <= MAX_NAME_BYTES => Some(Some(text.clone())),
        Some(_) => None,
    }
}
