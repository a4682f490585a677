//! The way to the vault: requests go to the gateway that is running, or, when
//! none is, are carried out here on the vault that this opens.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::egress::Dialer;
use keyward::names::SourceName;
use keyward::sources::{Source, SourceError};
use keyward::vault::{
    Actor, KeySource, NewKey, Opening, Reference, Secret, SecretInfo, Vault, VaultError,
};
use keyward_gateway::config::{Config, Known, SourceSection, Values, VaultKey};
use keyward_gateway::control::{
    Checkpoint, Client, ClientError, Fault, FaultCode, GrantsReloaded, Node, Peer, Reply, Request,
    SecretEntry, SecretPage, Status, ValueEntry, check_reason, execute,
};
use keyward_gateway::slot_keys::{self, SlotKeyError};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::Common;
use crate::exit::{Exit, Failure};
use crate::input::Value;

/// Who has the vault.
pub(crate) enum Access {
    /// A gateway, whose control socket is there.
    Gateway(PathBuf),
    /// This process, which holds the vault's lock until it ends.
    Here(Box<Here>),
}

/// An opened vault, without a gateway around it.
pub(crate) struct Here {
    vault: Vault,
    trail: PathBuf,
    require_reason: bool,
    sources: Vec<SourceSection>,
}

impl Here {
    /// The vault itself.
    pub(crate) fn into_vault(self) -> Vault {
        self.vault
    }
}

impl Node for Here {
    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn trail(&self) -> &Path {
        &self.trail
    }

    fn reload_grants(&self, _actor: &Actor) -> Result<GrantsReloaded, String> {
        Err("no gateway is running here; it reads the grants when it starts".to_owned())
    }

    fn source(&self, name: &SourceName) -> Result<Arc<dyn Source>, SourceError> {
        let section = self.sources.iter().find(|section| section.name == *name);
        let section = section.ok_or(SourceError::NotConfigured)?;
        // What can't be made is a finding when the configuration is read.
        let built = section.build(&Dialer::default());
        built.map_err(|_| SourceError::NotConfigured)
    }

    fn source_sections(&self) -> Vec<SourceSection> {
        self.sources.clone()
    }

    fn status(&self) -> Option<Status> {
        None
    }
}

impl Access {
    /// Finds the running gateway, or else opens the vault.
    pub(crate) fn open(config: &Config, common: &Common) -> Result<Self, Failure> {
        if let Some(gateway) = Self::running(config)? {
            return Ok(gateway);
        }
        let vault = open_vault(config, common)?;
        Ok(Self::Here(Box::new(Here {
            vault,
            trail: config.audit.directory.clone(),
            require_reason: config.control.rules.require_reason,
            sources: config.sources.clone(),
        })))
    }

    /// The running gateway, if there is one.
    pub(crate) fn running(config: &Config) -> Result<Option<Self>, Failure> {
        match Client::connect(&config.control.socket) {
            Ok(_) => Ok(Some(Self::Gateway(config.control.socket.clone()))),
            Err(ClientError::NotRunning) => Ok(None),
            Err(error) => Err(client_failure(error)),
        }
    }

    /// Whether it is a running gateway that answers.
    pub(crate) fn is_gateway(&self) -> bool {
        matches!(self, Self::Gateway(_))
    }

