//! What `host/document` writes and the guest `document` runs: a checked policy
//! document as flat arrays that point into each other by index.
//!
//! A program is a table of [sections](container::Section), each with a form of its
//! own. The expressions' is [`expression::Expressions`]; its decoder checks every
//! index and limit once, so that evaluation parses nothing and can't run out of an
//! array. [`members`] is the table of all that expressions may name: the checker
//! resolves names by it, the guest has a function for each entry, and the
//! documentation's list comes from it.
//!
//! Nothing here trusts what it decodes: a program may have been tampered with, and
//! is an [`Invalid`] then, never a panic.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod container;
pub mod expression;
mod fold;
pub mod header;
pub mod kinds;
pub mod liquid;
pub mod members;
pub mod names;
mod rows;
pub mod statements;

use alloc::vec::Vec;

pub use expression::{ExpressionId, Expressions, Node, NodeId};
pub use kinds::Type;
pub use members::Member;
pub use names::{AttributeName, ElementName};
pub use rows::Row;
pub use statements::Statements;

/// A program: a compiled policy document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Its expressions.
    pub expressions: Expressions,
    /// Its statements.
    pub statements: Statements,
}

impl Program {
    /// Reads a program and checks all of it. Errors: see [`Invalid`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Invalid> {
        let sections = container::read(bytes)?;
        let find = |wanted| {
            let found = sections.iter().find(|(section, _)| *section == wanted);
            found.map(|(_, bytes)| *bytes).ok_or(Invalid::Missing)
        };
        let expressions = Expressions::decode(find(container::Section::Expressions)?)?;
        let statements =
            Statements::decode(find(container::Section::Statements)?, expressions.len())?;
        Ok(Self {
            expressions,
            statements,
        })
    }

    /// The program's bytes. Errors: a limit of the format's.
    pub fn encode(&self) -> Result<Vec<u8>, Invalid> {
        Ok(container::write(&[
            (container::Section::Expressions, self.expressions.encode()?),
            (container::Section::Statements, self.statements.encode()?),
        ]))
    }
}

/// Why bytes are no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// Not this format, or not this version of it.
    Format,
    /// It ends too early, or something follows its end.
    Length,
    /// A section that has to be there is not.
    Missing,
    /// An index points at nothing.
    Index,
    /// A member has too few or too many arguments.
    Arguments,
    /// Larger than the limits of [`expression`].
    Limit,
}

impl core::fmt::Display for Invalid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Format => "not a program of this version; compile the document again",
            Self::Length => "the program is cut short or has something behind its end",
            Self::Missing => "the program lacks a section",
            Self::Index => "the program points outside of itself",
            Self::Arguments => "the program calls a member with the wrong number of arguments",
            Self::Limit => "the program is larger than programs may be",
        })
    }
}

impl core::error::Error for Invalid {}
