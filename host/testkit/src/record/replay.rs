//! Plays a record to the policies of a suite: each call is answered as it was then, and
//! the first that is another one is a finding.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::Request;
use keyward::Keyward;
use keyward::engine::{
    EngineConfig, ErrorSource, Exchange, GuestValue, Observer, Phase, Policy, PolicyBody,
    PolicySource, PolicyStop, Verdict,
};
use keyward::names::ExchangeId;
use keyward::vault::{Durability, Vault, VaultFiles};

use super::{Call, Record, Run, Value};
use crate::report::{CaseReport, Finding, Position, SuiteReport};
use crate::suite::{Case, PolicyUnderTest, Suite};

/// Plays the records in `folder` to a suite's cases that `select` takes. A case without
/// a record is skipped.
pub fn replay(
    suite: &Suite,
    folder: &Path,
    select: &(dyn Fn(&str, &str) -> bool + Send + Sync),
) -> SuiteReport {
    let began = Instant::now();
    let mut report = match Player::new() {
        Ok(mut player) => SuiteReport {
            file: suite.file.clone(),
            name: suite.name.clone(),
            cases: suite
                .cases
                .iter()
                .map(|case| one(&mut player, suite, case, folder, select))
                .collect(),
            ..SuiteReport::default()
        },
        Err(error) => SuiteReport::broken(&suite.file, error),
    };
    report.took = began.elapsed();
    report
}

fn one(
    player: &mut Player,
    suite: &Suite,
    case: &Case,
    folder: &Path,
    select: &(dyn Fn(&str, &str) -> bool + Send + Sync),
) -> CaseReport {
    let began = Instant::now();
    let mut report = CaseReport {
        name: case.name.clone(),
        at: Some(Position::of(&suite.text, case.span.clone())),
        ..CaseReport::default()
    };
    let record = match Record::read(folder, &suite.name, &case.name) {
        _ if !select(&suite.name, &case.name) => None,
        Ok(record) => Some(record),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let finding = Finding::new("record", "one that can be read", error.to_string());
            report.findings.push(finding.at(report.at.clone()));
            return report;
        }
    };
    let Some(record) = record else {
        report.skipped = true;
        return report;
    };
    for run in record.runs {
        if let Some(finding) = player.play(suite, case, run) {
            report.findings.push(finding.at(report.at.clone()));
            // What comes after depends on it.
            break;
        }
    }
    report.took = began.elapsed();
    report
}

/// The suite's policies, in an engine whose host is a record.
struct Player {
    keyward: Keyward,
    host: Arc<Host>,
    runtime: tokio::runtime::Runtime,
    /// Loaded policies, by name and settings.
    loaded: Vec<(String, Option<serde_json::Value>, Policy)>,
    _folder: tempfile::TempDir,
}

impl Player {
    fn new() -> Result<Self, String> {
        let cannot = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        let folder =
            tempfile::tempdir().map_err(|error| cannot("can't make a temporary folder", &error))?;
        // The engine wants one; there is nothing in it.
        let files = VaultFiles::in_directory(folder.path());
        let vault = Vault::create(&files)
            .and_then(|created| {
                drop(created);
                Vault::open(&files, Durability::Strict)
            })
            .map_err(|error| cannot("can't make an empty vault", &error))?;
        let host = Arc::new(Host::default());
        let mut config = EngineConfig::default();
        config.observer = Some(Arc::clone(&host) as Arc<dyn Observer>);
        let keyward = Keyward::builder(vault)
            .engine(config)
            .build()
            .map_err(|error| cannot("can't start the engine", &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| cannot("can't start a runtime", &error))?;
        Ok(Self {
            keyward,
            host,
            runtime,
            loaded: Vec::new(),
            _folder: folder,
        })
    }

    fn policy(&mut self, suite: &Suite, case: &Case, name: &str) -> Result<Policy, String> {
        let policy = suite
            .policies
            .iter()
            .find(|policy| policy.name.as_str() == name)
            .ok_or_else(|| format!("the suite has no policy {name}"))?;
        let own = case.settings.iter().find(|(of, _)| *of == policy.name);
        let settings = own
            .map(|(_, settings)| settings.clone())
            .or_else(|| policy.settings.clone());
        let known = self
            .loaded
            .iter()
            .find(|(of, with, _)| of == name && *with == settings);
        if let Some((_, _, policy)) = known {
            return Ok(policy.clone());
        }
        let loaded = self.load(policy, settings.as_ref())?;
        self.loaded
            .push((name.to_owned(), settings, loaded.clone()));
        Ok(loaded)
    }

    fn load(
        &self,
        policy: &PolicyUnderTest,
        settings: Option<&serde_json::Value>,
    ) -> Result<Policy, String> {
        let file = &policy.component.value;
        let component = std::fs::read(file)
            .map_err(|error| format!("can't read {}: {error}", file.display()))?;
        let source = PolicySource {
            name: policy.name.clone(),
            component: &component,
            settings,
            routes: &policy.routes,
            issuers: &policy.issuers,
            document: None,
        };
        let loaded = self.keyward.engine().load(&source);
        loaded.map_err(|error| error.to_string())
    }

    /// `None`: it did what it did then.
    fn play(&mut self, suite: &Suite, case: &Case, run: Run) -> Option<Finding> {
        let place = format!("{} in {} of step {}", run.policy, run.phase, run.step);
        let policy = match self.policy(suite, case, &run.policy) {
            Ok(policy) => policy,
            Err(error) => return Some(Finding::new(place, "a policy", error)),
        };
        let Some(phase) = Phase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == run.phase)
        else {
            return Some(Finding::new("record", "a phase", run.phase));
        };
        self.host.begin(run.calls);
        let exchange = self.exchange();
        let engine = self.keyward.engine();
        let (_, verdict) = match (phase, run.source.as_deref().and_then(source_of)) {
            (Phase::OnError, Some(source)) => self
                .runtime
                .block_on(engine.run_on_error(&policy, source, exchange)),
            _ => self.runtime.block_on(engine.run(&policy, phase, exchange)),
        };
        if let Some(finding) = self.host.end(&place) {
            return Some(finding);
        }
        let verdict = match verdict {
            // The response was made in the record.
            Ok(Verdict::Respond) | Err(PolicyStop::NoResponse) => "respond",
            Ok(verdict) => verdict_word(verdict),
            Err(_) => "stopped",
        };
        (verdict != run.verdict)
            .then(|| Finding::new(format!("the verdict of {place}"), run.verdict, verdict))
    }

