//! `secret.*`

use std::collections::BTreeMap;
use std::time::Duration;

use keyward::names::SecretName;
use keyward::sources::refresh::Refresher;
use keyward::vault::{
    Actor, Cache, Kind, Origin, Reference, Replacement, RotationChange, Secret, SecretInfo, Vault,
};

use super::super::answers::{Fault, Removed, SecretEntry, SecretPage};
use super::super::fetched::FetchEntry;
use super::super::request::Request;
use super::super::texts::OriginText;
use super::{Node, Reply, Values, misrouted};

/// The most secrets in one answer.
const MAX_LISTED: u32 = 1000;

pub(super) fn execute(
    request: Request,
    mut values: Values,
    node: &dyn Node,
    actor: &Actor,
) -> Result<Reply, Fault> {
    let vault = node.vault();
    let info = match request {
        Request::SecretList { name, after, limit } => return list(node, name, after, limit),
        Request::SecretSet {
            name,
            kind,
            validity,
            generate,
            from: None,
            chain: false,
        } => {
            let kind = Kind::try_from(&kind).map_err(Fault::refused)?;
            let value = match generate {
                true => generated(kind, None)?,
                false => values.next()?,
            };
            vault.add_valid(&name, kind, value, validity.read()?, actor)?
        }
        Request::SecretSet { from: None, .. } => {
            return Err(Fault::refused(
                "a chain without its key is kept of a key that stays in a source: say which with \
                 --from",
            ));
        }
        Request::SecretSet {
            name,
            kind,
            validity,
            generate,
            from: Some(from),
            chain,
        } => {
            if generate || !validity.is_unbounded() {
                return Err(Fault::refused(
                    "a secret that comes from a source gets its value and its time from there",
                ));
            }
            let kind = Kind::try_from(&kind).map_err(Fault::refused)?;
            let origin = origin(node, &from)?;
            match chain {
                false => vault.add_sourced(&name, kind, origin, actor)?,
                true if kind != Kind::Certificate => {
                    return Err(Fault::refused("a chain is of a secret of kind certificate"));
                }
                true => vault.add_remote_certificate(&name, origin, &values.next()?, actor)?,
            }
        }
        Request::SecretOrigin {
            name,
            from: Some(from),
        } => vault.set_origin(&name, origin(node, &from)?, actor)?,
        Request::SecretOrigin { name, from: None } => vault.remove_origin(&name, actor)?,
        Request::SecretRotate {
            name,
            validity,
            generate,
            length,
            retire_previous_after,
            every,
        } => {
            if length.is_some() && !generate {
                return Err(Fault::refused(
                    "only a value that is generated is given a length",
                ));
            }
            let value = match generate {
                true => generated(info(vault, &name)?.kind, length)?,
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
    Reply::data(entry(node, &info))
}

/// The secret, and how it is fetched.
fn entry(node: &dyn Node, info: &SecretInfo) -> SecretEntry {
    let report = node
        .refresher()
        .filter(|_| info.origin.is_some())
        .and_then(|refresher| refresher.secret(&info.name));
    SecretEntry {
        fetch: report
            .as_ref()
            .map(FetchEntry::from)
            .or_else(|| failing(node, info)),
        confirmed: confirmed(node.vault(), info),
        ..SecretEntry::from(info)
    }
}

/// Why a key that stays in its source can't be used there.
fn failing(node: &dyn Node, info: &SecretInfo) -> Option<FetchEntry> {
    let origin = info.origin.as_ref();
    let origin = origin.filter(|origin| origin.cache == Cache::Remote)?;
    let report = node.refresher()?.last_use(&origin.reference)?;
    Some(FetchEntry::from(&report))
}

/// What the vault file knows of the last good answer, where no gateway does.
fn confirmed(vault: &Vault, info: &SecretInfo) -> Option<String> {
    let confirmed = vault.confirmed(&info.name);
    confirmed.map(|time| time.to_string())
}

/// An origin whose source is there and can have such a key.
fn origin(node: &dyn Node, text: &OriginText) -> Result<Origin, Fault> {
    let reference: Reference = text.reference.parse().map_err(Fault::refused)?;
    let name = reference.source();
    let section = node.source_sections();
    let section = section.iter().find(|section| section.name == *name);
    let source = node.source(name).map_err(|_| {
        Fault::refused(format!(
            "there is no source {name}; add [sources.{name}] with its `kind` to keyward.toml and \
             run `keyward config reload`"
        ))
    })?;
    source
        .check_key(reference.key())
        .map_err(|error| Fault::refused(format!("{error}; {}", error.advice())))?;
    let cache = match &text.cache {
        Some(cache) => cache.parse().map_err(Fault::refused)?,
        None => section.map_or(Cache::Memory, |section| section.cache),
    };
    if cache == Cache::Remote && source.remote_keys().is_none() {
        return Err(Fault::refused(format!(
            "keys can't stay in {name}: a source of kind {} hands values over",
            source.kind()
        )));
    }
    Ok(Origin { reference, cache })
}

fn list(
    node: &dyn Node,
    name: Option<SecretName>,
    after: Option<SecretName>,
    limit: Option<u32>,
) -> Result<Reply, Fault> {
    let vault = node.vault();
    if let Some(name) = name {
        let found = info(vault, &name)?;
        let found = SecretEntry {
            public: vault.public_parts(&name).into_iter().collect(),
            ..entry(node, &found)
        };
        return Reply::data(SecretPage {
            secrets: vec![found],
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
    let reports = node.refresher().map(Refresher::secrets).unwrap_or_default();
    let reports: BTreeMap<_, _> = reports
        .iter()
        .map(|report| (&report.secret, FetchEntry::from(report)))
        .collect();
    let entries = listed.iter().map(|info| SecretEntry {
        fetch: reports
            .get(&info.name)
            .cloned()
            .or_else(|| failing(node, info)),
        confirmed: confirmed(vault, info),
        ..SecretEntry::from(info)
    });
    Reply::data(SecretPage {
        secrets: entries.collect(),
        next,
    })
}

fn info(vault: &Vault, name: &SecretName) -> Result<SecretInfo, Fault> {
    vault
        .info(name)
        .ok_or_else(|| keyward::vault::VaultError::NoSuchSecret(name.clone()).into())
}

/// A random key, as the text that its kind is imported from.
fn generated(kind: Kind, length: Option<u64>) -> Result<Secret, Fault> {
    let usual = kind.generate().ok_or_else(|| {
        Fault::refused(format!(
            "a secret of kind {kind} comes from elsewhere; only hmac-key and data-key can be generated"
        ))
    })?;
    let Some(length) = length else {
        return Ok(usual);
    };
    let long = usize::try_from(length).ok();
    long.and_then(|length| kind.generate_long(length))
        .ok_or_else(|| {
            Fault::refused(match kind {
                Kind::HmacKey { .. } => "an hmac-key has 32 to 4096 bytes",
                _ => "a data-key has 32 bytes",
            })
        })
}
