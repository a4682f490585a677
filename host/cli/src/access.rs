//! The way to the vault: through the gateway that is running, or, when none is,
//! by opening the vault here.

use std::path::PathBuf;

use keyward::names::SecretName;
use keyward::vault::{Actor, Kind, Secret, SecretInfo, Vault, VaultError};
use keyward_gateway::config::Config;
use keyward_gateway::control::{Client, ClientError, FaultCode, GrantsReloaded, SecretEntry};

use crate::exit::{Exit, Failure};
use crate::value::Value;

/// Who has the vault.
pub(crate) enum Access {
    /// A gateway, whose control socket is there.
    Gateway(PathBuf),
    /// This process, which holds the vault's lock until it ends.
    Here(Box<Vault>),
}

impl Access {
    /// Finds the running gateway, or else opens the vault.
    pub(crate) fn open(config: &Config) -> Result<Self, Failure> {
        match Client::connect(&config.control_socket) {
            Ok(_) => Ok(Self::Gateway(config.control_socket.clone())),
            Err(ClientError::NotRunning) => {
                let vault = Vault::open(&config.vault_files(), config.audit.durability)
                    .map_err(vault_failure)?;
                Ok(Self::Here(Box::new(vault)))
            }
            Err(error) => Err(client_failure(error)),
        }
    }

    /// Whether it is a running gateway that answers.
    pub(crate) fn is_gateway(&self) -> bool {
        matches!(self, Self::Gateway(_))
    }

    /// All secrets, by name.
    pub(crate) fn list(&self) -> Result<Vec<SecretInfo>, Failure> {
        let mut secrets = match self {
            Self::Gateway(socket) => {
                let entries = ask(socket, Client::list_secrets)?;
                entries.iter().map(info).collect::<Result<_, _>>()?
            }
            Self::Here(vault) => vault.list(),
        };
        secrets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(secrets)
    }

    /// Stores a new secret.
    pub(crate) fn add(
        &self,
        name: &SecretName,
        kind: Kind,
        value: Value,
        reason: Option<&str>,
    ) -> Result<SecretInfo, Failure> {
        match self {
            Self::Gateway(socket) => {
                let entry = ask(socket, |client| {
                    client.set_secret(name, kind, value.into_source(), reason)
                })?;
                info(&entry)
            }
            Self::Here(vault) => {
                let value = read(value, &kind)?;
                vault
                    .add(name, kind, value, &actor(reason))
                    .map_err(vault_failure)
            }
        }
    }

    /// Replaces the value of a secret, which is of that kind.
    pub(crate) fn rotate(
        &self,
        name: &SecretName,
        kind: &Kind,
        value: Value,
        reason: Option<&str>,
    ) -> Result<SecretInfo, Failure> {
        match self {
            Self::Gateway(socket) => {
                let entry = ask(socket, |client| {
                    client.rotate_secret(name, value.into_source(), reason)
                })?;
                info(&entry)
            }
            Self::Here(vault) => {
                let value = read(value, kind)?;
                vault
                    .rotate(name, value, &actor(reason))
                    .map_err(vault_failure)
            }
        }
    }

    /// The key that verifies the audit trail.
    pub(crate) fn verifier_key(&self) -> Result<String, Failure> {
        match self {
            Self::Gateway(socket) => Ok(ask(socket, Client::checkpoint)?.verifier_key),
            Self::Here(vault) => Ok(vault.audit().verifier_key()),
        }
    }
}

/// Has the running gateway read its grants again.
pub(crate) fn reload_grants(
    config: &Config,
    reason: Option<&str>,
) -> Result<GrantsReloaded, Failure> {
    ask(&config.control_socket, |client| {
        client.reload_grants(reason)
    })
    .map_err(|failure| match failure.help {
        Some(_) => failure,
        None => failure.help("a gateway reads the grants when it starts: keyward serve"),
    })
}

fn ask<T>(
    socket: &std::path::Path,
    question: impl FnOnce(Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    Client::connect(socket)
        .and_then(question)
        .map_err(client_failure)
}

fn read(value: Value, kind: &Kind) -> Result<Secret, Failure> {
    Secret::read_from(value.into_source(), kind.max_bytes()).map_err(Failure::new)
}

/// As the gateway names those who come through its socket.
fn actor(reason: Option<&str>) -> Actor {
    Actor {
        name: format!("uid {}", rustix::process::getuid().as_raw()),
        reason: reason.map(str::to_owned),
    }
}

/// What a gateway said about a secret, parsed as strictly as what the vault says.
fn info(entry: &SecretEntry) -> Result<SecretInfo, Failure> {
    let unknown = |_| Failure::new(ClientError::Malformed);
    Ok(SecretInfo {
        name: entry.name.clone(),
        kind: Kind::try_from(&entry.kind).map_err(|_| Failure::new(ClientError::Malformed))?,
        version: entry.version,
        versions: entry.versions.clone(),
        created: entry
            .created
            .parse()
            .map_err(|_| Failure::new(ClientError::Malformed))?,
        updated: entry
            .updated
            .parse()
            .map_err(|_| Failure::new(ClientError::Malformed))?,
        id: entry.id.parse().map_err(unknown)?,
    })
}

fn client_failure(error: ClientError) -> Failure {
    let exit = match &error {
        ClientError::Fault(fault) if fault.code == FaultCode::Forbidden => Exit::Denied,
        ClientError::Untrusted { .. } | ClientError::Io(std::io::ErrorKind::PermissionDenied) => {
            Exit::Denied
        }
        _ => Exit::Failed,
    };
    let help = match exit {
        Exit::Denied => Some("run this as root or as the user who runs the gateway".to_owned()),
        _ => None,
    };
    Failure {
        exit,
        error: error.into(),
        help,
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
        VaultError::RolledBack { .. } | VaultError::TrailDiffers { .. } | VaultError::Trail(_) => (
            Exit::Failed,
            Some(
                "`keyward audit verify --key VKEY` says what is wrong with the trail; restore vault and trail together",
            ),
        ),
        _ => (Exit::Failed, None),
    };
    Failure {
        exit,
        error: error.into(),
        help: help.map(str::to_owned),
    }
}