    /// Has a request carried out that brings no value.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        request: Request,
        reason: Option<&str>,
    ) -> Result<T, Failure> {
        self.ask_with(request, reason, Vec::new())
    }

    /// Has a request carried out that brings values.
    pub(crate) fn ask_with<T: DeserializeOwned>(
        &self,
        request: Request,
        reason: Option<&str>,
        values: Vec<Value>,
    ) -> Result<T, Failure> {
        Ok(self.ask_for_bytes(request, reason, values)?.0)
    }

    /// Has a request carried out whose answer is more than a line.
    pub(crate) fn ask_for_bytes<T: DeserializeOwned>(
        &self,
        request: Request,
        reason: Option<&str>,
        values: Vec<Value>,
    ) -> Result<(T, Option<Vec<u8>>), Failure> {
        match self {
            Self::Gateway(socket) => {
                let values = values.into_iter().map(Value::into_bytes);
                let values = values.collect::<Result<Vec<_>, _>>()?;
                Client::connect(socket)
                    .and_then(|client| client.ask_for_bytes(request, reason, &values))
                    .map_err(client_failure)
            }
            Self::Here(here) => {
                check_reason(&request, reason, here.require_reason).map_err(fault)?;
                let values = values.into_iter().map(Value::into_secret);
                let values = values.collect::<Result<Vec<Secret>, _>>()?;
                let Reply { data, bytes } =
                    execute(request, values, &**here, &actor(reason)).map_err(fault)?;
                let data = serde_json::from_value(data)
                    .map_err(|_| client_failure(ClientError::Malformed))?;
                Ok((data, bytes))
            }
        }
    }

    /// The named values, as configuration and documents use them.
    pub(crate) fn values(&self) -> Result<Values, Failure> {
        let entries: Vec<ValueEntry> = self.ask(Request::ValueList { tag: None }, None)?;
        let known = entries.into_iter().map(|entry| {
            let known = Known::try_from(&entry.value);
            known.map(|known| (entry.name, known)).map_err(Failure::new)
        });
        let values: Values = known.collect::<Result<_, Failure>>()?;
        Ok(values.with_secrets(&self.list()?))
    }

    /// All secrets, by name.
    pub(crate) fn secrets(&self) -> Result<Vec<SecretEntry>, Failure> {
        let mut secrets = Vec::new();
        let mut after = None;
        loop {
            let request = Request::SecretList {
                name: None,
                after,
                limit: None,
            };
            let page: SecretPage = self.ask(request, None)?;
            secrets.extend(page.secrets);
            after = page.next;
            if after.is_none() {
                return Ok(secrets);
            }
        }
    }

    /// All secrets, as the vault knows them.
    pub(crate) fn list(&self) -> Result<Vec<SecretInfo>, Failure> {
        let entries = self.secrets()?;
        let infos = entries.iter().map(SecretInfo::try_from);
        infos
            .collect::<Result<_, _>>()
            .map_err(|_| client_failure(ClientError::Malformed))
    }

    /// The key that verifies the audit trail.
    pub(crate) fn verifier_key(&self) -> Result<String, Failure> {
        let checkpoint: Checkpoint = self.ask(Request::AuditCheckpoint {}, None)?;
        Ok(checkpoint.verifier_key)
    }
}

/// Has the running gateway read its grants again.
pub(crate) fn reload_grants(
    config: &Config,
    reason: Option<&str>,
) -> Result<GrantsReloaded, Failure> {
    match Access::running(config)? {
        Some(gateway) => gateway.ask(Request::GrantsReload {}, reason),
        None => Err(client_failure(ClientError::NotRunning)
            .help("a gateway reads the grants when it starts: keyward serve")),
    }
}

/// Opens the vault with the key that the configuration names.
pub(crate) fn open_vault(config: &Config, common: &Common) -> Result<Vault, Failure> {
    let opening = Opening {
        key: key_source(config, common)?,
        durability: config.audit.durability,
    };
    Vault::open_from(&config.vault_files(), opening).map_err(vault_failure)
}

/// What opens the vault, by the configuration; a passphrase is asked for.
pub(crate) fn key_source(config: &Config, common: &Common) -> Result<KeySource, Failure> {
    Ok(match &config.vault.key {
        VaultKey::File(file) => KeySource::KeyFile(file.clone()),
        VaultKey::Credential(file) => KeySource::Credential(file.clone()),
        VaultKey::Passphrase => {
            let file = common.passphrase_file();
            let value = Value::passphrase(common.output(), "Passphrase of the vault", file)?;
            KeySource::Passphrase(value.into_secret()?)
        }
        VaultKey::Source(wrapping) => {
            let source = source_of(config, wrapping.source())?;
            let files = config.vault_files();
            let key = slot_keys::key_of(&files, source.as_ref(), wrapping);
            runtime()?.block_on(key).map_err(slot_key_failure)?
        }
    })
}

