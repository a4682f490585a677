//! Runs what `host/document` made of a policy document, in the sandbox.
//!
//! The setting `program` is the compiled document. It is decoded and checked once,
//! when the policy is loaded. One call of a phase runs one segment of the section
//! of that phase: the statements up to the next policy that is not the document's.
//! What a document remembers between its calls, its variables above all, goes into
//! one variable of the exchange.
//!
//! Secrets never come here: a statement names one by its alias, and the host writes
//! it into the request, if a grant allows it.
//!
//! [`evaluate`] has the values and the evaluator of expressions.

#![forbid(unsafe_code)]

pub mod evaluate;
mod run;

use keyward_document_program::Program;
use keyward_document_program::statements::Phase;
use keyward_policy::{Decision, ErrorSource, Exchange, Schema, Setting, policy, settings};
use serde::Deserialize;

/// What the gateway sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The compiled document, in Base64.
    program: Compiled,
}

impl Settings {
    /// Settings with that program.
    ///
    /// # Errors
    /// A text of it is not what it has to be: a template, an address.
    pub fn new(program: Program) -> Result<Self, String> {
        Ok(Self {
            program: Compiled(run::Loaded::new(program)?),
        })
    }
}

/// A program that was decoded and checked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Compiled(run::Loaded);

impl TryFrom<String> for Compiled {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = data_encoding::BASE64
            .decode(text.as_bytes())
            .map_err(|_| "it is no Base64".to_owned())?;
        let program = Program::decode(&bytes).map_err(|invalid| invalid.to_string())?;
        run::Loaded::new(program).map(Self)
    }
}

impl Setting for Compiled {
    const SCHEMA: Schema = Schema::TEXT;
}

/// Runs the next segment of the inbound section.
///
/// # Errors
/// None: what fails is the verdict *fail*.
pub fn inbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    Ok(run::phase(&settings.program.0, *exchange, Phase::Inbound))
}

/// Runs the next segment of the backend section.
///
/// # Errors
/// As of [`inbound`].
pub fn backend(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    Ok(run::phase(&settings.program.0, *exchange, Phase::Backend))
}

/// Runs the next segment of the outbound section.
///
/// # Errors
/// As of [`inbound`].
pub fn outbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    Ok(run::phase(&settings.program.0, *exchange, Phase::Outbound))
}

/// Runs the next segment of the on-error section, against the answer that the failure
/// asks for.
///
/// # Errors
/// As of [`inbound`].
pub fn on_error(settings: &Settings, exchange: &Exchange<'_>, source: ErrorSource) -> Decision {
    Ok(run::on_error(&settings.program.0, *exchange, source))
}

policy! {
    settings: Settings,
    inbound: inbound,
    backend: backend,
    outbound: outbound,
    on_error: on_error,
}
