//! What came to light of an exchange, as the story that a report tells.

use keyward::engine::{GuestCall, GuestValue};
use keyward::vault::{Grants, Use};

use super::observed::{ObservedCall, ObservedPolicy, ObservedStep, Redactor};
use crate::expect::{shown, stop_word, verdict_word};
use crate::report::{
    BackendTried, Decision, Event, HostCall, PolicyCall, Refusal, Stopped, Timeline,
};

/// The story of an exchange, redacted.
pub(crate) fn timeline(step: &ObservedStep, grants: &Grants, redactor: &Redactor) -> Timeline {
    let telling = Telling {
        step,
        grants,
        redactor,
    };
    let mut events: Vec<_> = step
        .policies
        .iter()
        .map(|policy| (policy.at, Event::Policy(telling.policy(policy))))
        .chain(
            step.calls
                .iter()
                .map(|call| (call.at, Event::Backend(telling.backend(call)))),
        )
        .collect();
    events.sort_by_key(|(at, _)| *at);
    // What a grant refused when the final request was known, after the last policy.
    let last = events.last().map_or_else(Default::default, |(at, _)| *at);
    events.extend(
        telling
            .refused_at_the_end()
            .map(|tried| (last, Event::Backend(tried))),
    );
    Timeline {
        events: events.into_iter().map(|(_, event)| event).collect(),
    }
}

struct Telling<'a> {
    step: &'a ObservedStep,
    grants: &'a Grants,
    redactor: &'a Redactor,
}

impl Telling<'_> {
    fn text(&self, bytes: &[u8]) -> String {
        const MOST: usize = 200;
        let text = shown(bytes, self.step, self.redactor);
        match text.char_indices().nth(MOST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    fn policy(&self, policy: &ObservedPolicy) -> PolicyCall {
        let calls = policy.calls.iter().zip(&policy.times);
        let stopped = policy.verdict.err().map(|stop| {
            let mut reports = self.step.stops.iter();
            let report = reports
                .find(|report| report.policy == policy.policy && report.phase == policy.phase);
            let frames = report.iter().flat_map(|report| &report.frames);
            // Where the host stopped it, it was in its last call.
            let during = policy
                .calls
                .last()
                .filter(|call| call.answer == GuestValue::Stopped);
            Stopped {
                reason: stop_word(stop).to_owned(),
                message: format!("it {stop}"),
                stack: frames.map(|frame| frame.function.clone()).collect(),
                during: during.map(|call| call.function.to_owned()),
            }
        });
        let verdict = match &policy.verdict {
            Ok(_) => Some(verdict_word(&policy.verdict).to_owned()),
            Err(_) => None,
        };
        PolicyCall {
            policy: policy.policy.to_string(),
            phase: policy.phase.to_string(),
            verdict,
            stopped,
            calls: calls
                .filter(|(call, _)| !call.function.ends_with(".drop"))
                .map(|(call, (at, took))| HostCall {
                    function: call.function.to_owned(),
                    arguments: call
                        .arguments
                        .iter()
                        .map(|(name, value)| format!("{name}: {}", self.value(value)))
                        .collect(),
                    result: self.value(&call.answer),
                    decision: self.decision(policy, call),
                    at: *at,
                    took: *took,
                })
                .collect(),
            at: policy.at,
            took: policy.took,
        }
    }

    fn backend(&self, call: &ObservedCall) -> BackendTried {
        BackendTried {
            route: call.route.to_string(),
            method: call.method.to_string(),
            path: self.text(call.path.as_bytes()),
            attached: call
                .attached
                .iter()
                .map(|one| one.secret.to_string())
                .collect(),
            status: call.status,
            failure: call
                .status
                .is_none()
                .then(|| "there was no answer".to_owned()),
            at: call.at,
            took: Default::default(),
        }
    }

    /// The call that was not made, because a grant is for another route, method or path
    /// than the final request's.
    fn refused_at_the_end(&self) -> Option<BackendTried> {
        let records = self.step.audit.iter();
        let uses = records.filter_map(|record| record.get("uses")?.as_array());
        let word = |used: &serde_json::Value, key: &str| {
            let word = used.get(key).and_then(|word| word.as_str());
            word.unwrap_or_default().to_owned()
        };
        uses.flatten().find_map(|used| {
            let outcome = word(used, "outcome");
            let at_the_end = [
                "other-route",
                "other-method",
                "other-path",
                "other-authority",
            ];
            at_the_end.contains(&outcome.as_str()).then(|| {
                let why = outcome.replace('-', " ");
                let (use_, grant) = (word(used, "use"), word(used, "grant"));
                BackendTried {
                    route: word(used, "route"),
                    failure: Some(format!("not sent: {why} than {grant} allows for {use_}")),
                    ..BackendTried::default()
                }
            })
        })
    }

    fn value(&self, value: &GuestValue) -> String {
        match value {
            GuestValue::Nothing => "nothing".to_owned(),
            GuestValue::Flag(flag) => flag.to_string(),
            GuestValue::Number(number) => number.to_string(),
            GuestValue::Word(word) => word.clone(),
            GuestValue::Text(text) => format!("\"{}\"", self.text(text.as_bytes())),
            GuestValue::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) if !text.chars().any(char::is_control) => {
                    format!("\"{}\"", self.text(bytes))
                }
                _ => format!("{} bytes", bytes.len()),
            },
            GuestValue::Handle(number, Some(of)) => {
                format!("#{number} of {}", self.text(of.as_bytes()))
            }
            GuestValue::Handle(number, None) => format!("#{number}"),
            GuestValue::List(values) => {
                let all: Vec<String> = values.iter().map(|value| self.value(value)).collect();
                format!("[{}]", all.join(", "))
            }
            GuestValue::Record(fields) => {
                let fields = fields.iter();
                let all: Vec<String> = fields
                    .map(|(name, value)| format!("{name}: {}", self.value(value)))
                    .collect();
                format!("{{{}}}", all.join(", "))
            }
            GuestValue::Failure(word) => format!("refused: {word}"),
            GuestValue::Stopped => "stopped".to_owned(),
            _ => "a value".to_owned(),
        }
    }

    /// What the grants said to a use.
    fn decision(&self, policy: &ObservedPolicy, call: &GuestCall) -> Option<Decision> {
        let use_ = use_of(call.function)?;
        let alias = call.arguments.iter().find_map(|(_, value)| match value {
            GuestValue::Handle(_, Some(alias)) => Some(alias.as_str()),
            _ => None,
        })?;
        let grant = self.grants.find(&policy.policy, alias, use_);
        if let Some(refusal) = &call.refusal {
            let why = refusal.outcome.as_str().replace('-', " ");
            return Some(Decision::Refused(Refusal {
                why: format!("{why}: {use_} under the alias \"{alias}\""),
                nearest: grant.map(|grant| grant.id.to_string()),
                snippet: None,
            }));
        }
        match &call.answer {
            // There was no use; of other failures, a use is what found them.
            GuestValue::Failure(word)
                if ["denied", "invalid", "exhausted", "unavailable"].contains(&word.as_str()) =>
            {
                return None;
            }
            GuestValue::Stopped => return None,
            _ => {}
        }
        let grant = grant?;
        Some(Decision::Granted {
            grant: grant.id.to_string(),
            secret: grant.secret.to_string(),
            operation: use_.to_string(),
            class: use_.class().to_string(),
        })
    }
}

