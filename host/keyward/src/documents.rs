//! Policy documents on the way into the engine: a compiled document as the settings
//! and the asks of the policy that runs it.

use data_encoding::BASE64;
use keyward_document::compile::{Compiled, SecretRequest};
use keyward_engine::ManifestAsk;
use keyward_names::Alias;
use serde_json::{Value, json};

use crate::pipeline::Forwards;

/// What stands for the global scope where nobody wrote a document for it: as in API
/// Management at its beginning, each request is forwarded, and that is all.
pub const GLOBAL_DOCUMENT: &str = "<policies><inbound /><backend><forward-request /></backend>\
                                   <outbound /><on-error /></policies>";

/// What a policy gets that runs a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Runs {
    /// Its settings: the document's program.
    pub settings: Value,
    /// The uses of secrets that the document asks for.
    pub asks: Vec<ManifestAsk>,
}

/// A document's program is larger than programs can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the document's program is too large: let fragments or an own pipeline do a part of it")]
pub struct TooLarge;

impl Runs {
    /// What the policy gets that runs this document.
    ///
    /// Errors: its program is too large.
    pub fn of(compiled: &Compiled) -> Result<Self, TooLarge> {
        let program = compiled.program.encode().map_err(|_| TooLarge)?;
        Ok(Runs {
            settings: json!({ "program": BASE64.encode(&program) }),
            // What is no alias can be granted to nobody, and is not asked for.
            asks: compiled.requests.iter().filter_map(ask).collect(),
        })
    }
}

fn ask(request: &SecretRequest) -> Option<ManifestAsk> {
    Some(ManifestAsk {
        alias: Alias::parse(&request.alias).ok()?,
        setting: None,
        use_: request.use_.to_owned(),
        why: match &request.position {
            Some(position) => format!("the document asks for it at {position}"),
            None => "the document asks who calls".to_owned(),
        },
    })
}

impl From<keyward_document::compile::Forwards> for Forwards {
    fn from(forwards: keyward_document::compile::Forwards) -> Self {
        match forwards {
            keyward_document::compile::Forwards::Host => Forwards::ByHost,
            keyward_document::compile::Forwards::Document => Forwards::ByPolicies,
        }
    }
}
