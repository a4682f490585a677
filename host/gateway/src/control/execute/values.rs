//! `value.*`

use keyward::vault::{Actor, Vault, VaultError};

use super::super::answers::{Fault, Removed, ValueEntry};
use super::super::request::Request;
use super::{Reply, misrouted};

pub(super) fn execute(request: Request, vault: &Vault, actor: &Actor) -> Result<Reply, Fault> {
    match request {
        Request::ValueList { tag } => {
            let mut values = vault.values();
            values.retain(|info| tag.as_ref().is_none_or(|tag| info.tags.contains(tag)));
            values.sort_by(|a, b| a.name.cmp(&b.name));
            Reply::data(values.iter().map(ValueEntry::from).collect::<Vec<_>>())
        }
        Request::ValueShow { name } => match vault.value(&name) {
            Some(info) => Reply::data(ValueEntry::from(&info)),
            None => Err(VaultError::NoSuchValue(name).into()),
        },
        Request::ValueSet { name, value, tags } => {
            let info = vault.set_value(&name, value.read()?, tags, actor)?;
            Reply::data(ValueEntry::from(&info))
        }
        Request::ValueRemove { name } => {
            vault.remove_value(&name, actor)?;
            Reply::data(Removed {
                removed: name.to_string(),
            })
        }
        other => Err(misrouted(&other)),
    }
}
