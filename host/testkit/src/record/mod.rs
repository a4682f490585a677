//! What policies asked of the host and what it answered, kept in files, and played to
//! another version of the policy.
//!
//! A record is made of redacted values alone: a secret's value never crosses to a
//! policy, and if one did, `{{secret NAME}}` stands in its place. Playing it needs
//! the suite with all that it names, and the record: no secret is used, no backend is
//! asked. Only what is recorded is played: a phase in which nothing ran runs nothing.

mod replay;
mod value;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::report::{CaseReport, Outcome, SuiteReport};
use crate::run::{Listener, Observed, ObservedPolicy};
use crate::suite::{Case, Suite};

pub use replay::replay;
pub use value::Value;

/// Of the files' shape.
const VERSION: u32 = 1;

/// What the policies of one case asked and were answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Record {
    version: u32,
    suite: String,
    case: String,
    runs: Vec<Run>,
}

/// One call of a policy in a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Run {
    /// Which request of the case, from 1.
    step: usize,
    policy: String,
    phase: String,
    /// In the on-error phase: what the policy is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// `proceed`, `respond`, `fail` or `stopped`.
    verdict: String,
    calls: Vec<Call>,
}

/// One call into the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Call {
    function: String,
    arguments: Vec<(String, Value)>,
    answer: Value,
}

impl Record {
    fn of(suite: &Suite, case: &Case, observed: &Observed) -> Self {
        let runs = observed.steps.iter().enumerate().flat_map(|(index, step)| {
            let source = step.failure.and_then(|failure| failure.source());
            step.policies.iter().map(move |policy| Run {
                step: index + 1,
                policy: policy.policy.to_string(),
                phase: policy.phase.to_string(),
                source: source
                    .filter(|_| policy.phase == keyward::engine::Phase::OnError)
                    .map(|source| replay::word_of(source).to_owned()),
                verdict: verdict(policy).to_owned(),
                calls: policy
                    .calls
                    .iter()
                    .map(|call| Call {
                        function: call.function.to_owned(),
                        arguments: call
                            .arguments
                            .iter()
                            .map(|(name, value)| ((*name).to_owned(), Value::of(value, observed)))
                            .collect(),
                        answer: Value::of(&call.answer, observed),
                    })
                    .collect(),
            })
        });
        Self {
            version: VERSION,
            suite: suite.name.clone(),
            case: case.name.clone(),
            runs: runs.collect(),
        }
    }

    /// The record of a case.
    ///
    /// Errors: there is none, or the file is no record of this case.
    pub fn read(folder: &Path, suite: &str, case: &str) -> io::Result<Self> {
        let text = std::fs::read_to_string(file(folder, suite, case))?;
        let record: Record = serde_json::from_str(&text)?;
        let expected = (VERSION, suite, case);
        match (record.version, record.suite.as_str(), record.case.as_str()) == expected {
            true => Ok(record),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is the record of another case, or of another version of Keyward",
            )),
        }
    }

    fn write(&self, folder: &Path) -> io::Result<()> {
        let file = file(folder, &self.suite, &self.case);
        let folder = file.parent().unwrap_or(folder);
        std::fs::create_dir_all(folder)?;
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(&text)?;
        new.persist(file)?;
        Ok(())
    }
}

fn verdict(policy: &ObservedPolicy) -> &'static str {
    match policy.verdict {
        Ok(verdict) => replay::verdict_word(verdict),
        Err(_) => "stopped",
    }
}

/// `FOLDER/SUITE/a-case-s-name.json`. What no file's name should have becomes `-`;
/// the length of the name keeps most that look alike apart, and the record itself
/// says whose it is.
fn file(folder: &Path, suite: &str, case: &str) -> PathBuf {
    let plain = |text: &str| -> String {
        let characters = text.chars().take(80);
        characters
            .map(|character| match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => character,
                _ => '-',
            })
            .collect()
    };
    let hash = case.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let name = format!("{}-{:08x}.json", plain(case), hash & 0xffff_ffff);
    folder.join(plain(suite)).join(name)
}

/// Records each case that holds, and passes on all that it hears.
pub struct Recorder<L> {
    inner: L,
    folder: Option<PathBuf>,
    written: usize,
    failure: Option<io::Error>,
}

impl<L: Listener> Recorder<L> {
    /// Records into a folder, which is made if it isn't there; without one, nothing.
    pub fn new(inner: L, folder: Option<PathBuf>) -> Self {
        Self {
            inner,
            folder,
            written: 0,
            failure: None,
        }
    }

    /// Whom it passed everything on to, and how many cases were recorded.
    ///
    /// Errors: a record could not be written.
    pub fn finish(self) -> io::Result<(L, usize)> {
        match self.failure {
            None => Ok((self.inner, self.written)),
            Some(failure) => Err(failure),
        }
    }
}

impl<L: Listener> Listener for Recorder<L> {
    fn suite_began(&mut self, suite: &Suite, cases: usize) {
        self.inner.suite_began(suite, cases);
    }

    fn case_ended(
        &mut self,
        suite: &Suite,
        case: &Case,
        observed: &Observed,
        report: &mut CaseReport,
    ) {
        // What a hostile backend made of it is another story.
        let whole = report.outcome() == Outcome::Passed && observed.echo.is_none();
        if let Some(folder) = self.folder.as_deref().filter(|_| whole) {
            match Record::of(suite, case, observed).write(folder) {
                Ok(()) => self.written += 1,
                Err(error) => self.failure = Some(error),
            }
        }
        self.inner.case_ended(suite, case, observed, report);
    }

    fn suite_ended(&mut self, suite: &Suite, report: &SuiteReport) {
        self.inner.suite_ended(suite, report);
    }
}
