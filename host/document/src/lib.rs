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
//! [`read::read`] reads one. Nothing is skipped in silence: each element, attribute and
//! text that has no meaning here is an error with its place in the file and what would
//! be valid, and all of them are found in one go. [`model::effective`] puts the broader
//! scope's statements where `<base/>` stands, [`compile::compile`] makes a program of
//! what is then in force.
//!
//! ```
//! use keyward_document::compile::{Bindings, Step, compile};
//! use keyward_document::model::{Document, NoFragments, effective};
//! use keyward_document::read::{Options, read};
//! use keyward_document::{DocumentErrors, Phase};
//!
//! let open = |file: &str, text: &str| -> Result<Document, DocumentErrors> {
//!     let reading = read(file, text, &Options::default());
//!     reading.document.ok_or(reading.diagnostics)
//! };
//! let global = open("global.xml", "<policies><inbound><wasm-policy name='log'/></inbound></policies>")?;
//! let billing = open(
//!     "billing.xml",
//!     "<policies><inbound><base/><wasm-policy name='attach-api-key'/></inbound></policies>",
//! )?;
//! let effective = effective(&[&global, &billing], &NoFragments).map_err(|errors| *errors)?;
//! let compiled = compile(&effective, &Bindings::default()).map_err(|errors| *errors)?;
//! let names = compiled.steps(Phase::Inbound).iter().map(|step| match step {
//!     Step::Policy { name, .. } => name.as_str(),
//!     Step::Segment => "a segment of the document",
//! });
//! assert_eq!(names.collect::<Vec<_>>(), ["log", "attach-api-key"]);
//!
//! let errors = open("typo.xml", "<policies><inbund/></policies>").unwrap_err();
//! assert!(errors.iter().any(|error| error.to_string().starts_with("typo.xml:1:11: ")));
//! # Ok::<(), DocumentErrors>(())
//! ```
//!
//! Values and texts may hold named values, `{{name}}`; see [`named_values`].
//!
//! This crate reads no files. The text of a document is not secret and may be
//! shown in error messages: a secret stands in it by a name, and is attached where a
//! grant says so.

#![forbid(unsafe_code)]

pub mod compile;
pub mod csharp;
mod decode;
mod error;
mod expression;
mod header;
pub mod model;
pub mod named_values;
mod open;
mod output;
pub mod policies;
mod position;
mod problem;
pub mod read;
mod report;
mod suggest;
mod tree;

use std::fmt;

pub use decode::Decoded;
pub use error::{DocumentError, DocumentErrors, Found, Problem};
pub use keyward_document_program::Member;
pub use output::sarif;
pub use position::Position;
pub use problem::{CODES, Severity};

/// How large a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The text in bytes.
    pub max_bytes: usize,
    /// Elements within each other.
    pub max_depth: usize,
    /// Elements altogether.
    pub max_elements: usize,
}

impl Limits {
    /// 512 KiB, 64 elements within each other, 16,384 elements.
    pub const POLICIES: Self = Self {
        max_bytes: 512 * 1024,
        max_depth: 64,
        max_elements: 16_384,
    };
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
