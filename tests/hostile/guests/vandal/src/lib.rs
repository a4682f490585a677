//! Tries to stop, crash or starve the host.
//!
//! A test names one attack in the settings and looks whether the host lives, and
//! how long it took.

#![forbid(unsafe_code)]

use core::hint::black_box;

use keyward_policy::{Decision, ErrorSource, Exchange, Failure, Level, Verdict, policy};
use serde::Deserialize;

/// What to do, and when.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Settings {
    attack: Attack,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    attack: Attack,
    #[serde(default)]
    at: When,
}

/// When to strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum When {
    /// In each call of a phase.
    #[default]
    Call,
    /// While the settings are read.
    Configure,
}

/// One way to do damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Never return.
    Loop,
    /// Take all the memory there is, and touch it.
    Grow,
    /// Die.
    Trap,
    /// Call itself until the stack is used up.
    Recurse,
    /// Write lines to the log without end.
    FloodLog,
    /// Call the host without end.
    FloodCalls,
    /// Open handles without closing them, until the host refuses.
    FloodHandles,
    /// Add headers until the host refuses.
    FloodHeaders,
    /// Write variables until the host refuses.
    FloodVariables,
    /// Start counters until the host refuses.
    FloodCounters,
    /// Write a body until the host refuses.
    FloodBody,
    /// Send requests of its own, to the route `billing`, until the host refuses.
    FloodRequests,
    /// Hand over malformed names, values and paths. The variable `accepted` lists
    /// those that the host took.
    Forge,
    /// Claim to have responded.
    Lie,
    /// Give up.
    Fail,
}

impl TryFrom<Written> for Settings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        if written.at == When::Configure {
            match written.attack {
                Attack::Loop => forever(),
                Attack::Grow => grow(),
                Attack::Trap => die(),
                Attack::Recurse => _ = recurse(0),
                Attack::Fail => return Err("these settings will never do"),
                _ => return Err("this attack needs an exchange"),
            }
        }
        Ok(Self {
            attack: written.attack,
        })
    }
}

/// Does damage.
///
/// # Errors
/// None that an attack is about.
pub fn strike(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    match settings.attack {
        Attack::Loop => forever(),
        Attack::Grow => grow(),
        Attack::Trap => die(),
        Attack::Recurse => _ = recurse(0),
        Attack::Lie => return Ok(Verdict::Respond),
        Attack::Fail => return Ok(Verdict::Fail),
        Attack::Forge => forge(exchange)?,
        Attack::FloodLog => {
            let line = "flood ".repeat(170);
            loop {
                exchange.log(Level::Error, &line);
            }
        }
        Attack::FloodCalls => loop {
            black_box(exchange.method());
        },
        Attack::FloodHandles => {
            let mut kept = Vec::new();
            until_refused(|_| {
                exchange
                    .credential("backend")
                    .map(|handle| kept.push(handle))
            })
        }
        Attack::FloodHeaders => {
            let value = "v".repeat(4096);
            until_refused(|n| exchange.request().append_header(&format!("x-{n}"), &value));
        }
        Attack::FloodVariables => {
            let value = vec![b'v'; 4096];
            until_refused(|n| exchange.set_variable(&format!("v{n}"), &value));
        }
        Attack::FloodCounters => {
            until_refused(|n| exchange.increment(&format!("c{n}"), 1, 86_400).map(drop));
        }
        Attack::FloodBody => {
            let part = vec![b'b'; 16 * 1024];
            until_refused(|_| exchange.request().write_body(&part));
        }
        Attack::FloodRequests => until_refused(|_| {
            exchange
                .call("billing", "GET", "/")
                .and_then(|request| request.send())
                .map(drop)
        }),
    }
    Ok(Verdict::Proceed)
}

fn forever() -> ! {
    loop {
        black_box(());
    }
}

fn grow() -> ! {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(vec![1_u8; 1 << 20]));
    }
}

fn die() {
    let nothing: Option<u8> = black_box(None);
    nothing.expect("there is something");
}

fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    let frame = black_box([depth; 16]);
    // Not in tail position, so that each call keeps its frame.
    recurse(depth.wrapping_add(1)).wrapping_add(frame[0])
}

fn until_refused(mut attempt: impl FnMut(u64) -> Result<(), Failure>) {
    let mut count = 0;
    while attempt(count).is_ok() {
        count += 1;
    }
}

fn forge(exchange: &Exchange<'_>) -> Result<(), Failure> {
    let mut accepted = Vec::new();
    let request = exchange.request();
    for name in [
        "",
        "a b",
        "a\r\nb",
        "a:b",
        "é",
        "host",
        "content-length",
        "transfer-encoding",
    ] {
        if request.set_header(name, "x").is_ok() {
            accepted.push(format!("header {name:?}"));
        }
    }
    for value in ["a\r\nb: c", "a\nb", "a\0b", "\u{7f}"] {
        if request.set_header("x-forged", value).is_ok() {
            accepted.push(format!("value {value:?}"));
        }
    }
    for path in [
        "",
        "v1",
        "/a?b",
        "/a#b",
        "/a b",
        "/a\r\nb",
        "http://x/",
        "//x/",
        "/\0",
    ] {
        if exchange.set_path(path).is_ok() {
            accepted.push(format!("path {path:?}"));
        }
    }
    for name in ["", "A", "../a", "a/b", ".a", "a b", &"a".repeat(65)] {
        if exchange.set_variable(name, "x").is_ok() {
            accepted.push(format!("variable {name:?}"));
        }
    }
    for status in [0, 99, 100, 101, 199, 600, u16::MAX] {
        if exchange.respond(status).is_ok() {
            accepted.push(format!("status {status}"));
        }
    }
    for (name, window) in [("", 1), ("c", 0), ("c", 86_401)] {
        if exchange.increment(name, 1, window).is_ok() {
            accepted.push(format!("counter {name:?} {window}"));
        }
    }
    exchange.set_variable("accepted", accepted.join("\n"))
}

fn strike_on_error(settings: &Settings, exchange: &Exchange<'_>, _: ErrorSource) -> Decision {
    strike(settings, exchange)
}

policy! {
    settings: Settings,
    inbound: strike,
    backend: strike,
    outbound: strike,
    on_error: strike_on_error,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn the_simulated_host_takes_nothing_malformed() {
        let simulation = Simulation::request("GET", "/");
        let settings = Settings {
            attack: Attack::Forge,
        };
        assert_eq!(
            strike(&settings, &simulation.exchange()),
            Ok(Verdict::Proceed)
        );
        let accepted = simulation.variable("accepted").unwrap_or_default();
        // The simulation does not check a path's characters, the host does.
        let accepted = String::from_utf8_lossy(&accepted).into_owned();
        assert!(
            accepted.lines().all(|line| line.starts_with("path")),
            "{accepted}"
        );
    }
}
