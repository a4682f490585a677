//! `[sources.NAME]`: where secrets come from.
//!
//! What is written here decides where tokens and credentials of sources go, and whose
//! values secrets get, so that it can hold no named values.

use std::sync::Arc;
use std::time::Duration;

use keyward::egress::Dialer;
use keyward::egress::source::SourceProfile;
use keyward::names::SourceName;
use keyward::sources::Source;
use keyward::sources::environment::Environment;
use keyward::sources::files::{Files, FilesConfig};
use keyward::sources::key_vault::{KeyVault, KeyVaultSettings};
use keyward::sources::managed_identity::Surroundings;
use keyward::sources::openbao::{OpenBao, OpenBaoSettings};
use keyward::sources::refresh::Schedule;
use keyward::vault::Cache;

use super::parse::Parser;
use super::reader::{At, Reader};
use super::source_kinds::Way;

/// The shortest and the longest `refresh`.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// The shortest and the longest `stale-limit`.
const STALE: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(30 * 86_400));
/// The shortest and the longest `timeout`.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// The longest `start-wait`.
const START_WAIT: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(600));

/// `[sources.NAME]`.
#[derive(Clone, Debug)]
pub struct SourceSection {
    /// What references call it.
    pub name: SourceName,
    /// When it is asked.
    pub schedule: Schedule,
    /// Where values of secrets that come from it are kept, unless a secret says so.
    pub cache: Cache,
    /// What it is.
    pub kind: SourceKind,
}

/// What a source is, with what it needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SourceKind {
    /// `files`: a folder.
    Files(FilesConfig),
    /// `environment`: variables of the process; for development.
    Environment {
        /// Those that may be read.
        variables: Vec<String>,
    },
    /// `openbao`: OpenBao or Vault.
    OpenBao(Box<OpenBaoSection>),
    /// `key-vault`: Azure Key Vault.
    KeyVault(Box<KeyVaultSettings>),
}

impl SourceKind {
    /// The kind as it is written.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Files(_) => "files",
            Self::Environment { .. } => "environment",
            Self::OpenBao(_) => "openbao",
            Self::KeyVault(_) => "key-vault",
        }
    }
}

/// An OpenBao or Vault server, and the way to it.
#[derive(Clone, Debug)]
pub struct OpenBaoSection {
    /// Where it is and how to log in.
    pub settings: OpenBaoSettings,
    /// Networks, authorities and times.
    pub profile: SourceProfile,
}

impl SourceSection {
    /// The source. Asks nobody.
    ///
    /// Errors: a setting can't be as it is, in words.
    pub fn build(&self, dialer: &Dialer) -> Result<Arc<dyn Source>, String> {
        let name = self.name.clone();
        Ok(match &self.kind {
            SourceKind::Files(config) => Arc::new(Files::new(name, config.clone())),
            SourceKind::Environment { variables } => {
                Arc::new(Environment::new(name, variables.clone()))
            }
            SourceKind::OpenBao(section) => {
                let OpenBaoSection { settings, profile } = (**section).clone();
                let made = OpenBao::new(name, settings, profile, dialer);
                Arc::new(made.map_err(|error| error.to_string())?)
            }
            SourceKind::KeyVault(settings) => {
                let surroundings = Surroundings::of_process();
                let vault = KeyVault::new(name, settings, &surroundings, dialer);
                Arc::new(vault.map_err(|error| error.to_string())?)
            }
        })
    }

    /// Whether a source that was built from `other` can be kept for this.
    pub fn builds_the_same_as(&self, other: &Self) -> bool {
        // Settings hold no secret, and all of them are in this text.
        format!("{:?}", (&self.name, &self.kind)) == format!("{:?}", (&other.name, &other.kind))
    }
}

impl<'a> Parser<'a> {
    /// `[sources.NAME]`, in the file's order.
    pub(super) fn sources(&self, root: &Reader<'a, '_>) -> Vec<SourceSection> {
        let tables = root.named_sections("sources", "[sources.NAME]");
        let sections = tables.into_iter().filter_map(|(name, section)| {
            let parsed = SourceName::parse(name.value).map_err(|error| {
                let message = format!("`sources.{}`: {error}", name.value.escape_debug());
                self.findings.add(name.span.clone(), message);
            });
            let Parts {
                schedule,
                cache,
                kind,
            } = self.source(section)?;
            Some(SourceSection {
                name: parsed.ok()?,
                schedule,
                cache,
                kind,
            })
        });
        sections.collect()
    }