    /// Nothing of it is seen: every question about it is answered by the record.
    fn exchange(&self) -> Box<Exchange> {
        let (mut head, ()) = Request::new(()).into_parts();
        let vault = self.keyward.vault();
        let presented = vault.take_client_keys(&[], &mut head);
        let exchange = Exchange::new(
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            String::new(),
            head,
            PolicyBody::empty(),
            presented,
            vault.begin(ExchangeId::from_bytes([0; 16])),
            self.keyward.outside(),
        );
        Box::new(exchange)
    }
}

/// The host of a replay: a record.
#[derive(Default)]
struct Host {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    next: usize,
    differs: Option<(String, String)>,
}

impl Host {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, calls: Vec<Call>) {
        *self.state() = State {
            calls,
            ..State::default()
        };
    }

    /// What was otherwise than in the record.
    fn end(&self, place: &str) -> Option<Finding> {
        let state = std::mem::take(&mut *self.state());
        let call = |number: usize| format!("call {number} into the host, by {place}");
        if let Some((expected, actual)) = state.differs {
            return Some(Finding::new(call(state.next + 1), expected, actual));
        }
        let left = state.calls.get(state.next)?;
        Some(Finding::new(
            call(state.next + 1),
            in_words(&left.function, &left.arguments),
            "no more calls",
        ))
    }
}

impl Observer for Host {
    fn instead(
        &self,
        _exchange: ExchangeId,
        function: &'static str,
        arguments: &[(&'static str, GuestValue)],
    ) -> Option<GuestValue> {
        let mut state = self.state();
        if state.differs.is_some() {
            return Some(GuestValue::Stopped);
        }
        let given: Vec<(String, Value)> = arguments
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Value::plain(value)))
            .collect();
        let recorded = state.calls.get(state.next);
        if let Some(call) = recorded
            && call.function == function
            && call.arguments == given
        {
            let answer = call.answer.give().unwrap_or(GuestValue::Stopped);
            state.next += 1;
            return Some(answer);
        }
        let expected = match recorded {
            Some(call) => in_words(&call.function, &call.arguments),
            None => "no more calls".to_owned(),
        };
        state.differs = Some((expected, in_words(function, &given)));
        Some(GuestValue::Stopped)
    }
}

fn in_words(function: &str, arguments: &[(String, Value)]) -> String {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    format!("{function}({})", arguments.join(", "))
}

pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proceed => "proceed",
        Verdict::Respond => "respond",
        Verdict::Fail => "fail",
    }
}

const SOURCES: [(&str, ErrorSource); 6] = [
    ("policy-failed", ErrorSource::PolicyFailed),
    ("policy-stopped", ErrorSource::PolicyStopped),
    ("secret-refused", ErrorSource::SecretRefused),
    ("backend-unavailable", ErrorSource::BackendUnavailable),
    ("backend-refused", ErrorSource::BackendRefused),
    ("host-failed", ErrorSource::HostFailed),
];

/// What a policy is told in the on-error phase, as `wit/` calls it.
pub(super) fn word_of(source: ErrorSource) -> &'static str {
    let known = SOURCES.iter().find(|(_, known)| *known == source);
    known.map_or("host-failed", |(word, _)| word)
}

fn source_of(word: &str) -> Option<ErrorSource> {
    let known = SOURCES.iter().find(|(known, _)| *known == word);
    known.map(|(_, source)| *source)
}
