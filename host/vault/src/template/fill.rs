//! What a hole takes, at the place where it stands.

use super::{HoleType, MAX_HOLE_BYTES, Piece, Template, is_sign};
use crate::chosen::OtherChoice;
use crate::holes::Holes;

/// Where a template's text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Into a header's value.
    Header,
    /// Into the value of a parameter of the query.
    Query,
    /// Into the value of a form's field.
    Form,
    /// Into a string of a JSON document.
    Json,
}

impl Position {
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Query => "query",
            Self::Form => "form",
            Self::Json => "JSON string of ours",
        }
    }

    /// Whether a character may stand in the fixed text.
    pub(super) fn allows_fixed(self, c: char) -> bool {
        match self {
            Self::Header | Self::Query => c == ' ' || c.is_ascii_graphic(),
            Self::Form | Self::Json => !c.is_control(),
        }
    }

    /// Whether a character may stand in a text for a hole.
    fn allows(self, c: char, is_whole: bool) -> bool {
        match self {
            Self::Header | Self::Query => c.is_ascii_graphic() && !"\"\\,;=".contains(c),
            Self::Form | Self::Json => {
                !c.is_control() || is_whole && matches!(c, '\n' | '\r' | '\t')
            }
        }
    }
}

impl Template {
    /// Whether each hole has a text that fits it there.
    pub(crate) fn takes(&self, holes: &Holes, position: Position) -> Result<(), OtherChoice> {
        let is_whole = self.pieces.len() == 1;
        let fits = |piece: &Piece| match piece {
            Piece::Text(_) | Piece::Slot(_) => true,
            Piece::Hole(name, kind) => holes
                .get(name)
                .is_some_and(|text| self.fits(text, *kind, position, is_whole)),
        };
        match self.pieces.iter().all(fits) {
            true => Ok(()),
            false => Err(OtherChoice),
        }
    }

    fn fits(&self, text: &str, kind: HoleType, position: Position, is_whole: bool) -> bool {
        let is_of_type = match kind {
            HoleType::Text => text.chars().all(|c| position.allows(c, is_whole)),
            HoleType::Token => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
                !text.is_empty() && text.chars().all(allowed)
            }
            HoleType::Integer => text
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == text),
        };
        let is_fixed = |c: char| is_sign(c) && self.fixed().any(|fixed| fixed == c);
        text.len() <= MAX_HOLE_BYTES && is_of_type && !text.chars().any(is_fixed)
    }
}