    /// Every key is asked for, whichever kind it is for, so that one that is for
    /// another kind can be named.
    fn source(&self, section: Reader<'a, '_>) -> Option<Parts> {
        let kind = section.required_text("kind", "\"files\"");
        let timeout = self.duration(&section, "timeout", TIMEOUT, Duration::from_secs(10));
        let usual = Schedule::default();
        let schedule = Schedule {
            refresh: self.duration(&section, "refresh", REFRESH, usual.refresh),
            stale_limit: self.duration(&section, "stale-limit", STALE, usual.stale_limit),
            // What a source itself has to say about its time comes first.
            timeout: timeout + Duration::from_secs(1),
            ..usual
        };
        let cache = section.text("cache").and_then(|text| match text.value {
            "memory" => Some(Cache::Memory),
            "sealed" => Some(Cache::Sealed),
            _ => {
                self.findings.add_with_help(
                    text.span,
                    "`cache` is neither \"memory\" nor \"sealed\"",
                    "\"sealed\" keeps values in the vault file, so that they are there after a restart; \"memory\" does not",
                );
                None
            }
        });
        let files = self.files_source(&section);
        let environment = self.environment_source(&section, kind.as_ref().map(|kind| kind.value));
        let networks = self.networks(&section);
        let roots = self.roots(&section);
        let way = Way {
            networks,
            roots,
            timeout,
        };
        let word = kind.as_ref().map(|kind| kind.value);
        let openbao = self.openbao_source(&section, word, &way);
        let key_vault = self.key_vault_source(&section, word, way);
        let kind = kind?;
        for (key, kinds) in KEYS_OF_KINDS {
            if !kinds.contains(&kind.value)
                && let Some(span) = section.key_span(key)
                && KINDS.contains(&kind.value)
            {
                let message = format!("`{key}` is not for sources of kind {}", kind.value);
                let help = format!("it is for kind {}; take the line out", kinds.join(", "));
                self.findings.add_with_help(span, message, help);
            }
        }
        section.finish();
        let kind = match kind.value {
            "files" => SourceKind::Files(files?),
            "environment" => environment?,
            "openbao" => SourceKind::OpenBao(Box::new(openbao?)),
            "key-vault" => SourceKind::KeyVault(Box::new(key_vault?)),
            other => {
                self.findings.add_with_help(
                    kind.span,
                    format!("`kind` can't be \"{}\"", other.escape_debug()),
                    format!("write one of: {}", KINDS.join(", ")),
                );
                return None;
            }
        };
        Some(Parts {
            schedule,
            cache: cache.unwrap_or(Cache::Memory),
            kind,
        })
    }

    /// How long the gateway waits at its start for values that it has not.
    pub(super) fn start_wait(&self, section: &Reader<'a, '_>) -> Duration {
        self.duration(section, "start-wait", START_WAIT, Duration::from_secs(10))
    }

    pub(super) fn duration(
        &self,
        section: &Reader<'a, '_>,
        key: &'static str,
        (least, most): (Duration, Duration),
        default: Duration,
    ) -> Duration {
        let Some(At { value, span }) = section.text(key) else {
            return default;
        };
        let found = seconds(value).filter(|found| (least..=most).contains(found));
        if found.is_none() {
            let message = format!(
                "`{key}` is not a time from {} to {}",
                words(least),
                words(most)
            );
            let help = "write a number and its unit: \"30s\", \"5m\", \"1h\", \"1d\"";
            self.findings.add_with_help(span, message, help);
        }
        found.unwrap_or(default)
    }
}

/// A section without its name.
struct Parts {
    schedule: Schedule,
    cache: Cache,
    kind: SourceKind,
}

const KINDS: &[&str] = &["files", "openbao", "key-vault", "environment"];

/// Which keys are not for every kind.
const KEYS_OF_KINDS: &[(&str, &[&str])] = &[
    ("directory", &["files"]),
    ("credentials", &["files"]),
    ("keep-line-end", &["files"]),
    ("readable-by-others", &["files"]),
    ("development", &["environment"]),
    ("variables", &["environment"]),
    ("networks", &["openbao", "key-vault"]),
    ("ca-file", &["openbao", "key-vault"]),
    ("address", &["openbao"]),
    ("mount", &["openbao"]),
    ("transit", &["openbao"]),
    ("namespace", &["openbao"]),
    ("auth", &["openbao"]),
    ("vault", &["key-vault"]),
    ("tenant", &["key-vault"]),
    ("authority", &["key-vault"]),
    ("resource", &["key-vault"]),
    ("client-id", &["key-vault"]),
    ("object-id", &["key-vault"]),
    ("resource-id", &["key-vault"]),
    ("platform", &["key-vault"]),
    ("identity-endpoint", &["key-vault"]),
    ("token-file", &["key-vault"]),
];

/// `30s`, `5m`, `1h`, `1d`.
fn seconds(text: &str) -> Option<Duration> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.get(..text.len().checked_sub(1)?)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits)?;
    number.checked_mul(unit).map(Duration::from_secs)
}

/// A time in the largest unit in which it is whole.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let unit = units
        .into_iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    match unit {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
