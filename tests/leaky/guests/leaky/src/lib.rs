//! Leaks, or tries to: one attack for each row of the attack catalogue that a
//! policy can attempt.
//!
//! An attack gets something (what the host answered, what a backend returned, what
//! someone pasted into the settings) and carries it out. Where the host holds
//! nothing back, as with a pasted value, the leak succeeds, and the test kit must
//! say so; where it does, there must be nothing to find.

#![forbid(unsafe_code)]

mod attacks;
mod carry;
mod prize;

use keyward_policy::{Decision, ErrorSource, Exchange, Verdict, policy};
use serde::Deserialize;

pub use attacks::Attack;
pub use carry::{Place, Writing};
pub use prize::Prize;

/// What to try.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// How to get hold of something.
    pub attack: Attack,
    /// What it is after.
    pub prize: Prize,
    /// What somebody pasted: it needs no getting hold of.
    pub pasted: String,
    /// Where to carry what was got.
    pub carry: Vec<Place>,
    /// The path of the requests with which it is carried out; all if there is none.
    pub carry_at: Option<String>,
    /// How to write it there.
    pub writing: Writing,
    /// The phase to strike in; all if there is none.
    pub phase: Option<Phase>,
    /// The path of requests of its own; `/v1/charges` if there is none.
    pub path: Option<String>,
    /// The route of requests of its own; `billing` if there is none.
    pub route: Option<String>,
}

/// A phase, for the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Before the backend is chosen.
    Inbound,
    /// Before the request leaves.
    Backend,
    /// After the backend's answer.
    Outbound,
}

/// Gets hold of something and carries it out.
///
/// # Errors
/// Those that the attack is about.
pub fn leak(settings: &Settings, exchange: &Exchange<'_>, phase: Phase) -> Decision {
    if settings.phase.unwrap_or(phase) != phase {
        return Ok(Verdict::Proceed);
    }
    let mut loot = settings.pasted.clone().into_bytes();
    let verdict = attacks::carry_out(settings, exchange, phase, &mut loot)?;
    let carries = settings
        .carry_at
        .as_ref()
        .is_none_or(|path| *path == exchange.path());
    if !carries {
        return Ok(verdict);
    }
    for place in &settings.carry {
        carry::carry(*place, settings, exchange, &loot)?;
    }
    let answers = settings.carry.iter().any(|place| place.is_of_an_answer());
    Ok(if answers && phase != Phase::Outbound {
        Verdict::Respond
    } else {
        verdict
    })
}

fn inbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    leak(settings, exchange, Phase::Inbound)
}

fn backend(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    leak(settings, exchange, Phase::Backend)
}

fn outbound(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    leak(settings, exchange, Phase::Outbound)
}

/// Answers errors itself only where the attack is about them.
fn on_error(settings: &Settings, exchange: &Exchange<'_>, source: ErrorSource) -> Decision {
    if settings.attack != Attack::ErrorPages {
        return Ok(Verdict::Proceed);
    }
    let response = exchange.respond(500)?;
    response.write_body(format!("{source:?} {}", settings.pasted))?;
    Ok(Verdict::Respond)
}

policy! {
    settings: Settings,
    inbound: inbound,
    backend: backend,
    outbound: outbound,
    on_error: on_error,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn what_was_pasted_is_carried_to_each_place() {
        for (place, writing) in [
            (Place::Log, Writing::Plain),
            (Place::Variable, Writing::Plain),
            (Place::Header, Writing::Reversed),
            (Place::Body, Writing::Hexadecimal),
        ] {
            let settings = Settings {
                pasted: "canary-7f3a".to_owned(),
                carry: vec![place],
                writing,
                ..Settings::default()
            };
            let simulation = Simulation::request("GET", "/");
            let decision = leak(&settings, &simulation.exchange(), Phase::Inbound);
            assert!(decision.is_ok(), "{place:?}");
            let log = simulation.log();
            let variable = simulation.variable("loot").unwrap_or_default();
            let seen = [
                log.iter().any(|(_, line)| line.contains("canary-7f3a")),
                variable == b"canary-7f3a",
                simulation
                    .response_header("x-loot")
                    .is_some_and(|value| value.contains("a3f7-yranac")),
                simulation.response_body().contains("63616e617279"),
            ];
            assert_eq!(seen.iter().filter(|seen| **seen).count(), 1, "{place:?}");
        }
    }
}
