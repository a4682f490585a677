//! A JSON document with templates for some of its strings.

use super::{HoleType, Piece, Slot, Template};

/// A JSON document (RFC 8259) that the host writes. The secret stands in strings only;
/// names are fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonTemplate {
    /// An object, with its names in order.
    Object(Vec<(String, JsonTemplate)>),
    /// An array.
    Array(Vec<JsonTemplate>),
    /// A string; a number where it is nothing but a hole for one.
    Text(Template),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Boolean(bool),
}

impl JsonTemplate {
    /// Each string in it.
    pub(crate) fn texts(&self) -> Vec<&Template> {
        match self {
            Self::Object(fields) => fields.iter().flat_map(|(_, value)| value.texts()).collect(),
            Self::Array(values) => values.iter().flat_map(Self::texts).collect(),
            Self::Text(template) => vec![template],
            Self::Number(_) | Self::Boolean(_) => Vec::new(),
        }
    }

    /// What of the secret goes into it.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.texts().into_iter().flat_map(Template::slots)
    }

    /// Whether it is a hole for a number and nothing else.
    pub(crate) fn is_number(&self) -> bool {
        let Self::Text(template) = self else {
            return false;
        };
        matches!(template.pieces(), [Piece::Hole(_, HoleType::Integer)])
    }
}
