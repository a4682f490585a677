//! What comes back about sources, and about secrets that come from them.

use std::collections::BTreeMap;

use keyward::names::{SecretName, SourceName};
use keyward::sources::refresh::{
    BreakerState, FetchError, Refreshed, SecretReport, SourceReport, Taken, UseReport,
};
use keyward::sources::{CheckStep, StepOutcome};
use serde::{Deserialize, Serialize};

/// How a secret that comes from a source is fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FetchEntry {
    /// `waiting`, `fresh`, `stale`, `unavailable` or `disabled`; of a key that stays in
    /// its source `failing`, while it can't be used there.
    pub state: String,
    /// When its source answered last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// When it is asked next (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<String>,
    /// Why the last fetch or use failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FetchFault>,
    /// How many failed in a row.
    pub failures: u32,
    /// For how many seconds more the value is used without a good answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_in: Option<u64>,
}

/// Why a source gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FetchFault {
    /// In one word of a closed list.
    pub code: String,
    /// In a sentence.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl From<&FetchError> for FetchFault {
    fn from(error: &FetchError) -> Self {
        Self {
            code: error.word().to_owned(),
            message: error.to_string(),
            advice: error.advice(),
        }
    }
}

impl From<&SecretReport> for FetchEntry {
    fn from(report: &SecretReport) -> Self {
        Self {
            state: report.freshness.as_str().to_owned(),
            last_success: report.last_success.map(|time| time.to_string()),
            next_try: report.next_try.map(|time| time.to_string()),
            last_error: report.last_error.as_ref().map(FetchFault::from),
            failures: report.failures,
            stale_in: report.stale_in.map(|time| time.as_secs()),
        }
    }
}

impl From<&UseReport> for FetchEntry {
    fn from(report: &UseReport) -> Self {
        let error = FetchError::from(report.last_error.clone());
        Self {
            state: "failing".to_owned(),
            last_success: None,
            next_try: None,
            last_error: Some(FetchFault::from(&error)),
            failures: report.failures,
            stale_in: None,
        }
    }
}

/// What came of a fetch that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RefreshEntry {
    /// The secret.
    pub name: SecretName,
    /// Where it was fetched from: `SOURCE:KEY`.
    pub reference: String,
    /// `unchanged`, `new-version`, `back-in-use`, `disabled` or `failed`.
    pub outcome: String,
    /// The version that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FetchFault>,
}

impl From<&Refreshed> for RefreshEntry {
    fn from(refreshed: &Refreshed) -> Self {
        let (outcome, version) = match &refreshed.outcome {
            Ok(taken) => (
                taken.word(),
                match taken {
                    Taken::NewVersion(version) => Some(*version),
                    _ => None,
                },
            ),
            Err(_) => ("failed", None),
        };
        Self {
            name: refreshed.secret.clone(),
            reference: refreshed.reference.to_string(),
            outcome: outcome.to_owned(),
            version,
            error: refreshed.outcome.as_ref().err().map(FetchFault::from),
        }
    }
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceEntry {
    /// Its name.
    pub name: SourceName,
    /// `files`, `key-vault`, …; `missing` if secrets name it and it is not configured.
    pub kind: String,
    /// Within how many seconds each secret is fetched again.
    pub refresh: u64,
    /// For how many seconds values are used without a good answer.
    pub stale_limit: u64,
    /// How many secrets come from it; none without a gateway that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<u64>,
    /// Whether it is asked: `closed`, or `open` while it is left alone, or `half-open`
    /// while one fetch tries it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// For how many seconds more it is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_for: Option<u64>,
    /// When it answered last (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// What failed last, unless that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<FetchFault>,
    /// How many fetches ended how.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, u64>,
}

impl From<&SourceReport> for SourceEntry {
    fn from(report: &SourceReport) -> Self {
        let open_for = match report.breaker {
            BreakerState::Open { remaining } => Some(remaining.as_secs()),
            _ => None,
        };
        let outcomes = report.outcomes.iter();
        Self {
            name: report.name.clone(),
            kind: report.kind.to_owned(),
            refresh: report.schedule.refresh.as_secs(),
            stale_limit: report.schedule.stale_limit.as_secs(),
            secrets: u64::try_from(report.secrets).ok(),
            breaker: Some(report.breaker.as_str().to_owned()),
            open_for,
            last_success: report.last_success.map(|time| time.to_string()),
            last_error: report.last_error.as_ref().map(FetchFault::from),
            outcomes: outcomes
                .map(|(word, count)| ((*word).to_owned(), *count))
                .collect(),
        }
    }
}

/// A step of a source's check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckEntry {
    /// What was tried.
    pub step: String,
    /// `passed`, `failed` or `skipped`.
    pub outcome: String,
    /// What is worth knowing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<FetchFault>,
}

impl From<&CheckStep> for CheckEntry {
    fn from(step: &CheckStep) -> Self {
        let (outcome, detail, error) = match &step.outcome {
            StepOutcome::Passed { detail } => ("passed", detail.clone(), None),
            StepOutcome::Failed { error } => {
                let error = FetchError::from(error.clone());
                ("failed", String::new(), Some(FetchFault::from(&error)))
            }
            StepOutcome::Skipped => ("skipped", String::new(), None),
        };
        Self {
            step: step.step.clone().into_owned(),
            outcome: outcome.to_owned(),
            detail,
            error,
        }
    }
}
