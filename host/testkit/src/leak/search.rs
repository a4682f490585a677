//! The search over everything that came to light in a case.

use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use keyward::engine::{GuestCall, GuestValue};
use keyward::names::SecretName;

use super::canaries::{Canaries, Found};
use super::memory::Memories;
use super::obtained::Obtaineds;
use crate::report::Leak;
use crate::run::{
    AttachedPlace, Bearer, Observed, ObservedCall, ObservedPolicy, ObservedResponse, ObservedStep,
};

/// Places in which a secret's value, or a code made with it, must not be; as
/// [`Leak::sink`] names them.
pub mod sink {
    /// A guest's memory after a call.
    pub const MEMORY: &str = "guest memory";
    /// The head of what the client got.
    pub const HEAD: &str = "response head";
    /// The body of what the client got.
    pub const BODY: &str = "response body";
    /// Its trailers.
    pub const TRAILERS: &str = "response trailers";
    /// A line that a policy wrote.
    pub const LOG: &str = "log";
    /// A variable.
    pub const VARIABLE: &str = "variable";
    /// A counter's name.
    pub const COUNTER: &str = "counter name";
    /// The audit trail.
    pub const AUDIT: &str = "audit trail";
    /// A metric, by its name and its labels.
    pub const METRICS: &str = "metrics";
    /// What is said about a policy that was stopped.
    pub const TRAP: &str = "trap report";
    /// A request to a backend, outside of what a grant attached.
    pub const CALL: &str = "outgoing call";

    /// All of them.
    pub const ALL: [&str; 11] = [
        MEMORY, HEAD, BODY, TRAILERS, LOG, VARIABLE, COUNTER, AUDIT, METRICS, TRAP, CALL,
    ];
}

/// Searches what came to light in the cases of one suite.
pub struct Search {
    canaries: Canaries,
    memories: Mutex<Memories>,
    obtained: Obtaineds,
}

/// Something that holds bytes, and how to name it.
struct Sink<'a> {
    sink: &'static str,
    place: String,
    bytes: &'a [u8],
    encoding: &'a str,
}

impl Search {
    /// A search for these values; see [`Canaries::new`].
    pub fn new(canaries: Canaries) -> Self {
        Search {
            canaries,
            memories: Mutex::default(),
            obtained: Obtaineds::default(),
        }
    }

    /// What is searched for.
    pub fn canaries(&self) -> &Canaries {
        &self.canaries
    }

    /// Everything that leaked, in the order of the steps; each secret once in each
    /// form and place.
    ///
    /// Beside values, codes that a policy had made with `secrets.mac-signer.sign` are
    /// looked for: a backend may get one, that is what it is for; a client or a log
    /// that gets one has a proof that it can show to others. And bearers: tokens that
    /// the host obtained, signatures that it made; they may be where it wrote them in
    /// calls of the secret's routes, and nowhere else.
    pub fn search(&self, observed: &Observed) -> Vec<Leak> {
        let echo = observed.echo.as_ref().map(|echo| echo.name.to_owned());
        let mut leaks: Vec<Leak> = Vec::new();
        for (index, step) in observed.steps.iter().enumerate() {
            for mut leak in self.step(step) {
                leak.step = index + 1;
                leak.echo.clone_from(&echo);
                // Names of headers and variables are a guest's to choose.
                leak.place = self.text(&leak.place);
                leak.operation = self.text(&leak.operation);
                if !leaks.contains(&leak) {
                    leaks.push(leak);
                }
            }
        }
        leaks
    }

    fn step(&self, step: &ObservedStep) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let values = Sought {
            canaries: &self.canaries,
            memories: &self.memories,
            codes: codes(step),
            bearers: &[],
        };
        values.step(step, &mut leaks);
        if step.bearers.is_empty() {
            return leaks;
        }
        let obtained = self.obtained.of(&step.bearers);
        let bearers = Sought {
            canaries: &obtained.canaries,
            memories: &obtained.memories,
            codes: Vec::new(),
            bearers: &step.bearers,
        };
        let from = leaks.len();
        bearers.step(step, &mut leaks);
        for leak in leaks.iter_mut().skip(from) {
            leak.place = redacted(&obtained.canaries, &leak.place);
            leak.operation = redacted(&obtained.canaries, &leak.operation);
        }
        leaks
    }

    fn text(&self, text: &str) -> String {
        redacted(&self.canaries, text)
    }
}

