//! Plays a record to the policies of a suite: each call is answered as it was then, and
//! the first that is another one is a finding.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::Request;
use keyward::Keyward;
use keyward::engine::{
    ErrorSource, Exchange, GuestValue, Observer, Phase, PolicyBody, PolicyStop, Verdict,
};
use keyward::names::ExchangeId;

use super::{Call, Record, Run, Value};
use crate::report::{CaseReport, Finding, Position, SuiteReport};
use crate::run::Still;
use crate::suite::{Case, Suite};
use crate::world::{Prepared, World};

/// Plays the records in `folder` to a suite's cases that `select` takes. A case without
/// a record is skipped.
pub fn replay(
    suite: &Suite,
    folder: &Path,
    select: &(dyn Fn(&str, &str) -> bool + Send + Sync),
) -> SuiteReport {
    let began = Instant::now();
    let records: Vec<_> = suite
        .cases
        .iter()
        .map(|case| match Record::read(folder, &suite.name, &case.name) {
            _ if !select(&suite.name, &case.name) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            record => Some(record),
        })
        .collect();
    // A suite of which nothing is played need not be complete.
    let player = match records.iter().any(Option::is_some) {
        true => Player::new(suite).map(Some),
        false => Ok(None),
    };
    let mut report = match player {
        Ok(player) => SuiteReport {
            file: suite.file.clone(),
            name: suite.name.clone(),
            cases: suite
                .cases
                .iter()
                .zip(records)
                .map(|(case, record)| one(player.as_ref(), suite, case, record))
                .collect(),
            ..SuiteReport::default()
        },
        Err(error) => SuiteReport::broken(&suite.file, error),
    };
    report.took = began.elapsed();
    report
}

fn one(
    player: Option<&Player<'_>>,
    suite: &Suite,
    case: &Case,
    record: Option<io::Result<Record>>,
) -> CaseReport {
    let began = Instant::now();
    let at = Some(Position::of(&suite.text, case.span.clone()));
    let mut report = CaseReport {
        name: case.name.clone(),
        at: at.clone(),
        ..CaseReport::default()
    };
    let (Some(player), Some(record)) = (player, record) else {
        report.skipped = true;
        return report;
    };
    let finding = match record {
        Ok(record) => player.play(case, record),
        Err(error) => {
            let wanted = "one that can be read";
            Some(Finding::new("record", wanted, error.to_string()))
        }
    };
    report
        .findings
        .extend(finding.map(|finding| finding.at(at)));
    report.took = began.elapsed();
    report
}

/// The suite's policies, in an engine whose host is a record.
struct Player<'a> {
    prepared: Prepared<'a>,
    host: Arc<Host>,
    still: Still,
}

impl<'a> Player<'a> {
    fn new(suite: &'a Suite) -> Result<Self, String> {
        Ok(Self {
            prepared: Prepared::new(suite, false).map_err(|error| error.0)?,
            host: Arc::default(),
            still: Still::new().map_err(|error| format!("can't start a runtime: {error}"))?,
        })
    }

    /// `None`: the policies did what they did then.
    fn play(&self, case: &Case, record: Record) -> Option<Finding> {
        self.still.block_on(self.played(case, record))
    }

    async fn played(&self, case: &Case, record: Record) -> Option<Finding> {
        let observer = Arc::clone(&self.host) as Arc<dyn Observer>;
        let world = match self.prepared.world(case, observer) {
            Ok(world) => world,
            Err(error) => return Some(Finding::new("case", "it can run", error.0)),
        };
        for run in record.runs {
            let finding = self.run(&world, run).await;
            if finding.is_some() {
                // What comes after depends on it.
                return finding;
            }
        }
        None
    }

    async fn run(&self, world: &World, run: Run) -> Option<Finding> {
        let place = format!("{} in {} of step {}", run.policy, run.phase, run.step);
        let Some(phase) = Phase::ALL
            .into_iter()
            .find(|phase| phase.as_str() == run.phase)
        else {
            return Some(Finding::new("record", "a phase", run.phase));
        };
        let mut policies = world.pipeline.policies(phase).iter();
        let Some(policy) = policies.find(|policy| policy.name().as_str() == run.policy) else {
            let lacks = format!("the suite has no policy {} in {phase}", run.policy);
            return Some(Finding::new(place, "a policy", lacks));
        };
        self.host.begin(run.calls);
        let exchange = exchange(&world.keyward);
        let engine = world.keyward.engine();
        let (_, verdict) = match (phase, run.source.as_deref().and_then(source_of)) {
            (Phase::OnError, Some(source)) => engine.run_on_error(policy, source, exchange).await,
            _ => engine.run(policy, phase, exchange).await,
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
}

/// Nothing of it is seen: every question about it is answered by the record.
fn exchange(keyward: &Keyward) -> Box<Exchange> {
    let (mut head, ()) = Request::new(()).into_parts();
    let vault = keyward.vault();
    let presented = vault.take_client_keys(&[], &mut head);
    let exchange = Exchange::new(
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        String::new(),
        head,
        PolicyBody::empty(),
        presented,
        vault.begin(ExchangeId::from_bytes([0; 16])),
        keyward.outside(),
    );
    Box::new(exchange)
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
