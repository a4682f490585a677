//! Carrying out requests: the same code for those that come through the socket
//! and for a command that has opened the vault itself.

mod clients;
mod secrets;
mod sources;
mod trail;
mod values;
mod vault;

pub use sources::wait;

use std::path::Path;
use std::sync::Arc;

use keyward::names::{SourceName, ValueName};
use keyward::sources::refresh::Refresher;
use keyward::sources::{Source, SourceError};
use keyward::vault::{Actor, Secret, Vault};
use serde::Serialize;
use serde_json::Value;

use super::answers::{
    ConfigReloaded, Fault, FaultCode, GrantEntry, GrantList, GrantsReloaded, Pong, Status,
};
use super::databases::DatabaseEntry;
use super::request::{MAX_REASON, Request};
use crate::config::SourceSection;

/// The most values that one request brings.
const MAX_VALUES: usize = 64;

/// What requests act on: a gateway, or an opened vault.
pub trait Node: Send + Sync {
    /// The vault.
    fn vault(&self) -> &Vault;

    /// The directory of the audit trail.
    fn trail(&self) -> &Path;

    /// Reads the file with the grants again and puts it in force if it is good.
    /// May block. The error is for the operator.
    fn reload_grants(&self, actor: &Actor) -> Result<GrantsReloaded, String>;

    /// Reads the configuration again and puts it in force, all of it or nothing.
    /// May block. The error is for the operator.
    fn reload(&self, _actor: &Actor) -> Result<ConfigReloaded, String> {
        Err("no gateway is running".to_owned())
    }

    /// What fetches secrets from their sources; `None` if nothing does.
    fn refresher(&self) -> Option<&Refresher> {
        None
    }

    /// A source of the configuration.
    ///
    /// Errors: [`SourceError::NotConfigured`].
    fn source(&self, _name: &SourceName) -> Result<Arc<dyn Source>, SourceError> {
        Err(SourceError::NotConfigured)
    }

    /// The sections of the configuration's sources.
    fn source_sections(&self) -> Vec<SourceSection> {
        Vec::new()
    }

    /// Tries the logins that grants of `query` are for. May block.
    ///
    /// Errors: there is nothing that could.
    fn check_databases(&self, _actor: &Actor) -> Result<Vec<DatabaseEntry>, Fault> {
        Err(Fault::of(FaultCode::Unavailable, "no gateway is running"))
    }

    /// Secrets came, went, or come from elsewhere from here on.
    fn secrets_changed(&self) {}

    /// How the gateway is doing; `None` if there is none.
    fn status(&self) -> Option<Status>;

    /// Whether a named value decides where requests go or what runs, so that who
    /// sets it decides where a granted secret goes.
    fn steers(&self, _value: &ValueName) -> bool {
        false
    }
}

/// What a request brought.
#[derive(Debug)]
pub struct Reply {
    /// The data that stands in the answer's line.
    pub data: Value,
    /// The bytes that follow it, for a request that asks for some.
    pub bytes: Option<Vec<u8>>,
}

impl Reply {
    fn data(data: impl Serialize) -> Result<Self, Fault> {
        match serde_json::to_value(data) {
            Ok(data) => Ok(Self { data, bytes: None }),
            Err(error) => Err(Fault::of(FaultCode::Unavailable, error)),
        }
    }
}

/// The values of a request, in their order.
struct Values(std::vec::IntoIter<Secret>);

impl Values {
    fn next(&mut self) -> Result<Secret, Fault> {
        let missing = || Fault::of(FaultCode::Malformed, "the request brings too few values");
        self.0.next().ok_or_else(missing)
    }
}