fn redacted(canaries: &Canaries, text: &str) -> String {
    String::from_utf8_lossy(&canaries.redact(text.as_bytes())).into_owned()
}

/// What is looked for in a step: values of secrets and codes, or bearers.
struct Sought<'a> {
    canaries: &'a Canaries,
    /// Where these were looked for before.
    memories: &'a Mutex<Memories>,
    codes: Vec<Code>,
    /// What the canaries are made of, if of these.
    bearers: &'a [Bearer],
}

impl Sought<'_> {
    fn step(&self, step: &ObservedStep, leaks: &mut Vec<Leak>) {
        if !self.canaries.is_empty() {
            for policy in &step.policies {
                self.memories(policy, leaks);
                for call in &policy.calls {
                    self.counter(policy, call, leaks);
                }
            }
            for call in &step.calls {
                self.call(step, call, leaks);
            }
        }
        self.written(step, leaks);
        self.response(step, &step.response, leaks);
    }

    /// Whether what was found may be where `attached` says that it was attached.
    fn may(&self, found: &Found, attached: &[&SecretName]) -> bool {
        if self.bearers.is_empty() {
            // A secret of several fields is attached as a whole.
            let secret = found.secret.split(' ').next().unwrap_or_default();
            return attached.iter().any(|attached| attached.as_str() == secret);
        }
        // Two clients may have been given the same.
        let of_name = |one: &&Bearer| *one.name() == *found.secret;
        self.bearers.iter().filter(of_name).any(|found| {
            let mut same = self.bearers.iter();
            same.any(|one| one.value == found.value && attached.contains(&&one.secret))
        })
    }

    /// What guests hold after their calls.
    fn memories(&self, policy: &ObservedPolicy, leaks: &mut Vec<Leak>) {
        for (index, memory) in policy.memories.iter().enumerate() {
            let all = self
                .memories
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .search(self.canaries, &policy.policy, index, memory);
            for found in all {
                let answered = policy
                    .calls
                    .iter()
                    .find(|call| self.holds(&found, |bytes| answer(call, bytes)));
                let operation = match answered {
                    Some(call) => named(call),
                    // No call answered with it, so it was there before the first.
                    None => "settings".to_owned(),
                };
                let place = format!(
                    "{} in {}, byte {}",
                    policy.policy,
                    policy.phase.as_str(),
                    found.at.start
                );
                push(leaks, &found, sink::MEMORY, place, operation);
            }
        }
    }

    fn counter(&self, policy: &ObservedPolicy, call: &GuestCall, leaks: &mut Vec<Leak>) {
        if call.function != "counters.increment" {
            return;
        }
        let mut text = Vec::new();
        arguments(call, &mut text);
        for found in self.canaries.find(&text) {
            let place = policy.policy.to_string();
            push(leaks, &found, sink::COUNTER, place, named(call));
        }
    }

    /// What a backend got beside what a grant attached.
    fn call(&self, step: &ObservedStep, call: &ObservedCall, leaks: &mut Vec<Leak>) {
        let target = format!(
            "{} {} {}",
            call.route,
            call.method,
            without_query(&call.path)
        );
        let mut found_in =
            |what: String, bytes: &[u8], encoding: &str, attached: &[&SecretName]| {
                for found in self.canaries.find_encoded(bytes, encoding) {
                    if !self.may(&found, attached) {
                        let place = format!("{what} of {target}");
                        let operation = self.carried(step, &found, "the client's request");
                        push(leaks, &found, sink::CALL, place, operation);
                    }
                }
            };
        let attached_to = |is: &dyn Fn(&AttachedPlace) -> bool| -> Vec<&SecretName> {
            let attached = call.attached.iter().filter(|attached| is(&attached.place));
            attached.map(|attached| &attached.secret).collect()
        };
        // Where a token may be, its client's secret may not, nor the other way round.
        let tokens = !self.bearers.is_empty();
        let attached = attached_to(&|place| match place {
            AttachedPlace::Query => !tokens,
            AttachedPlace::TokenInQuery => tokens,
            _ => false,
        });
        found_in("path".to_owned(), call.path.as_bytes(), "", &attached);
        for (name, value) in &call.headers {
            let attached = attached_to(&|place| match place {
                AttachedPlace::Header(header) => !tokens && header == name,
                AttachedPlace::Token(header) => tokens && header == name,
                _ => false,
            });
            found_in(format!("header {name}"), value.as_bytes(), "", &attached);
            found_in("header name".to_owned(), name.as_str().as_bytes(), "", &[]);
        }
        let attached = attached_to(&|place| !tokens && *place == AttachedPlace::Body);
        found_in(
            "body".to_owned(),
            &call.body,
            encoding(&call.headers),
            &attached,
        );
        for (name, value) in &call.trailers {
            found_in(format!("trailer {name}"), value.as_bytes(), "", &[]);
        }
    }

    /// What policies wrote down, and what was written about them.
    fn written(&self, step: &ObservedStep, leaks: &mut Vec<Leak>) {
        let codes = &self.codes[..];
        for line in &step.logs {
            let operation = format!("log.write by {}", line.policy);
            let sink = Sink::new(sink::LOG, line.policy.to_string(), line.message.as_bytes());
            self.sink(&sink, codes, leaks, |_| operation.clone());
        }
        for variable in &step.variables {
            let place = format!("{} of {}", variable.name, variable.policy);
            let operation = format!("variables.set by {}", variable.policy);
            let sink = Sink::new(sink::VARIABLE, place, &variable.value);
            // A policy keeps its own codes from one phase to the next.
            self.sink(&sink, &[], leaks, |_| operation.clone());
        }
        for record in &step.audit {
            let text = record.to_string();
            let sink = Sink::new(sink::AUDIT, "record".to_owned(), text.as_bytes());
            self.sink(&sink, codes, leaks, |found| {
                self.carried(step, found, "the host")
            });
        }
        let metrics = Sink::new(sink::METRICS, "metrics".to_owned(), step.metrics.as_bytes());
        self.sink(&metrics, codes, leaks, |found| {
            self.carried(step, found, "the host")
        });
        for stop in &step.stops {
            let text = stop.to_string();
            let sink = Sink::new(sink::TRAP, stop.policy.to_string(), text.as_bytes());
            self.sink(&sink, codes, leaks, |found| {
                self.carried(step, found, "the host")
            });
        }
    }

    /// What the client got.
    fn response(&self, step: &ObservedStep, response: &ObservedResponse, leaks: &mut Vec<Leak>) {
        let codes = &self.codes[..];
        let by = |found: &Found| self.carried(step, found, "the backend's answer");
        let heads = [
            (sink::HEAD, &response.headers),
            (sink::TRAILERS, &response.trailers),
        ];
        for (kind, headers) in heads {
            for (name, value) in headers {
                let sink = Sink::new(kind, format!("header {name}"), value.as_bytes());
                self.sink(&sink, codes, leaks, by);
                let name = name.as_str().as_bytes();
                self.sink(
                    &Sink::new(kind, "header name".to_owned(), name),
                    codes,
                    leaks,
                    by,
                );
            }
        }
        let mut body = Sink::new(sink::BODY, "body".to_owned(), &response.body);
        body.encoding = encoding(&response.headers);
        self.sink(&body, codes, leaks, by);
    }

    fn sink(
        &self,
        sink: &Sink<'_>,
        codes: &[Code],
        leaks: &mut Vec<Leak>,
        operation: impl Fn(&Found) -> String,
    ) {
        for found in self.canaries.find_encoded(sink.bytes, sink.encoding) {
            let operation = operation(&found);
            push(leaks, &found, sink.sink, sink.place.clone(), operation);
        }
        for code in codes {
            for found in code.canaries.find_encoded(sink.bytes, sink.encoding) {
                let operation = format!("{} by {}", code.function, code.policy);
                push(leaks, &found, sink.sink, sink.place.clone(), operation);
            }
        }
    }

    /// The last call by which a policy gave a value away; `otherwise` if none did.
    fn carried(&self, step: &ObservedStep, found: &Found, otherwise: &str) -> String {
        for policy in step.policies.iter().rev() {
            for call in policy.calls.iter().rev() {
                if self.holds(found, |bytes| arguments(call, bytes)) {
                    return format!("{} by {}", named(call), policy.policy);
                }
            }
        }
        otherwise.to_owned()
    }

    /// Whether a secret that was found somewhere is in some bytes, in any form.
    fn holds(&self, found: &Found, write: impl Fn(&mut Vec<u8>)) -> bool {
        let mut bytes = Vec::new();
        write(&mut bytes);
        let all = self.canaries.find(&bytes);
        all.iter().any(|one| one.secret == found.secret)
    }
}

