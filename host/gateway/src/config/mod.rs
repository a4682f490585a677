//! `keyward.toml`: what a gateway listens on, where it keeps its files, which
//! routes, policies and pipelines it has.
//!
//! [`Config::load`] reports everything that is wrong with a file at once, each
//! with its place. What it returns is consistent: every name in a pipeline is
//! defined, no name or path is defined twice, every route is one that the egress
//! accepts. It does not open the vault, the policies or the documents.
//!
//! Texts may hold named values, `{{name}}`. Those are in the vault, so
//! [`Config::load`] leaves such texts out and [`Config::resolve`] reads the file's
//! text again with them. `NAMED_VALUES.md` says where they can stand.

mod bind;
mod control;
mod diagnostics;
pub(crate) mod documents;
mod engine;
mod front;
mod issuers;
mod keys;
mod observe;
mod origin;
mod parse;
mod pipeline;
mod reader;
mod schema;
mod source_kinds;
mod sources;
mod values;
mod vault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyward::Issuer;
use keyward::document::Member;
use keyward::egress::Route;
use keyward::engine::Sandbox;
use keyward::names::{IssuerName, KeyVaultReference, PolicyName, RouteName};
use keyward::vault::{Durability, Reference, VaultFiles};

use crate::control::Rules;

pub use bind::SecretSetting;
pub use diagnostics::{ConfigErrors, Finding};
pub use documents::InDocuments;
pub use engine::EngineSection;
pub use front::FrontSection;
pub use keys::{KEYS, Key, Shape, section_of};
pub use observe::{LogFormat, LogSection, TelemetrySection};
pub use origin::{Origin, Shown};
pub use pipeline::{DocumentSteps, PathPrefix, Pipeline, Steps};
pub use schema::schema;
pub use sources::{OpenBaoSection, SourceKind, SourceSection};
pub use values::{Known, ListedVault, Unresolved, Values};
pub use vault::{CredentialError, credential};

/// A gateway's configuration. All paths are absolute or relative to the working
/// directory: those in the file are relative to the file, and resolved here.
#[derive(Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// `[gateway]`.
    pub gateway: GatewaySection,
    /// `[vault]`.
    pub vault: VaultSection,
    /// `[audit]`.
    pub audit: AuditSection,
    /// `[control]`.
    pub control: ControlSection,
    /// `[engine]`.
    pub engine: EngineSection,
    /// `[log]`.
    pub log: LogSection,
    /// `[telemetry]`.
    pub telemetry: TelemetrySection,
    /// The file with the grants: `[grants] file`. None: nothing is granted.
    pub grants: Option<PathBuf>,
    /// `[sources.NAME]`, by name.
    pub sources: Vec<SourceSection>,
    /// What documents may ask for: `[documents] references`.
    pub document_references: Vec<Reference>,
    /// `[[route]]`, in the file's order. Those whose URL holds a named value are
    /// missing until it is resolved.
    pub routes: Vec<Route>,
    /// The names of all routes, in the file's order.
    pub route_names: Vec<RouteName>,
    /// `[issuers.NAME]`, by name.
    pub issuers: Vec<Issuer>,
    /// `[[policy]]`, in the file's order.
    pub policies: Vec<PolicySection>,
    /// `[[pipeline]]`, the longest path first: the first that matches a request
    /// is the one.
    pub pipelines: Vec<Pipeline>,
    /// Named values that were not looked up, in the file's order. With none the
    /// configuration is whole.
    pub unresolved: Vec<Unresolved>,
    /// The sources that are key vaults.
    vaults: Vec<ListedVault>,
    /// The text that it was read from.
    source: Arc<str>,
}

/// `[gateway]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySection {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// A policy document that the documents of pipelines refer to with `<base/>`.
    pub document: Option<PathBuf>,
    /// Policy fragments: files, and folders of them.
    pub fragments: Vec<PathBuf>,
    /// What documents are told of the service.
    pub facts: Vec<(Member, String)>,
    /// What it says about clients.
    pub front: FrontSection,
    /// Whether the configuration is reloaded when one of its files changes. False
    /// unless set.
    pub watch: bool,
    /// How long the gateway waits at its start, before it serves, for sources to be asked
    /// for each of their secrets once. 10 seconds unless set.
    pub start_wait: Duration,
}