/// Carries out a request. Whether the actor may ask for it has been decided.
///
/// Blocks until what it changes is on disk and in the audit trail.
///
/// Errors: [`FaultCode::Malformed`] if there are more or fewer values than the
/// request brings, otherwise what the vault said.
pub fn execute(
    request: Request,
    values: Vec<Secret>,
    node: &dyn Node,
    actor: &Actor,
) -> Result<Reply, Fault> {
    check_count(&request, values.len())?;
    let vault = node.vault();
    let values = Values(values.into_iter());
    match request {
        Request::Ping {} => Reply::data(Pong {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
        }),
        Request::Status {} => match node.status() {
            Some(status) => Reply::data(status),
            None => Err(Fault::of(FaultCode::Unavailable, "no gateway is running")),
        },
        Request::SecretList { .. }
        | Request::SecretSet { .. }
        | Request::SecretRotate { .. }
        | Request::SecretRotation { .. }
        | Request::SecretRollBack { .. }
        | Request::SecretDisable { .. }
        | Request::SecretEnable { .. }
        | Request::SecretRetire { .. }
        | Request::SecretRemove { .. }
        | Request::SecretValidity { .. }
        | Request::SecretOrigin { .. } => {
            let changes = request.verb().changes();
            let reply = secrets::execute(request, values, node, actor);
            if changes && reply.is_ok() {
                node.secrets_changed();
            }
            reply
        }
        Request::SecretRefresh { .. } | Request::SourceList {} | Request::SourceCheck { .. } => {
            sources::execute(request, node)
        }
        Request::DatabaseCheck {} => Reply::data(node.check_databases(actor)?),
        Request::ClientList { .. }
        | Request::ClientAdd { .. }
        | Request::ClientRotate { .. }
        | Request::ClientRetire { .. }
        | Request::ClientDisable { .. }
        | Request::ClientEnable { .. }
        | Request::ClientRemove { .. } => clients::execute(request, values, vault, actor),
        Request::ValueList { .. }
        | Request::ValueShow { .. }
        | Request::ValueSet { .. }
        | Request::ValueRemove { .. } => values::execute(request, vault, actor),
        Request::GrantsList {} => Reply::data(grants(vault)),
        Request::GrantsReload {} => Reply::data(node.reload_grants(actor).map_err(Fault::refused)?),
        Request::ConfigReload {} => Reply::data(node.reload(actor).map_err(Fault::refused)?),
        Request::GrantsRevoke { grant } => {
            vault.revoke_grant(&grant, actor)?;
            Reply::data(grants(vault))
        }
        Request::GrantsReinstate { grant } => {
            vault.reinstate_grant(&grant, actor)?;
            Reply::data(grants(vault))
        }
        Request::AuditCheckpoint {}
        | Request::AuditQuery { .. }
        | Request::AuditWho { .. }
        | Request::AuditProve { .. }
        | Request::AuditVerify { .. }
        | Request::AuditConsistency { .. }
        | Request::AuditPrune { .. } => trail::execute(request, node, actor),
        Request::VaultStatus {}
        | Request::VaultSlots {}
        | Request::VaultSlotAdd { .. }
        | Request::VaultSlotRemove { .. }
        | Request::VaultRewrap {}
        | Request::VaultRekey { .. }
        | Request::VaultBackup { .. } => vault::execute(request, values, node, actor),
    }
}

/// Whether a request brings as many values as it takes.
pub(super) fn check_count(request: &Request, count: usize) -> Result<(), Fault> {
    let (verb, takes) = (request.verb(), request.values());
    match count == takes && takes <= MAX_VALUES {
        true => Ok(()),
        false => Err(Fault::of(
            FaultCode::Malformed,
            format!(
                "the request brings {count} values, and {verb} takes {takes}, at most {MAX_VALUES}"
            ),
        )),
    }
}

fn grants(vault: &Vault) -> GrantList {
    let grants = vault.grants();
    GrantList {
        grants: grants
            .iter()
            .map(|grant| GrantEntry::from(&**grant))
            .collect(),
        revoked: vault.revoked(),
    }
}

/// What a verb's own module is given that is not its own.
fn misrouted(request: &Request) -> Fault {
    let message = format!("{} is not carried out here", request.verb());
    Fault::of(FaultCode::Unavailable, message)
}

/// Whether the reason for a request can stand in the audit trail, and is there if
/// there has to be one.
pub fn check_reason(request: &Request, reason: Option<&str>, required: bool) -> Result<(), Fault> {
    check_reason_of(request.verb().changes(), reason, required)
}

/// The same for something that is no request to a gateway.
pub fn check_reason_of(changes: bool, reason: Option<&str>, required: bool) -> Result<(), Fault> {
    let Some(reason) = reason else {
        if required && changes {
            return Err(Fault::refused(
                "changes need a reason here: --reason \"…\" (`require-reason` in [control])",
            ));
        }
        return Ok(());
    };
    if reason.trim().is_empty() {
        return Err(Fault::refused("the reason is empty"));
    }
    if reason.chars().count() > MAX_REASON || reason.chars().any(char::is_control) {
        return Err(Fault::refused(format!(
            "the reason must be one line of at most {MAX_REASON} characters"
        )));
    }
    Ok(())
}