/// What a function uses a secret for; none if it doesn't use one.
fn use_of(function: &str) -> Option<Use> {
    Some(match function {
        "secrets.credential.attach"
        | "secrets.credential.attach-to-request"
        | "secrets.credential.attach-with"
        | "secrets.credential.attach-to-request-with" => Use::Attach,
        "secrets.signer.attach" | "secrets.signer.attach-to-request" => Use::SignRequest,
        "secrets.mac-signer.sign" => Use::MacSign,
        "secrets.mac-verifier.verify" => Use::MacVerify,
        "secrets.client-keys.identify" => Use::Identify,
        "secrets.shared-access.attach" | "secrets.shared-access.attach-to-request" => Use::Sas,
        "secrets.presigner.attach" | "secrets.presigner.attach-to-request" => Use::Presign,
        "secrets.connection.part" => Use::Describe,
        "secrets.token.attach"
        | "secrets.token.attach-to-request"
        | "secrets.token.attach-on-behalf-of" => Use::Token,
        "secrets.tls-identity.attach" | "secrets.tls-identity.attach-to-request" => Use::Present,
        "secrets.jws-signer.attach"
        | "secrets.jws-signer.attach-to-request"
        | "secrets.jws-signer.sign" => Use::JwsSign,
        "secrets.sealer.seal" => Use::Seal,
        "secrets.opener.open" => Use::Open,
        "secrets.jwt-verifier.verify" => Use::VerifyJwt,
        "secrets.database.query" => Use::Query,
        _ => return None,
    })
}