/// `[vault]`. `vault.keyward`, opened by `vault.key`, unless set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSection {
    /// The sealed file.
    pub file: PathBuf,
    /// What opens it.
    pub key: VaultKey,
    /// How long before a secret's end (that of a certificate, or one that was set) it
    /// is warned about: whole days, `expiry-warning`. 30 days unless set.
    pub expiry_warning: Duration,
}

/// What opens the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultKey {
    /// A file with its key: `key-file`.
    File(PathBuf),
    /// A file with its key that the service manager makes: `credential`.
    Credential(PathBuf),
    /// A passphrase, asked for at start: `passphrase = true`.
    Passphrase,
    /// The key in a source that unwraps a slot's: `source-key`.
    Source(Reference),
}

/// `[audit]`. Directory `audit`, durability `strict` unless set.
#[derive(Clone, Debug)]
pub struct AuditSection {
    /// Where the trail is.
    pub directory: PathBuf,
    /// When a record counts as written.
    pub durability: Durability,
    /// How long records are kept: whole days, `retention`. None: for ever.
    pub retention: Option<Duration>,
}

/// `[control]`. Socket `control.sock` unless set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSection {
    /// Where the control socket is.
    pub socket: PathBuf,
    /// Who may do what: `[control.roles]`, `require-reason`.
    pub rules: Rules,
}

/// `[[policy]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySection {
    /// What pipelines and grants call it.
    pub name: PolicyName,
    /// Its component.
    pub component: PathBuf,
    /// What its `configure` is given: a JSON object, empty unless set. Without
    /// those of `secret_settings`; see [`Config::bind`].
    pub settings: serde_json::Value,
    /// Settings that are secret named values.
    pub secret_settings: Vec<SecretSetting>,
    /// Its component or a setting holds a named value that was not looked up; it
    /// stands there as it is written.
    pub unresolved: bool,
    /// The routes that it may call itself.
    pub routes: Vec<RouteName>,
    /// The issuers whose tokens it may have checked.
    pub issuers: Vec<IssuerName>,
    /// What each of its calls gets: `profile`, `concurrent-calls`, `[policy.limits]`.
    pub sandbox: Sandbox,
    /// Which of `[policy.limits]` the file sets, by their names. What a document needs
    /// raises the others.
    pub set_limits: Vec<&'static str>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// Errors: every finding of the file, in its order.
    pub fn load(file: &Path) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigErrors::unreadable(file, error.kind()))?;
        Self::parse(file, &text)
    }

    /// Checks the text of a file that is, or would be, at `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigErrors> {
        parse::parse(file, text, None)
    }

    /// The same configuration with its named values. What they bring is checked
    /// as if it had been written in the file.
    ///
    /// Errors: every finding; values that are unknown, secret or references too.
    pub fn resolve(&self, values: &Values) -> Result<Self, ConfigErrors> {
        parse::parse(&self.file, &self.source, Some(values))
    }

    /// What a Key Vault reference is here: `SOURCE:KEY`, of the source that is its
    /// vault.
    ///
    /// Errors: no source is, or several are, in words and with what to do.
    pub fn listed(&self, reference: &KeyVaultReference) -> Result<Reference, (String, String)> {
        values::listed(&self.vaults, reference)
    }

    /// The text that it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Where the vault is.
    pub fn vault_files(&self) -> VaultFiles {
        VaultFiles {
            vault: self.vault.file.clone(),
            key: match &self.vault.key {
                VaultKey::File(file) | VaultKey::Credential(file) => file.clone(),
                VaultKey::Passphrase | VaultKey::Source(_) => PathBuf::new(),
            },
            audit: self.audit.directory.clone(),
        }
    }
}

#[cfg(test)]
mod values_tests;
