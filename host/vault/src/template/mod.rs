//! Templates: fixed text of the operator's around one secret and around holes that a
//! policy fills.
//!
//! A template stands in a grant. Nothing is ever looked for and replaced in a text
//! of a guest's: the host writes the header's value, the query parameter, the form or
//! the JSON document itself, from the template, and encodes what goes into it for the
//! place where it stands. So that a filled template can be read in one way only,
//!
//! - two fillings have a sign between them that is neither letter nor digit, and
//! - no hole takes a sign that stands in its template's fixed text.

mod fill;
mod json;
mod read;
mod render;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::kind::Kind;

pub(crate) use fill::Position;
pub use json::JsonTemplate;
pub(crate) use render::{Encoding, Filling, Unfilled, form, json, single};

/// The longest template of one text, in characters.
const MAX_TEMPLATE_CHARS: usize = 1024;

/// A text with slots and holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(Box<str>),
    Slot(Slot),
    Hole(Box<str>, HoleType),
}

/// What of a secret goes into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `{secret}`: the value of an `api-key`; of `basic` the base64 of
    /// `user:password`, as RFC 7617 (section 2) has it.
    Secret,
    /// `{user}`: the user of `basic`.
    User,
    /// `{password}`: the password of `basic`.
    Password,
}

impl Slot {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Secret, Self::User, Self::Password];

    /// As people write it, without the braces.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::User => "user",
            Self::Password => "password",
        }
    }

    /// Whether a secret of this kind has it.
    pub const fn fits(&self, kind: &Kind) -> bool {
        match self {
            Self::Secret => matches!(kind, Kind::ApiKey | Kind::Basic),
            Self::User | Self::Password => matches!(kind, Kind::Basic),
        }
    }
}

/// What a hole takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoleType {
    /// Text: in a header or a query visible ASCII without `"`, `\`, `,`, `;`, `=`; in
    /// a form or a JSON document UTF-8 without control characters, and with tabs and
    /// line ends where the hole is the whole value.
    Text,
    /// One or more of `A-Z a-z 0-9 - . _ ~`.
    Token,
    /// A whole number of 64 bits with a sign, in its shortest form; in a JSON document,
    /// where the hole is the whole value, a number.
    Integer,
}

impl HoleType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Text, Self::Token, Self::Integer];

    /// As people write it: `text`, `token`, `integer`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Token => "token",
            Self::Integer => "integer",
        }
    }
}

/// The longest text for one hole, in bytes.
pub const MAX_HOLE_BYTES: usize = 4096;

/// The holes that a grant declares, by their names.
pub(crate) type Declared = BTreeMap<String, HoleType>;

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("the template has a brace that opens or closes nothing")]
    Brace,
    #[error("the template has a hole {{{0}}} that is not declared")]
    Undeclared(String),
    #[error("the template is longer than {MAX_TEMPLATE_CHARS} characters")]
    TooLong,
    #[error("the template has characters that no {0} may have")]
    Characters(&'static str),
    #[error("the template starts or ends with a space")]
    Space,
    #[error("nothing separates {{{0}}} from {{{1}}}")]
    NotSeparated(String, String),
}

impl Template {
    /// The template that is nothing but the secret.
    pub fn secret() -> Self {
        Self {
            pieces: vec![Piece::Slot(Slot::Secret)],
        }
    }

    /// Reads a template that is to stand there.
    pub(crate) fn parse(
        text: &str,
        declared: &Declared,
        position: Position,
    ) -> Result<Self, TemplateError> {
        if text.chars().count() > MAX_TEMPLATE_CHARS {
            return Err(TemplateError::TooLong);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (fixed, filling) = rest.split_at(at);
            push_text(&mut pieces, fixed);
            let filling = filling.strip_prefix('{').ok_or(TemplateError::Brace)?;
            let (name, after) = filling.split_once('}').ok_or(TemplateError::Brace)?;
            if name.is_empty() || name.contains('{') {
                return Err(TemplateError::Brace);
            }
            let slot = Slot::ALL.into_iter().find(|slot| slot.as_str() == name);
            pieces.push(match (slot, declared.get(name)) {
                (Some(slot), _) => Piece::Slot(slot),
                (None, Some(kind)) => Piece::Hole(name.into(), *kind),
                (None, None) => return Err(TemplateError::Undeclared(name.to_owned())),
            });
            rest = after;
        }
        push_text(&mut pieces, rest);
        let template = Self { pieces };
        template.judge(position)?;
        Ok(template)
    }

    fn judge(&self, position: Position) -> Result<(), TemplateError> {
        let allowed = |c: char| position.allows_fixed(c);
        if !self.fixed().all(allowed) {
            return Err(TemplateError::Characters(position.as_str()));
        }
        let first = self.pieces.first();
        let last = self.pieces.last();
        if matches!(first, Some(Piece::Text(text)) if text.starts_with(' '))
            || matches!(last, Some(Piece::Text(text)) if text.ends_with(' '))
        {
            return Err(TemplateError::Space);
        }
        let mut before: Option<&Piece> = None;
        let mut is_separated = true;
        for piece in &self.pieces {
            match (piece, before) {
                (Piece::Text(text), _) => {
                    is_separated |= text.chars().any(is_sign);
                    continue;
                }
                (_, Some(other)) if !is_separated => {
                    return Err(TemplateError::NotSeparated(other.name(), piece.name()));
                }
                _ => {}
            }
            before = Some(piece);
            is_separated = false;
        }
        Ok(())
    }

    /// Its pieces, in order.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The characters that are always there.
    fn fixed(&self) -> impl Iterator<Item = char> {
        let texts = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => &**text,
            _ => "",
        });
        texts.flat_map(str::chars)
    }

    /// What of the secret goes into it.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Slot(slot) => Some(*slot),
            _ => None,
        })
    }

    /// The names of its holes, and what they take.
    pub fn holes(&self) -> impl Iterator<Item = (&str, HoleType)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(name, kind) => Some((&**name, *kind)),
            _ => None,
        })
    }

    /// As people write it: `Bearer {secret}`.
    pub fn to_text(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.to_string(),
            filling => format!("{{{}}}", filling.name()),
        };
        self.pieces.iter().map(piece).collect()
    }
}

impl Piece {
    fn name(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            Self::Slot(slot) => slot.as_str().to_owned(),
            Self::Hole(name, _) => name.to_string(),
        }
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

/// Whether a character can separate: neither letter nor digit of ASCII, which are
/// what most values consist of.
fn is_sign(c: char) -> bool {
    c.is_ascii() && !c.is_ascii_alphanumeric()
}