/// A new key that the source of the configuration wraps.
pub(crate) fn new_source_key(config: &Config, wrapping: &Reference) -> Result<NewKey, Failure> {
    let source = source_of(config, wrapping.source())?;
    let key = slot_keys::wrap(source.as_ref(), wrapping);
    runtime()?.block_on(key).map_err(slot_key_failure)
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::io(error, "can't start"))
}

/// A source of the configuration, made here.
fn source_of(config: &Config, name: &SourceName) -> Result<Arc<dyn Source>, Failure> {
    let mut sections = config.sources.iter();
    let section = sections.find(|section| section.name == *name);
    let section = section.ok_or_else(|| {
        Failure::new(format!(
            "[vault] is opened by a key in the source {name}, which is not there"
        ))
        .help(format!("add [sources.{name}] to the configuration"))
    })?;
    section
        .build(&Dialer::default())
        .map_err(|fault| Failure::new(format!("[sources.{name}]: {fault}")))
}

fn slot_key_failure(error: SlotKeyError) -> Failure {
    match error {
        SlotKeyError::Vault(error) => vault_failure(error),
        SlotKeyError::Source { wrapping, error } => {
            Failure::new(format!("{wrapping}: {error}")).help(error.advice())
        }
        other => Failure::new(other.to_string()),
    }
}

/// As the gateway names those who come through its socket.
pub(crate) fn actor(reason: Option<&str>) -> Actor {
    Actor {
        name: Peer::this_process().to_string(),
        reason: reason.map(str::to_owned),
    }
}

pub(crate) fn client_failure(error: ClientError) -> Failure {
    let (exit, help) = match &error {
        ClientError::Fault(problem) => return fault(problem.clone()),
        ClientError::Untrusted { .. } | ClientError::Io(std::io::ErrorKind::PermissionDenied) => (
            Exit::Denied,
            Some("run this as root or as the user who runs the gateway"),
        ),
        _ => (Exit::Failed, None),
    };
    Failure {
        exit,
        error: error.into(),
        help: help.map(str::to_owned),
    }
}

pub(crate) fn fault(fault: Fault) -> Failure {
    let denied = fault.code == FaultCode::Forbidden;
    let exit = match fault.code {
        FaultCode::Forbidden => Exit::Denied,
        FaultCode::Findings => Exit::Findings,
        FaultCode::Malformed | FaultCode::Refused | FaultCode::Unavailable => Exit::Failed,
    };
    let help = match fault.roles.is_empty() {
        true => "run this as root or as the user who runs the gateway",
        false => {
            "roles are given in [control.roles] of the gateway's configuration; root and the user who runs it have all"
        }
    };
    Failure {
        exit,
        error: fault.into(),
        help: denied.then(|| help.to_owned()),
    }
}

/// What the vault refused, with the next step.
pub(crate) fn vault_failure(error: VaultError) -> Failure {
    let (exit, help) = match &error {
        VaultError::Missing { .. } => (
            Exit::Failed,
            Some("`keyward init` makes a vault; or correct [vault] in the configuration"),
        ),
        VaultError::Io {
            kind: std::io::ErrorKind::PermissionDenied,
            ..
        } => (
            Exit::Denied,
            Some("run this as the user who owns the vault and its key"),
        ),
        VaultError::Exposed { .. } => (
            Exit::Failed,
            Some("`keyward doctor` checks all files at once"),
        ),
        VaultError::RolledBack { .. }
        | VaultError::FileDiffers { .. }
        | VaultError::TrailDiffers { .. } => (
            Exit::Failed,
            Some(
                "otherwise restore vault and trail together; `keyward audit verify` checks the trail",
            ),
        ),
        VaultError::Trail(_) => (
            Exit::Failed,
            Some("`keyward audit verify --key VKEY` says what is wrong with the trail"),
        ),
        _ => (Exit::Failed, None),
    };
    Failure {
        exit,
        error: error.into(),
        help: help.map(str::to_owned),
    }
}
