//! What a policy puts into the holes of a template: names and texts.

use std::sync::Arc;

use crate::chosen::OtherChoice;

/// The most holes that are filled at once.
pub const MAX_HOLES: usize = 32;
/// The most bytes of all names and texts together.
pub const MAX_HOLES_BYTES: usize = 32 << 10;

/// The texts for the holes of a template, by their names. Cheap to clone.
///
/// No `Debug`: it is what a client sent, more often than not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Holes(Arc<[(Box<str>, Box<str>)]>);

crate::secret::assert_not_implemented!(Holes: std::fmt::Debug, std::fmt::Display, serde::Serialize);

impl Holes {
    /// The texts, by the names of their holes. Whether they fit is for the grant to
    /// say.
    ///
    /// Errors: there are more than [`MAX_HOLES`], or [`MAX_HOLES_BYTES`] of them, or
    /// two for one name.
    pub fn new(holes: Vec<(String, String)>) -> Result<Self, OtherChoice> {
        if holes.len() > MAX_HOLES {
            return Err(OtherChoice);
        }
        let bytes: usize = holes
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        let mut rest = holes.as_slice();
        while let [(name, _), others @ ..] = rest {
            if others.iter().any(|(other, _)| other == name) {
                return Err(OtherChoice);
            }
            rest = others;
        }
        if bytes > MAX_HOLES_BYTES {
            return Err(OtherChoice);
        }
        let boxed = |(name, text): (String, String)| (name.into_boxed_str(), text.into_boxed_str());
        Ok(Self(holes.into_iter().map(boxed).collect()))
    }

    /// The text for a hole.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut holes = self.0.iter();
        holes
            .find(|(known, _)| **known == *name)
            .map(|(_, text)| &**text)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}