impl<'a> Sink<'a> {
    fn new(sink: &'static str, place: String, bytes: &'a [u8]) -> Self {
        Sink {
            sink,
            place,
            bytes,
            encoding: "",
        }
    }
}

/// A code, or a token, that the host made for a policy.
struct Code {
    policy: String,
    function: &'static str,
    canaries: Canaries,
}

/// All codes that policies had made in an exchange.
fn codes(step: &ObservedStep) -> Vec<Code> {
    let mut codes = Vec::new();
    for policy in &step.policies {
        for call in &policy.calls {
            let (what, code) = match (call.function, &call.answer) {
                ("secrets.mac-signer.sign", GuestValue::Bytes(code)) => ("code", &code[..]),
                ("secrets.jws-signer.sign", GuestValue::Text(token)) => ("JWT", token.as_bytes()),
                _ => continue,
            };
            let alias = call.arguments.iter().find_map(|(_, value)| match value {
                GuestValue::Handle(_, alias) => alias.as_deref(),
                _ => None,
            });
            let name = format!("a {what} of {}", alias.unwrap_or("a secret"));
            codes.push(Code {
                policy: policy.policy.to_string(),
                function: call.function,
                canaries: Canaries::new([(name.as_str(), code)]),
            });
        }
    }
    codes
}

