//! What an import comes to: what Keyward would have, and what only a person can
//! decide.
//!
//! Nothing in a plan is a secret's value. A value that stands in a file is named by
//! its place.

use std::collections::{BTreeMap, BTreeSet};

use keyward::names::{NameError, RouteName, SecretName, SourceName, ValueName};
use keyward_gateway::suggest::one_line;
use serde::Serialize;

/// All of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Plan {
    /// The tenant that the vaults trust, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<String>,
    /// `[sources]` of `keyward.toml`.
    pub(super) sources: Vec<SourcePlan>,
    /// `[[route]]` of `keyward.toml`.
    pub(super) routes: Vec<RoutePlan>,
    /// Secrets to set, with where their values come from.
    pub(super) secrets: Vec<SecretPlan>,
    /// Named values to set.
    pub(super) values: Vec<ValuePlan>,
    /// Grants that would do what a backend's credentials do.
    pub(super) grants: Vec<GrantPlan>,
    /// What needs a person.
    pub(super) open: Vec<Open>,
    /// How many resources of other types there are.
    pub(super) not_imported: BTreeMap<String, usize>,
    #[serde(skip)]
    names: Names,
}

/// A key vault.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SourcePlan {
    /// What to call it.
    pub(super) name: SourceName,
    /// Its URL.
    pub(super) vault: String,
    /// Who asks: the client id of an identity, or none for the system's own.
    pub(super) client_id: Option<String>,
}

/// A backend.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RoutePlan {
    /// What to call it.
    pub(super) name: RouteName,
    /// Where it is.
    pub(super) url: String,
}

/// A secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SecretPlan {
    /// What to call it.
    pub(super) name: SecretName,
    /// What it is, as `--kind` takes it.
    pub(super) kind: &'static str,
    /// Why that.
    pub(super) why: String,
    /// Where its value is.
    #[serde(flatten)]
    pub(super) value: SecretValue,
}

/// Where a secret's value is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SecretValue {
    /// In a source, as `SOURCE:KEY`.
    From(String),
    /// In the file, in clear, at this place.
    InTheFile {
        /// The place, as `jq` takes it.
        path: String,
        /// Which member of a list it is, if it is in one.
        #[serde(skip_serializing_if = "Option::is_none")]
        index: Option<usize>,
    },
    /// In API Management only, as a named value of this name there.
    InAzure {
        /// Its name there.
        named_value: String,
    },
    /// Elsewhere; whoever has it types it in.
    ByHand,
}

/// A named value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ValuePlan {
    /// What to call it.
    pub(super) name: ValueName,
    /// What it stands for.
    #[serde(flatten)]
    pub(super) stands_for: StandsFor,
    /// Words to sort it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
}

/// What a named value stands for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StandsFor {
    /// A text.
    Plain(String),
    /// A secret of the plan.
    Secret(SecretName),
}

/// A grant by which a policy attaches what the backend had as its credential.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct GrantPlan {
    /// The backend.
    pub(super) route: RouteName,
    /// What is attached.
    pub(super) secret: SecretName,
    /// The header.
    pub(super) header: String,
    /// What is written there, with `{secret}` for the value.
    pub(super) template: String,
}

/// Something that a person has to look at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Open {
    /// Where in the file.
    pub(super) at: String,
    /// What there is.
    pub(super) what: String,
    /// What to do.
    pub(super) help: String,
}

impl Plan {
    /// Notes that a person has to look at something.
    pub(super) fn open(&mut self, at: &str, what: impl Into<String>, help: impl Into<String>) {
        self.open.push(Open {
            at: jq(at),
            what: one_line(&what.into()),
            help: one_line(&help.into()),
        });
    }

    /// The source of a vault and an identity; added if it is not there yet.
    pub(super) fn source(
        &mut self,
        vault: &str,
        label: &str,
        client_id: Option<&str>,
    ) -> Result<SourceName, NameError> {
        let known = self
            .sources
            .iter()
            .find(|source| source.vault == vault && source.client_id.as_deref() == client_id);
        if let Some(known) = known {
            return Ok(known.name.clone());
        }
        let name = SourceName::parse(&self.names.free("source", label, "azure"))?;
        self.sources.push(SourcePlan {
            name: name.clone(),
            vault: vault.to_owned(),
            client_id: client_id.map(str::to_owned),
        });
        Ok(name)
    }

    /// Whether there is no named value of that name yet; there is one from then on.
    pub(super) fn is_new_value(&mut self, name: &ValueName) -> bool {
        self.names.taken.insert(("value", name.to_string()))
    }

    /// A name for a secret that is not taken.
    pub(super) fn secret_name(&mut self, wanted: &str) -> Result<SecretName, NameError> {
        SecretName::parse(&self.names.free("secret", wanted, "secret"))
    }

    /// A name for a route that is not taken.
    pub(super) fn route_name(&mut self, wanted: &str) -> Result<RouteName, NameError> {
        RouteName::parse(&self.names.free("route", wanted, "backend"))
    }

    /// The secret that a named value of the plan stands for.
    pub(super) fn secret_of(&self, named_value: &str) -> Option<&SecretName> {
        self.values
            .iter()
            .filter(|value| value.name.as_str() == named_value)
            .find_map(|value| match &value.stands_for {
                StandsFor::Secret(secret) => Some(secret),
                StandsFor::Plain(_) => None,
            })
    }
}

/// The names that were given, and how often each was wanted.
#[derive(Debug, Default)]
struct Names {
    taken: BTreeSet<(&'static str, String)>,
    wanted: BTreeMap<(&'static str, String), u64>,
}

impl Names {
    /// The nearest name that there can be, with a number if it is taken.
    fn free(&mut self, of: &'static str, wanted: &str, otherwise: &str) -> String {
        let fitting: String = wanted
            .chars()
            .map(|c| match c.to_ascii_lowercase() {
                c @ ('a'..='z' | '0'..='9' | '.' | '_' | '-') => c,
                _ => '-',
            })
            .collect();
        let fitting = fitting.trim_start_matches(['.', '_', '-']);
        let base: String = match fitting.is_empty() {
            true => otherwise.to_owned(),
            // Room for a number.
            false => fitting.chars().take(44).collect(),
        };
        let count = self.wanted.entry((of, base.clone())).or_insert(0);
        loop {
            *count = count.saturating_add(1);
            let name = match *count {
                1 => base.clone(),
                number => format!("{base}-{number}"),
            };
            if self.taken.insert((of, name.clone())) {
                return name;
            }
        }
    }
}

/// A place as `jq` takes it.
pub(super) fn jq(at: &str) -> String {
    match at.starts_with('.') {
        true => at.to_owned(),
        false => format!(".{at}"),
    }
}
