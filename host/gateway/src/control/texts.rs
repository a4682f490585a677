//! How things are written in requests and answers, and what they become.

use std::path::PathBuf;

use jiff::Timestamp;
use keyward::names::{ExchangeId, GrantId, PolicyName, RouteName, SecretName, Subject, ValueName};
use keyward::vault::{
    Act, Filter, KeySource, Kind, NamedValue, NewKey, Outcome, PassphraseCost, Reference, Secret,
    UnknownWord, Use, Validity,
};
use serde::{Deserialize, Serialize};

use super::answers::Fault;

/// A kind in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindText {
    /// `api-key`, `hmac-key`, …
    pub kind: String,
    /// Of an `hmac-key`: `sha256` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Of an `hmac-key` or a `data-key`: `raw` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

impl From<Kind> for KindText {
    fn from(kind: Kind) -> Self {
        let (algorithm, encoding) = match kind {
            Kind::HmacKey {
                algorithm,
                encoding,
            } => (Some(algorithm.to_string()), Some(encoding.to_string())),
            Kind::DataKey { encoding } => (None, Some(encoding.to_string())),
            _ => (None, None),
        };
        Self {
            kind: kind.as_str().to_owned(),
            algorithm,
            encoding,
        }
    }
}

impl TryFrom<&KindText> for Kind {
    type Error = KindTextError;

    fn try_from(text: &KindText) -> Result<Self, KindTextError> {
        let kind: Self = text.kind.parse()?;
        match kind {
            Self::HmacKey {
                mut algorithm,
                mut encoding,
            } => {
                if let Some(text) = &text.algorithm {
                    algorithm = text.parse()?;
                }
                if let Some(text) = &text.encoding {
                    encoding = text.parse()?;
                }
                Ok(Self::HmacKey {
                    algorithm,
                    encoding,
                })
            }
            Self::DataKey { mut encoding } if text.algorithm.is_none() => {
                if let Some(text) = &text.encoding {
                    encoding = text.parse()?;
                }
                Ok(Self::DataKey { encoding })
            }
            _ if text.algorithm.is_some() => Err(KindTextError::NoAlgorithm(kind.as_str())),
            _ if text.encoding.is_some() => Err(KindTextError::NoEncoding(kind.as_str())),
            kind => Ok(kind),
        }
    }
}

/// Why words name no kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindTextError {
    /// An unknown word.
    #[error(transparent)]
    Unknown(#[from] UnknownWord),
    /// An algorithm for a kind that has none.
    #[error("a secret of kind {0} has no algorithm")]
    NoAlgorithm(&'static str),
    /// An encoding for a kind that has none.
    #[error("a secret of kind {0} has no encoding")]
    NoEncoding(&'static str),
}

/// Where a secret's values come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OriginText {
    /// `SOURCE:KEY`.
    pub reference: String,
    /// Where they are kept: `memory`, `sealed` or `remote`; as the source says unless
    /// set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
}

/// When a version may be used: RFC 3339, each end open if it is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ValidityText {
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

impl ValidityText {
    /// Whether it is for ever.
    pub fn is_unbounded(&self) -> bool {
        self.not_before.is_none() && self.not_after.is_none()
    }

    pub(super) fn read(&self) -> Result<Validity, Fault> {
        Ok(Validity {
            not_before: self.not_before.as_deref().map(time).transpose()?,
            not_after: self.not_after.as_deref().map(time).transpose()?,
        })
    }
}

impl From<&Validity> for ValidityText {
    fn from(validity: &Validity) -> Self {
        Self {
            not_before: validity.not_before.as_ref().map(ToString::to_string),
            not_after: validity.not_after.as_ref().map(ToString::to_string),
        }
    }
}

/// A moment, RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, Fault> {
    text.parse()
        .map_err(|_| Fault::refused("a time is written like 2026-12-31T00:00:00Z"))
}

/// What a named value stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueText {
    /// A text that everybody may see.
    Plain(String),
    /// A secret of the vault.
    Secret(SecretName),
    /// A secret in a source: `SOURCE:KEY`.
    Reference(String),
}

impl ValueText {
    pub(super) fn read(self) -> Result<NamedValue, Fault> {
        Ok(match self {
            Self::Plain(text) => NamedValue::Plain(text),
            Self::Secret(name) => NamedValue::Secret(name),
            Self::Reference(text) => NamedValue::Reference(text.parse().map_err(Fault::refused)?),
        })
    }
}

impl From<&NamedValue> for ValueText {
    fn from(value: &NamedValue) -> Self {
        match value {
            NamedValue::Plain(text) => Self::Plain(text.clone()),
            NamedValue::Secret(name) => Self::Secret(name.clone()),
            NamedValue::Reference(reference) => Self::Reference(reference.to_string()),
        }
    }
}

/// A key that a vault has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyText {
    /// A key file.
    KeyFile(PathBuf),
    /// A file that the service manager made.
    Credential(PathBuf),
    /// A passphrase, which comes as a value.
    Passphrase {},
    /// The slot of that number, whose key a source unwraps.
    SourceSlot(u64),
}

