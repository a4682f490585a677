//! `client.*`

use keyward::names::SecretName;
use keyward::vault::{Actor, Kind, Vault};

use super::super::answers::{ClientEntry, ClientList, Fault, Removed};
use super::super::request::Request;
use super::{Reply, Values, misrouted};

pub(super) fn execute(
    request: Request,
    mut values: Values,
    vault: &Vault,
    actor: &Actor,
) -> Result<Reply, Fault> {
    let keys = |named: Option<SecretName>| named.map_or_else(|| only(vault), Ok);
    let info = match request {
        Request::ClientList { keys: named } => {
            let name = keys(named)?;
            let clients = vault.clients(&name)?;
            return Reply::data(ClientList {
                keys: name,
                clients: clients.iter().map(ClientEntry::from).collect(),
            });
        }
        Request::ClientAdd {
            keys: named,
            subject,
        } => vault.add_client(&keys(named)?, &subject, values.next()?, actor)?,
        Request::ClientRotate {
            keys: named,
            subject,
        } => vault.rotate_client(&keys(named)?, &subject, values.next()?, actor)?,
        Request::ClientRetire {
            keys: named,
            subject,
        } => vault.retire_client(&keys(named)?, &subject, actor)?,
        Request::ClientDisable {
            keys: named,
            subject,
        } => vault.disable_client(&keys(named)?, &subject, actor)?,
        Request::ClientEnable {
            keys: named,
            subject,
        } => vault.enable_client(&keys(named)?, &subject, actor)?,
        Request::ClientRemove {
            keys: named,
            subject,
        } => {
            vault.remove_client(&keys(named)?, &subject, actor)?;
            return Reply::data(Removed {
                removed: subject.to_string(),
            });
        }
        other => return Err(misrouted(&other)),
    };
    Reply::data(ClientEntry::from(&info))
}

/// The secret that is meant when none is named.
fn only(vault: &Vault) -> Result<SecretName, Fault> {
    let mut sets = vault
        .list()
        .into_iter()
        .filter(|info| info.kind == Kind::ClientKeys);
    match (sets.next(), sets.next()) {
        (Some(only), None) => Ok(only.name),
        (None, _) => Err(Fault::refused(
            "there is no secret of kind client-keys; `keyward secret set NAME --kind client-keys` makes one",
        )),
        (Some(_), Some(_)) => Err(Fault::refused(
            "there are several secrets of kind client-keys; name one with --keys",
        )),
    }
}