fn push(leaks: &mut Vec<Leak>, found: &Found, sink: &str, place: String, operation: String) {
    let leak = Leak {
        secret: found.secret.to_string(),
        form: found.shape.to_string(),
        sink: sink.to_owned(),
        place,
        operation,
        step: 0,
        echo: None,
    };
    if !leaks.contains(&leak) {
        leaks.push(leak);
    }
}

/// A call, by its function and by the names that it was given.
fn named(call: &GuestCall) -> String {
    let name = call.arguments.iter().find_map(|(name, value)| match value {
        GuestValue::Text(text) if *name == "name" && text.len() <= 64 => Some(text),
        _ => None,
    });
    match name {
        Some(name) if call.function != "counters.increment" => {
            format!("{} {name}", call.function)
        }
        _ => call.function.to_owned(),
    }
}

fn without_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn encoding(headers: &HeaderMap) -> &str {
    headers
        .get(http::header::CONTENT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// All text and bytes that a guest gave.
fn arguments(call: &GuestCall, out: &mut Vec<u8>) {
    for (_, value) in &call.arguments {
        write(value, out);
    }
}

/// All text and bytes that a guest was answered.
fn answer(call: &GuestCall, out: &mut Vec<u8>) {
    write(&call.answer, out);
}

fn write(value: &GuestValue, out: &mut Vec<u8>) {
    match value {
        GuestValue::Text(text) => out.extend_from_slice(text.as_bytes()),
        GuestValue::Bytes(bytes) => out.extend_from_slice(bytes),
        GuestValue::List(values) => values.iter().for_each(|value| write(value, out)),
        GuestValue::Record(values) => values.iter().for_each(|(_, value)| write(value, out)),
        _ => return,
    }
    // What stands in one value does not go on in the next.
    out.extend_from_slice(b"\n\n\n\n");
}