impl KeyText {
    /// The key. `unwrapped` asks the source of a slot.
    pub(super) fn read(
        self,
        value: impl FnOnce() -> Result<Secret, Fault>,
        unwrapped: impl FnOnce(u64) -> Result<KeySource, Fault>,
    ) -> Result<KeySource, Fault> {
        Ok(match self {
            Self::KeyFile(path) => KeySource::KeyFile(absolute(path)?),
            Self::Credential(path) => KeySource::Credential(absolute(path)?),
            Self::Passphrase {} => KeySource::Passphrase(value()?),
            Self::SourceSlot(slot) => unwrapped(slot)?,
        })
    }
}

/// A key that a vault, or a copy of it, is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum NewKeyText {
    /// A key file that is made, and that is not there yet.
    KeyFile(PathBuf),
    /// A file that the service manager made.
    Credential(PathBuf),
    /// A passphrase, which comes as a value.
    Passphrase {
        /// What a guess of it costs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<CostText>,
    },
    /// A key that a source wraps: `SOURCE:KEY`, the key that does.
    Source(String),
}

impl NewKeyText {
    /// The key. `wrapped` has a source wrap a new one.
    pub(super) fn read(
        self,
        value: impl FnOnce() -> Result<Secret, Fault>,
        wrapped: impl FnOnce(&Reference) -> Result<NewKey, Fault>,
    ) -> Result<NewKey, Fault> {
        Ok(match self {
            Self::KeyFile(path) => NewKey::KeyFile(absolute(path)?),
            Self::Credential(path) => NewKey::Credential(absolute(path)?),
            Self::Passphrase { cost } => NewKey::Passphrase {
                passphrase: value()?,
                cost: cost.map(PassphraseCost::from).unwrap_or_default(),
            },
            Self::Source(text) => wrapped(&text.parse().map_err(Fault::refused)?)?,
        })
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, Fault> {
    match path.is_absolute() {
        true => Ok(path),
        false => Err(Fault::refused("the path of a key is not absolute")),
    }
}

/// What a guess of a passphrase costs (Argon2id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CostText {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl From<CostText> for PassphraseCost {
    fn from(cost: CostText) -> Self {
        Self {
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
        }
    }
}

impl From<PassphraseCost> for CostText {
    fn from(cost: PassphraseCost) -> Self {
        Self {
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
        }
    }
}

/// Which records are wanted: those that fit all that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FilterText {
    /// From when on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of a policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// Under a grant, or about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Of a secret, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretName>,
    /// Of a secret, by the id that the trail gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// A use: `attach`, …
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub use_: Option<String>,
    /// Towards a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteName>,
    /// An outcome: `allowed`, `not-granted`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// An act: `secret-rotated`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<String>,
    /// By someone, as the trail has it: `uid 1000 (alice)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// About a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Subject>,
    /// About a named value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueName>,
    /// Of one exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// Only what was refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refused_only: bool,
}

impl FilterText {
    /// The filter.
    ///
    /// Errors: a word, a time or an id is not one.
    pub fn read(&self) -> Result<Filter, Fault> {
        let word = |what: &str| Fault::refused(format!("there is no such {what}"));
        let one_of = |what: &str, all: Vec<&str>| {
            Fault::refused(format!(
                "there is no such {what}; there are {}",
                all.join(", ")
            ))
        };
        let act = self.act.as_deref().map(|text| {
            let found = Act::ALL.iter().find(|act| act.as_str() == text);
            found
                .copied()
                .ok_or_else(|| one_of("act", Act::ALL.iter().map(|act| act.as_str()).collect()))
        });
        let outcome = self.outcome.as_deref().map(|text| {
            let found = Outcome::ALL.iter().find(|outcome| outcome.as_str() == text);
            let all = || Outcome::ALL.iter().map(|outcome| outcome.as_str());
            found
                .copied()
                .ok_or_else(|| one_of("outcome", all().collect()))
        });
        let use_ = self.use_.as_deref().map(str::parse::<Use>);
        let exchange = self.exchange.as_deref().map(ExchangeId::parse);
        let id = self.secret_id.as_deref().map(str::parse);
        Ok(Filter {
            since: self.since.as_deref().map(time).transpose()?,
            until: self.until.as_deref().map(time).transpose()?,
            policy: self.policy.clone(),
            grant: self.grant.clone(),
            secret: self.secret.clone(),
            secret_id: id.transpose().map_err(|_| word("id of a secret"))?,
            use_: use_.transpose().map_err(Fault::refused)?,
            route: self.route.clone(),
            outcome: outcome.transpose()?,
            act: act.transpose()?,
            actor: self.actor.clone(),
            client: self.client.clone(),
            value: self.value.clone(),
            exchange: exchange.transpose().map_err(Fault::refused)?,
            refused_only: self.refused_only,
        })
    }
}
