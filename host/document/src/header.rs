//! `<set-header>`: names and values by RFC 9110, and the settings that the
//! policy `set-headers` gets of it.

use std::fmt;

use serde_json::{Value, json};

use crate::position::Position;

/// The most bytes in one header value.
pub(crate) const MAX_VALUE_BYTES: usize = 8 * 1024;
/// The most bytes in a header's name.
pub(crate) const MAX_NAME_BYTES: usize = 256;
/// The most `<value>`s in one `<set-header>`.
pub(crate) const MAX_VALUES: usize = 64;

/// A header's name: a token of RFC 9110, in lower case, and not one that the
/// host writes itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a name that a document can set.
pub(crate) enum NameProblem {
    Malformed(&'static str),
    /// Written by the host.
    HostOwned,
}

/// Headers whose content follows from the connection or from what the host
/// knows. A `_` in a name counts as `-`: many backends can't tell them apart.
const HOST_OWNED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "http2-settings",
    "proxy-connection",
];

pub(crate) fn header_name(text: &str) -> Result<HeaderName, NameProblem> {
    let is_token = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
    };
    if text.is_empty() {
        return Err(NameProblem::Malformed("is empty"));
    }
    if text.len() > MAX_NAME_BYTES {
        return Err(NameProblem::Malformed("is longer than 256 bytes"));
    }
    if !text.bytes().all(is_token) {
        return Err(NameProblem::Malformed("is not a header name"));
    }
    let name = text.to_ascii_lowercase();
    let folded = name.replace('_', "-");
    if HOST_OWNED.contains(&folded.as_str()) || folded.starts_with("proxy-") {
        return Err(NameProblem::HostOwned);
    }
    Ok(HeaderName(name))
}

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

/// What becomes of a header that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExistsAction {
    /// The new values take the place of all that are there. The default.
    Override,
    /// A header that is there stays as it is.
    Skip,
    /// The new values come after those that are there.
    Append,
    /// The header is removed.
    Delete,
}

impl ExistsAction {
    /// All actions, in the order of Azure API Management's documentation.
    pub const ALL: [Self; 4] = [Self::Override, Self::Skip, Self::Append, Self::Delete];

    /// The action as documents and settings spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::Skip => "skip",
            Self::Append => "append",
            Self::Delete => "delete",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// A `<set-header>` step, checked: values are there unless the action is
/// [`Delete`](ExistsAction::Delete), and none are if it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHeader {
    pub(crate) name: HeaderName,
    pub(crate) action: ExistsAction,
    pub(crate) values: Vec<String>,
    pub(crate) position: Position,
}

impl SetHeader {
    /// The policy that carries out `<set-header>`.
    pub const POLICY: &'static str = "set-headers";

    /// Which header.
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// What becomes of one that is there.
    pub fn action(&self) -> ExistsAction {
        self.action
    }

    /// The values, in order, without space around them.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Where the step stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The settings with which one run of the policy `set-headers` does what
    /// these steps say, in their order:
    /// `{"headers":[{"name":"x-a","action":"override","values":["1","2"]}]}`.
    pub fn to_settings<'a>(steps: impl IntoIterator<Item = &'a SetHeader>) -> Value {
        let headers: Vec<Value> = steps
            .into_iter()
            .map(|step| json!({ "name": step.name.as_str(), "action": step.action.as_str(), "values": step.values }))
            .collect();
        json!({ "headers": headers })
    }
}
