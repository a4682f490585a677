//! Values that crossed between a policy and the host, as a record holds them.

use data_encoding::BASE64;
use keyward::engine::GuestValue;
use serde::{Deserialize, Serialize};

use crate::run::Observed;

/// A value in a record. Numbers of handles are left out: they are the host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Nothing.
    Nothing,
    /// A truth.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A case of an enum.
    Word(String),
    /// A text.
    Text(String),
    /// Bytes that are UTF-8.
    Bytes(String),
    /// Other bytes, in base64.
    Base64(String),
    /// A handle, and what it is of.
    Handle(Option<String>),
    /// A list.
    List(Vec<Value>),
    /// A record.
    Record(Vec<(String, Value)>),
    /// The error of a result.
    Failure(String),
    /// The host stopped the policy.
    Stopped,
}

impl Value {
    /// The value, redacted.
    pub(super) fn of(value: &GuestValue, observed: &Observed) -> Self {
        Self::with(value, &|bytes| observed.redact(bytes))
    }

    /// The value of a run without secrets.
    pub(super) fn plain(value: &GuestValue) -> Self {
        Self::with(value, &<[u8]>::to_vec)
    }

    fn with(value: &GuestValue, redact: &dyn Fn(&[u8]) -> Vec<u8>) -> Self {
        let text = |text: &String| String::from_utf8_lossy(&redact(text.as_bytes())).into_owned();
        match value {
            GuestValue::Nothing => Self::Nothing,
            GuestValue::Flag(flag) => Self::Flag(*flag),
            GuestValue::Number(number) => Self::Number(*number),
            GuestValue::Word(word) => Self::Word(word.clone()),
            GuestValue::Text(written) => Self::Text(text(written)),
            GuestValue::Bytes(bytes) => match String::from_utf8(redact(bytes)) {
                Ok(text) => Self::Bytes(text),
                Err(other) => Self::Base64(BASE64.encode(other.as_bytes())),
            },
            GuestValue::Handle(_, of) => Self::Handle(of.as_ref().map(text)),
            GuestValue::List(values) => Self::List(
                values
                    .iter()
                    .map(|value| Self::with(value, redact))
                    .collect(),
            ),
            GuestValue::Record(fields) => Self::Record(
                fields
                    .iter()
                    .map(|(name, value)| (name.to_string(), Self::with(value, redact)))
                    .collect(),
            ),
            GuestValue::Failure(word) => Self::Failure(word.clone()),
            // A value of a later kind is nothing that a record could give back.
            GuestValue::Stopped | _ => Self::Stopped,
        }
    }

    /// As a guest gets it. `None`: bytes that are no base64.
    pub(super) fn give(&self) -> Option<GuestValue> {
        Some(match self {
            Self::Nothing => GuestValue::Nothing,
            Self::Flag(flag) => GuestValue::Flag(*flag),
            Self::Number(number) => GuestValue::Number(*number),
            Self::Word(word) => GuestValue::Word(word.clone()),
            Self::Text(text) => GuestValue::Text(text.clone()),
            Self::Bytes(text) => GuestValue::Bytes(text.clone().into_bytes()),
            Self::Base64(text) => GuestValue::Bytes(BASE64.decode(text.as_bytes()).ok()?),
            Self::Handle(of) => GuestValue::Handle(0, of.clone()),
            Self::List(values) => {
                GuestValue::List(values.iter().map(Self::give).collect::<Option<_>>()?)
            }
            Self::Record(fields) => GuestValue::Record(
                fields
                    .iter()
                    .map(|(name, value)| Some((name.clone().into(), value.give()?)))
                    .collect::<Option<_>>()?,
            ),
            Self::Failure(word) => GuestValue::Failure(word.clone()),
            Self::Stopped => GuestValue::Stopped,
        })
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word),
            Self::Text(text) | Self::Bytes(text) => write!(f, "{text:?}"),
            Self::Base64(text) => write!(f, "base64:{text}"),
            Self::Handle(Some(of)) => write!(f, "a handle of {of}"),
            Self::Handle(None) => f.write_str("a handle"),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    let gap = if index > 0 { ", " } else { "" };
                    write!(f, "{gap}{value}")?;
                }
                f.write_str("]")
            }
            Self::Record(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let gap = if index > 0 { ", " } else { "" };
                    write!(f, "{gap}{name}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Failure(word) => write!(f, "failure {word}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn what_is_kept_is_given_back_as_it_was() {
        let values = [
            GuestValue::Nothing,
            GuestValue::Flag(true),
            GuestValue::Number(7),
            GuestValue::Text("a \"text\"".to_owned()),
            GuestValue::Bytes(b"text".to_vec()),
            GuestValue::Bytes(vec![0xff, 0, 1]),
            GuestValue::Handle(0, Some("backend".to_owned())),
            GuestValue::List(vec![GuestValue::Text("x".to_owned())]),
            GuestValue::List(vec![GuestValue::Bytes(vec![0xff]), GuestValue::Nothing]),
            GuestValue::Record(vec![("serial".into(), GuestValue::Text("0a".to_owned()))]),
            GuestValue::Failure("denied".to_owned()),
            GuestValue::Stopped,
        ];
        for value in values {
            let kept = serde_json::to_string(&Value::plain(&value)).unwrap();
            let read: Value = serde_json::from_str(&kept).unwrap();
            assert_eq!(read.give(), Some(value), "{kept}");
        }
    }

    #[test]
    fn bytes_that_are_no_base64_are_not_given() {
        assert_eq!(Value::Base64("%".to_owned()).give(), None);
        let within = Value::List(vec![Value::Base64("%".to_owned())]);
        assert_eq!(within.give(), None);
    }
}
