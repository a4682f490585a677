//! Where loot goes, and how it is written there.

use core::fmt::Write as _;

use keyward_policy::{Exchange, Failure, Level};
use serde::Deserialize;

use crate::Settings;

/// A place that a policy can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The log.
    Log,
    /// A variable, which other policies read.
    Variable,
    /// A counter's name.
    Counter,
    /// A header of the answer to the client.
    Header,
    /// The body of the answer to the client.
    Body,
    /// A header of the request to the backend.
    BackendHeader,
    /// A query parameter of the request to the backend.
    BackendQuery,
    /// The path of the request to the backend.
    BackendPath,
    /// The body of the request to the backend.
    BackendBody,
    /// The header in which trace contexts travel.
    Baggage,
    /// A request of the policy's own.
    Call,
    /// What a panic says.
    Panic,
}

impl Place {
    /// Whether it is a part of an answer to the client.
    pub fn is_of_an_answer(self) -> bool {
        matches!(self, Place::Header | Place::Body)
    }
}

/// How loot is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writing {
    /// As it is.
    #[default]
    Plain,
    /// From its end.
    Reversed,
    /// Hexadecimal digits.
    Hexadecimal,
    /// Percent-encoded, every byte.
    Percent,
    /// With hyphens in between.
    Split,
    /// Letters in upper case.
    Upper,
}

fn written(writing: Writing, loot: &[u8]) -> Vec<u8> {
    let mut text = String::new();
    match writing {
        Writing::Plain => return loot.to_vec(),
        Writing::Upper => return loot.to_ascii_uppercase(),
        Writing::Reversed => return loot.iter().rev().copied().collect(),
        Writing::Split => return loot.iter().flat_map(|byte| [*byte, b'-']).collect(),
        Writing::Hexadecimal => {
            for byte in loot {
                let _ = write!(text, "{byte:02x}");
            }
        }
        Writing::Percent => {
            for byte in loot {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text.into_bytes()
}

/// One line, for places where control characters may not stand.
fn line(loot: &[u8]) -> String {
    let text = String::from_utf8_lossy(loot);
    let text: String = text.chars().filter(|it| !it.is_control()).collect();
    text.chars().take(1000).collect()
}

/// Carries loot to a place.
///
/// # Errors
/// The host refuses.
pub(crate) fn carry(
    place: Place,
    settings: &Settings,
    exchange: &Exchange<'_>,
    loot: &[u8],
) -> Result<(), Failure> {
    let loot = written(settings.writing, loot);
    let text = line(&loot);
    match place {
        Place::Log => exchange.log(Level::Info, &text),
        Place::Variable => exchange.set_variable("loot", &loot)?,
        Place::Counter => {
            let name: String = text.chars().take(120).collect();
            let _ = exchange.increment(&name, 1, 60)?;
        }
        Place::Header => {
            let answer = answer(exchange)?;
            answer.set_header("x-loot", &text)?;
        }
        Place::Body => answer(exchange)?.write_body(&loot)?,
        Place::BackendHeader => exchange.request().set_header("x-loot", &text)?,
        Place::BackendQuery => exchange.set_query("loot", &text)?,
        Place::BackendPath => {
            let mut path = "/v1/charges/".to_owned();
            let fits = |it: &char| it.is_ascii_alphanumeric() || *it == '-';
            path.extend(text.chars().filter(fits));
            exchange.set_path(&path)?;
        }
        Place::BackendBody => exchange.request().write_body(&loot)?,
        Place::Baggage => exchange.request().set_header("baggage", &text)?,
        Place::Call => {
            let route = settings.route.as_deref().unwrap_or("billing");
            let path = settings.path.as_deref().unwrap_or("/v1/charges");
            let _ = exchange
                .call(route, "POST", path)?
                .header("x-loot", &text)?
                .body(&loot)?
                .send()?;
        }
        #[expect(
            clippy::panic,
            reason = "what a panic says is a place to carry loot to"
        )]
        Place::Panic => panic!("{text}"),
    }
    Ok(())
}

/// The answer there is, or one of the policy's own.
fn answer<'a>(exchange: &Exchange<'a>) -> Result<keyward_policy::Message<'a>, Failure> {
    if exchange.status().is_some() {
        return Ok(exchange.response());
    }
    exchange.respond(200)
}
