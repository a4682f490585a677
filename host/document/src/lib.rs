//! Policy documents, read and checked.
//!
//! A document is the XML in which a pipeline's policies are listed, in the
//! shape of Azure API Management:
//!
//! ```xml
//! <policies>
//!   <inbound>
//!     <base />
//!     <wasm-policy name="require-client-key" />
//!     <set-header name="x-team" exists-action="override"><value>billing</value></set-header>
//!   </inbound>
//!   <backend><base /></backend>
//!   <outbound><base /></outbound>
//!   <on-error><base /></on-error>
//! </policies>
//! ```
//!
//! [`Document::parse`] reads one. Nothing is skipped in silence: each element,
//! attribute and text that has no meaning here is an error with its place in
//! the file and what would be valid, and all of them are found in one go.
//! [`Document::splice`] puts the outer scope's steps where `<base/>` stands.
//!
//! ```
//! use keyward_document::{Document, Phase, Step};
//!
//! let global = Document::parse("global.xml", "<policies><inbound><wasm-policy name='log'/></inbound></policies>")?;
//! let billing = Document::parse(
//!     "billing.xml",
//!     "<policies><inbound><base/><wasm-policy name='attach-api-key'/></inbound></policies>",
//! )?;
//! let effective = billing.splice(Some(&global));
//! let names: Vec<_> = effective.calls(Phase::Inbound).into_iter().map(|call| call.policy).collect();
//! assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["log", "attach-api-key"]);
//!
//! let errors = Document::parse("typo.xml", "<policies><inbund/></policies>").unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "typo.xml:1:11: unknown element \"inbund\" in <policies>; did you mean \"inbound\"?"
//! );
//! # Ok::<(), keyward_document::DocumentErrors>(())
//! ```
//!
//! Values and texts may hold named values, `{{name}}`; see [`named_values`].
//!
//! This crate reads no files. The text of a document is not secret and may be
//! shown in error messages: secrets are attached by granted policies and have no
//! place in it.

#![forbid(unsafe_code)]

pub mod compile;
pub mod csharp;
mod decode;
mod error;
mod expression;
mod header;
pub mod model;
pub mod named_values;
mod output;
mod parse;
pub mod policies;
mod position;
mod problem;
pub mod read;
mod report;
mod set_header;
mod set_variable;
mod splice;
mod suggest;
mod tree;

use std::fmt;
use std::sync::Arc;

use keyward_names::PolicyName;

use crate::named_values::{NamedValues, Unresolved};

pub use decode::Decoded;
pub use error::{DocumentError, DocumentErrors, Found, Problem};
pub use header::{ExistsAction, HeaderName, SetHeader};
pub use keyward_document_program::Member;
pub use output::sarif;
pub use position::Position;
pub use problem::{CODES, Severity};
pub use splice::{Call, Dropped, Effective};

/// How large a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The text in bytes. 256 KiB by default.
    pub max_bytes: usize,
    /// Elements within each other. 32 by default.
    pub max_depth: usize,
    /// Elements altogether. 4096 by default.
    pub max_elements: usize,
}

impl Limits {
    /// For documents that are read in full ([`read::read`]): 512 KiB, 64 elements within
    /// each other, 16,384 elements.
    pub const POLICIES: Self = Self {
        max_bytes: 512 * 1024,
        max_depth: 64,
        max_elements: 16_384,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 256 * 1024,
            max_depth: 32,
            max_elements: 4096,
        }
    }
}

/// A policy document, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    file: Arc<str>,
    sections: [Option<Section>; 4],
    complete: bool,
}

impl Document {
    /// Reads a document within the default [`Limits`]. `file` is only for
    /// messages. Named values are not looked up; see
    /// [`is_complete`](Self::is_complete). Errors: everything that is wrong with
    /// the text.
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentErrors> {
        Self::parse_within(&Limits::default(), file, text)
    }

    /// Reads a document within limits of the caller's.
    pub fn parse_within(limits: &Limits, file: &str, text: &str) -> Result<Self, DocumentErrors> {
        parse::parse(file, text, limits, &Unresolved)
    }

    /// Reads a document within the default [`Limits`] and puts the named values
    /// in. What a value brings is checked as if it had been written there.
    pub fn parse_with(
        file: &str,
        text: &str,
        values: &dyn NamedValues,
    ) -> Result<Self, DocumentErrors> {
        parse::parse(file, text, &Limits::default(), values)
    }

    /// Whether every named value was known. Steps with one that was not are left
    /// out, and such a document can be checked but must not be run.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// A section; `None` if the document has none of that name.
    pub fn section(&self, phase: Phase) -> Option<&Section> {
        self.sections.get(phase.index()).and_then(Option::as_ref)
    }

    /// The file's name as it was given to [`parse`](Self::parse).
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// A section of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    position: Position,
    steps: Vec<Step>,
}

impl Section {
    /// Its steps, in the order of the text.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where its start tag stands.
    pub fn position(&self) -> &Position {
        &self.position
    }
}

/// One element of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `<base/>`: the outer scope's steps. At most one in a section.
    Base(Position),
    /// `<wasm-policy name="…"/>`: run that policy.
    Policy {
        /// Its name in the gateway's configuration.
        name: PolicyName,
        /// Where the step stands.
        position: Position,
    },
    /// `<set-header>`.
    SetHeader(SetHeader),
    /// `<set-variable>`: checked, and nothing that runs by itself.
    SetVariable(SetVariable),
}

/// A variable that stands for a secret. It never holds the secret's value, and no
/// policy finds it among the variables of an exchange: it is the document's word for
/// the secret, and a use of it needs a grant like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetVariable {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) position: Position,
}

impl Step {
    /// Where the step stands.
    pub fn position(&self) -> &Position {
        match self {
            Self::Base(position) | Self::Policy { position, .. } => position,
            Self::SetHeader(step) => step.position(),
            Self::SetVariable(step) => step.position(),
        }
    }

    /// The step if it is a `<set-header>`.
    pub fn as_set_header(&self) -> Option<&SetHeader> {
        match self {
            Self::SetHeader(step) => Some(step),
            Self::Base(_) | Self::Policy { .. } | Self::SetVariable(_) => None,
        }
    }

    /// The step if it is a `<set-variable>`.
    pub fn as_set_variable(&self) -> Option<&SetVariable> {
        match self {
            Self::SetVariable(step) => Some(step),
            Self::Base(_) | Self::Policy { .. } | Self::SetHeader(_) => None,
        }
    }
}

/// A stage of an exchange, and the section of a document that is about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before the backend is chosen.
    Inbound,
    /// Before the request leaves.
    Backend,
    /// After the backend has answered.
    Outbound,
    /// After a failure.
    OnError,
}

impl Phase {
    /// All phases, in the order in which they come.
    pub const ALL: [Self; 4] = [Self::Inbound, Self::Backend, Self::Outbound, Self::OnError];

    /// The phase as documents spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Backend => "backend",
            Self::Outbound => "outbound",
            Self::OnError => "on-error",
        }
    }

    /// The phase's element, for messages.
    fn place(self) -> &'static str {
        match self {
            Self::Inbound => "<inbound>",
            Self::Backend => "<backend>",
            Self::Outbound => "<outbound>",
            Self::OnError => "<on-error>",
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Inbound => 0,
            Self::Backend => 1,
            Self::Outbound => 2,
            Self::OnError => 3,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
