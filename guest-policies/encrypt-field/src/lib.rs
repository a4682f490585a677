//! Seals fields of JSON bodies on their way to one side, and opens them on their way
//! back.
//!
//! So a backend can keep a card's number or a diagnosis without reading it, or a client
//! can hold what only the backend is to read. The host does the cryptography and keeps
//! the key; the policy names the fields. A sealed value is a string, `sealed.` and
//! base64url, and opens in a field of the same name only.
//!
//! Everything in a field is sealed, even what looks sealed: whoever sends it can't slip
//! in a value that was sealed for somebody else. What can't be read is not passed on.

#![forbid(unsafe_code)]

use data_encoding::BASE64URL_NOPAD;
use keyward_policy::{
    Decision, Exchange, Failure, Level, Message, Opener, Problem, Sealer, Verdict, policy, settings,
};
use serde_json::Value;

/// The longest body, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// What a sealed value starts with.
const PREFIX: &str = "sealed.";

/// Who keeps the fields without reading them.
#[settings]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Sealed in requests, opened in answers: the backend keeps what it can't read.
    Backend,
    /// Sealed in answers, opened in requests: the client does.
    Client,
}

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// The grants' alias for the key.
    #[setting(default = "field-key")]
    pub alias: String,
    /// The names of the fields, wherever they stand in a body.
    #[setting(min = 1)]
    pub fields: Vec<String>,
    /// Who keeps the fields without reading them.
    #[setting(default = "backend")]
    pub keeper: Keeper,
    /// What the data are, such as `payments`: what was sealed under one name does not
    /// open under another.
    #[setting(default = "")]
    pub context: String,
}

/// What is done with the fields of a body.
enum Work<'a> {
    Seal(Sealer<'a>),
    Open(Opener<'a>),
}

/// The request: sealed for the backend, or opened for it.
///
/// # Errors
/// [`Failure`], as the host refused it; [`Failure::Limit`] for a body that is too long.
pub fn decide_inbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let work = match settings.keeper {
        Keeper::Backend => Work::Seal(exchange.sealer(&settings.alias)?),
        Keeper::Client => Work::Open(exchange.opener(&settings.alias)?),
    };
    match rewrite(settings, &exchange.request(), &work) {
        Ok(()) => Ok(Verdict::Proceed),
        Err(Unread::Failed(failure)) => Err(failure),
        Err(Unread::Body | Unread::Field) => exchange.reject(
            Problem::new(400, "Bad Request").detail("The body or a field of it can't be read."),
        ),
    }
}

/// The answer: opened for the client, or sealed for it.
///
/// # Errors
/// As of [`decide_inbound`].
pub fn decide_outbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let work = match settings.keeper {
        Keeper::Backend => Work::Open(exchange.opener(&settings.alias)?),
        Keeper::Client => Work::Seal(exchange.sealer(&settings.alias)?),
    };
    match rewrite(settings, &exchange.response(), &work) {
        Ok(()) => Ok(Verdict::Proceed),
        Err(Unread::Failed(failure)) => Err(failure),
        Err(unread) => {
            exchange.log(
                Level::Error,
                match unread {
                    Unread::Field => "a field of the answer was not sealed by this policy",
                    _ => "the answer can't be read as JSON",
                },
            );
            Ok(Verdict::Fail)
        }
    }
}

/// Why a body was not rewritten.
enum Unread {
    Failed(Failure),
    /// It is no JSON, or encoded.
    Body,
    /// A field of it does not open.
    Field,
}

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn rewrite(settings: &Settings, message: &Message<'_>, work: &Work<'_>) -> Result<(), Unread> {
    let media_type = message.header_text("content-type").unwrap_or_default();
    if !media_type.to_ascii_lowercase().contains("json") {
        return Ok(());
    }
    if message.has_header("content-encoding") {
        return Err(Unread::Body);
    }
    let body = message.body(MAX_BODY)?;
    if body.is_empty() {
        return Ok(());
    }
    let mut document: Value = serde_json::from_slice(&body).map_err(|_| Unread::Body)?;
    if !work_on(settings, &mut document, work)? {
        return Ok(());
    }
    // They describe the body that was.
    for name in [
        "etag",
        "content-digest",
        "repr-digest",
        "content-md5",
        "digest",
    ] {
        message.remove_header(name)?;
    }
    message.write_body(document.to_string())?;
    Ok(())
}

/// Whether a field was there.
fn work_on(settings: &Settings, value: &mut Value, work: &Work<'_>) -> Result<bool, Unread> {
    let mut found = false;
    match value {
        Value::Object(object) => {
            for (name, inner) in object.iter_mut() {
                if settings.fields.contains(name) && !inner.is_null() {
                    *inner = field(settings, name, inner, work)?;
                    found = true;
                } else {
                    found |= work_on(settings, inner, work)?;
                }
            }
        }
        Value::Array(values) => {
            for inner in values {
                found |= work_on(settings, inner, work)?;
            }
        }
        _ => {}
    }
    Ok(found)
}

fn field(settings: &Settings, name: &str, value: &Value, work: &Work<'_>) -> Result<Value, Unread> {
    let context = [settings.context.as_bytes(), b"\0", name.as_bytes()].concat();
    match work {
        Work::Seal(key) => {
            let sealed = key.seal(value.to_string().as_bytes(), &context)?;
            Ok(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&sealed)).into())
        }
        Work::Open(key) => {
            let sealed = value.as_str().and_then(|text| text.strip_prefix(PREFIX));
            let sealed = sealed.ok_or(Unread::Field)?;
            let sealed = BASE64URL_NOPAD.decode(sealed.as_bytes());
            let sealed = sealed.map_err(|_| Unread::Field)?;
            let text = key
                .open(&sealed, &context)
                .map_err(|failure| match failure {
                    Failure::Invalid => Unread::Field,
                    other => Unread::Failed(other),
                })?;
            serde_json::from_slice(&text).map_err(|_| Unread::Field)
        }
    }
}

policy! {
    settings: Settings,
    inbound: decide_inbound,
    outbound: decide_outbound,
}

#[cfg(test)]
mod tests;
