//! `secret.*`

use std::time::Duration;

use keyward::names::SecretName;
use keyward::vault::{Actor, Kind, Replacement, RotationChange, Secret, SecretInfo, Vault};

use super::super::answers::{Fault, Removed, SecretEntry, SecretPage};
use super::super::request::Request;
use super::{Reply, Values, misrouted};

/// The most secrets in one answer.
const MAX_LISTED: u32 = 1000;

pub(super) fn execute(
    request: Request,
    mut values: Values,
    vault: &Vault,
    actor: &Actor,
) -> Result<Reply, Fault> {
    let info = match request {
        Request::SecretList { name, after, limit } => return list(vault, name, after, limit),
        Request::SecretSet {
            name,
            kind,
            validity,
            generate,
        } => {
            let kind = Kind::try_from(&kind).map_err(Fault::refused)?;
            let value = match generate {
                true => generated(kind)?,
                false => values.next()?,
            };
            vault.add_valid(&name, kind, value, validity.read()?, actor)?
        }
        Request::SecretRotate {
            name,
            validity,
            generate,
            retire_previous_after,
            every,
        } => {
            let value = match generate {
                true => generated(info(vault, &name)?.kind)?,
                false => values.next()?,
            };
            let replacement = Replacement {
                value,
                validity: validity.read()?,
                retire_previous_after: retire_previous_after.map(Duration::from_secs),
                every: every.map(Duration::from_secs),
            };
            vault.rotate_with(&name, replacement, actor)?
        }
        Request::SecretRotation {
            name,
            retire_previous_after,
            every,
        } => {
            let time = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
            let change = RotationChange {
                retire_previous_after: retire_previous_after.map(time),
                every: every.map(time),
            };
            vault.set_rotation(&name, change, actor)?
        }
        Request::SecretRollBack { name, to } => vault.roll_back(&name, to, actor)?,
        Request::SecretDisable { name } => vault.disable(&name, actor)?,
        Request::SecretEnable { name } => vault.enable(&name, actor)?,
        Request::SecretRetire { name, version } => vault.retire(&name, version, actor)?,
        Request::SecretRemove { name } => {
            vault.remove(&name, actor)?;
            return Reply::data(Removed {
                removed: name.to_string(),
            });
        }
        Request::SecretValidity {
            name,
            version,
            validity,
        } => {
            let version = match version {
                Some(version) => version,
                None => info(vault, &name)?.version,
            };
            vault.set_validity(&name, version, validity.read()?, actor)?
        }
        other => return Err(misrouted(&other)),
    };
    Reply::data(SecretEntry::from(&info))
}

fn list(
    vault: &Vault,
    name: Option<SecretName>,
    after: Option<SecretName>,
    limit: Option<u32>,
) -> Result<Reply, Fault> {
    if let Some(name) = name {
        let found = info(vault, &name)?;
        return Reply::data(SecretPage {
            secrets: vec![SecretEntry::from(&found)],
            next: None,
        });
    }
    let limit = limit.unwrap_or(MAX_LISTED).clamp(1, MAX_LISTED);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut all = vault.list();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let start = after.map_or(0, |after| all.partition_point(|info| info.name <= after));
    let rest = all.get(start..).unwrap_or_default();
    let listed = rest.get(..limit).unwrap_or(rest);
    let next = (listed.len() < rest.len())
        .then(|| listed.last().map(|info| info.name.clone()))
        .flatten();
    Reply::data(SecretPage {
        secrets: listed.iter().map(SecretEntry::from).collect(),
        next,
    })
}

fn info(vault: &Vault, name: &SecretName) -> Result<SecretInfo, Fault> {
    vault
        .info(name)
        .ok_or_else(|| keyward::vault::VaultError::NoSuchSecret(name.clone()).into())
}

/// A random key, as the text that its kind is imported from.
fn generated(kind: Kind) -> Result<Secret, Fault> {
    kind.generate().ok_or_else(|| {
        Fault::refused(format!(
            "a secret of kind {kind} comes from elsewhere; only hmac-key and data-key can be generated"
        ))
    })
}
