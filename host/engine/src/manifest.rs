//! The manifest: what a component says about itself, read without running it.
//!
//! It is a custom section `keyward:manifest` at the component's top level that
//! holds one JSON object. What it asks for is a request; authority is what it
//! asks for *and* an operator granted.

use keyward_names::Alias;
use keyward_vault::{Ask, Use};
use serde::{Deserialize, Serialize};

/// The section's name.
pub(crate) const SECTION: &str = "keyward:manifest";
/// Bytes that a manifest may have.
const MOST_BYTES: usize = 64 << 10;
/// Things that a manifest may ask for.
const MOST_ASKS: usize = 64;

/// What a component says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The policy's name, as its author calls it.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// One sentence: what it does.
    #[serde(default)]
    pub description: String,
    /// The uses of secrets that it asks for.
    #[serde(default)]
    pub asks: Vec<ManifestAsk>,
    /// Whether it runs documents: what it is to do then comes with its settings, and so
    /// do uses of secrets that it asks for.
    #[serde(
        default,
        rename = "runs-documents",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub runs_documents: bool,
    /// A JSON Schema of its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
}

/// One use of a secret that a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestAsk {
    /// What the policy calls the secret. A grant gives the alias.
    pub alias: Alias,
    /// The setting in which an operator can give the alias another name; none if the
    /// alias is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The use, as grants spell it: `attach`, `sign-request`, …
    #[serde(rename = "use")]
    pub use_: String,
    /// Why, for the operator who decides about the grant.
    #[serde(default)]
    pub why: String,
}

/// A manifest can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// There is none.
    #[error(
        "it has no manifest (custom section \"keyward:manifest\"); \
         build it with the tools that come with Keyward"
    )]
    Missing,
    /// There is more than one.
    #[error("it has more than one manifest (custom section \"keyward:manifest\")")]
    Repeated,
    /// It is too long.
    #[error("its manifest has {0} bytes; at most {MOST_BYTES} are accepted")]
    TooLong(usize),
    /// It is not the JSON that a manifest is.
    #[error("its manifest is malformed: {0}")]
    Malformed(String),
    /// It asks for a use that does not exist.
    #[error(
        "its manifest asks for the use \"{0}\", which does not exist; \
         uses are {words}",
        words = Use::words()
    )]
    UnknownUse(String),
    /// A setting names an alias, and what stands there is none.
    #[error(
        "its setting \"{0}\" must be an alias: 1 to 64 of a-z, 0-9, '.', '_', '-', \
         the first a letter or a digit"
    )]
    NoAlias(String),
    /// It asks for too much.
    #[error("its manifest asks for {0} uses; at most {MOST_ASKS} are accepted")]
    TooManyAsks(usize),
}

impl Manifest {
    pub(crate) fn parse(section: &[u8]) -> Result<Self, ManifestError> {
        if section.len() > MOST_BYTES {
            return Err(ManifestError::TooLong(section.len()));
        }
        let manifest: Manifest = serde_json::from_slice(section)
            .map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if manifest.asks.len() > MOST_ASKS {
            return Err(ManifestError::TooManyAsks(manifest.asks.len()));
        }
        manifest.vault_asks()?;
        Ok(manifest)
    }

    /// The manifest under these settings: an ask whose alias is a setting asks for
    /// the alias that stands there.
    ///
    /// Errors: what stands there is no alias.
    pub fn with_settings(mut self, settings: &serde_json::Value) -> Result<Self, ManifestError> {
        for ask in &mut self.asks {
            let Some(setting) = &ask.setting else {
                continue;
            };
            if let Some(value) = settings.get(setting) {
                let alias = value.as_str().and_then(|text| Alias::parse(text).ok());
                ask.alias = alias.ok_or_else(|| ManifestError::NoAlias(setting.clone()))?;
            }
        }
        Ok(self)
    }

    /// What it asks for, as the vault knows it.
    ///
    /// Errors: an ask names a use that does not exist.
    pub fn vault_asks(&self) -> Result<Vec<Ask>, ManifestError> {
        self.asks
            .iter()
            .map(|ask| {
                let use_ = ask
                    .use_
                    .parse::<Use>()
                    .map_err(|_| ManifestError::UnknownUse(ask.use_.chars().take(64).collect()))?;
                Ok(Ask {
                    alias: ask.alias.clone(),
                    use_,
                })
            })
            .collect()
    }
}
