//! What a policy says about itself.

use keyward_names::Alias;
use serde::{Deserialize, Serialize, de};
use serde_json::Value;

/// A manifest, as it is embedded in a component's section `keyward:manifest`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    /// The policy's name, as its author calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence: what it does.
    pub description: String,
    /// The uses of secrets that it asks for.
    pub asks: Vec<Ask>,
    /// Whether it runs documents, which bring uses of secrets with them.
    #[serde(rename = "runs-documents", skip_serializing_if = "std::ops::Not::not")]
    pub runs_documents: bool,
    /// The JSON Schema of its settings. [`encode`](crate::encode) puts in what the
    /// code brings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

/// A use of a secret that a policy asks for, as `Cargo.toml` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What the policy calls the secret.
    #[serde(deserialize_with = "alias")]
    pub alias: String,
    /// The setting in which an operator can give the alias another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
    /// The use, as grants spell it.
    #[serde(rename = "use")]
    pub use_: String,
    /// Why, for the operator who decides about the grant.
    pub why: String,
}

fn alias<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Alias::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(de::Error::custom(error)),
    }
}
