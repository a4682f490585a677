//! What has to hold of a vault and its trail after a crash.
//!
//! - P4: every use whose barrier had opened and every act that was reported done is
//!   in the trail; acts under a signed checkpoint.
//! - P5: nothing is called tampering that was a crash: the trail verifies as it
//!   lies there, the vault opens, takes changes, and its trail verifies again.
//! - The vault's contents are those before the operation that was interrupted or
//!   those after it, and the key in use is that of its version.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use keyward_vault::*;
use serde_json::Value;
use sha2::Sha256;

use crate::recorder::{Event, Image, Recorder};
use crate::steps::{
    self, MAC, Place, Promise, Shown, actor, block_on, name, set_grants, shown, value_of,
};
use crate::workload::{HOME, Taken};

/// What is wrong after a crash.
#[derive(Clone, Debug)]
pub(crate) struct Wrong(pub(crate) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong<T>(what: impl fmt::Display) -> Result<T, Wrong> {
    Err(Wrong(what.to_string()))
}

/// A vault after a crash, opened again, looked at and closed.
#[derive(Clone, Debug)]
pub(crate) struct Survivor {
    /// The contents; `None` if no vault file was there.
    pub(crate) shown: Option<Shown>,
    trail: Trail,
}

/// What a trail holds after a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// How many entries the checkpoint covered as it was found.
    pub(crate) covered: u64,
    pub(crate) records: Vec<Value>,
}

/// Opens what a crash has left. Errors: it doesn't open, or looks tampered with.
pub(crate) fn survive(image: &Image, verifier_key: &str) -> Result<Survivor, Wrong> {
    let recorder = Recorder::new(image);
    if !image.0.contains_key(Path::new("v/vault.keyward")) {
        return Ok(Survivor {
            shown: None,
            trail: Trail::default(),
        });
    }
    let before = verify(audit_of(image).path(), verifier_key)?;
    let (shown, vault) = open(&Place::new(recorder.disk(), Path::new(HOME)))?;
    check_usable(&vault)?;
    drop(vault);
    let directory = audit_of(&recorder.image());
    let records = check_complete(directory.path(), verifier_key)?;
    Ok(Survivor {
        shown: Some(shown),
        trail: Trail {
            covered: before.size,
            records,
        },
    })
}

/// Opens a vault with each of its keys, the first one last.
pub(crate) fn open(place: &Place) -> Result<(Shown, Vault), Wrong> {
    let not_open = |error: VaultError| Wrong(format!("the vault does not open: {error}"));
    let vault = place.open(Durability::Strict).map_err(not_open)?;
    let shown = shown(&vault);
    let slots = vault.slots();
    if slots.len() < 2 {
        return Ok((shown, vault));
    }
    drop(vault);
    let second = place.open_second(&slots);
    drop(second.map_err(not_open)?);
    let vault = place.open(Durability::Strict).map_err(not_open)?;
    Ok((shown, vault))
}

/// Whether the key in use is the right one, and the vault takes changes.
pub(crate) fn check_usable(vault: &Vault) -> Result<(), Wrong> {
    check_key_in_use(vault)?;
    let afterwards = name("afterwards");
    let fresh = Secret::generate(40);
    let changed = match vault.info(&afterwards) {
        Some(_) => vault.rotate(&afterwards, fresh, &actor()),
        None => vault.add(&afterwards, Kind::ApiKey, fresh, &actor()),
    };
    match changed {
        Ok(_) => Ok(()),
        Err(error) => wrong(format_args!("the vault takes no change: {error}")),
    }
}

/// The records of a trail that was closed in order: it verifies, and everything in
/// it is covered.
pub(crate) fn check_complete(directory: &Path, verifier_key: &str) -> Result<Vec<Value>, Wrong> {
    let report = verify(directory, verifier_key)?;
    if report.uncovered > 0 || report.incomplete_bytes > 0 {
        return wrong(format_args!("the trail was not completed: {report:?}"));
    }
    let records = records(directory)?;
    check_numbers(&records)?;
    Ok(records)
}

/// Whether no number of a version stands for two values that a source gave.
fn check_numbers(records: &[Value]) -> Result<(), Wrong> {
    let received = records.iter().filter(|one| one["act"] == "secret-received");
    let mut numbers: Vec<_> = received.map(|one| one["secret"].to_string()).collect();
    let count = numbers.len();
    numbers.sort();
    numbers.dedup();
    match numbers.len() == count {
        true => Ok(()),
        false => wrong("two values of a source have one number"),
    }
}

/// The trail of an image in a real directory: in memory, where there is one.
fn audit_of(image: &Image) -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let directory = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let directory = directory.unwrap();
    image.materialise(Path::new("v/audit"), directory.path());
    directory
}

pub(crate) fn verify(directory: &Path, verifier_key: &str) -> Result<TrailReport, Wrong> {
    verify_trail(directory, verifier_key)
        .or_else(|error| wrong(format_args!("the trail does not verify: {error}")))
}

pub(crate) fn records(directory: &Path) -> Result<Vec<Value>, Wrong> {
    read_records(directory)
        .collect::<Result<_, _>>()
        .or_else(|error| wrong(format_args!("the trail can't be read: {error}")))
}

/// Whether the MAC key makes the codes of the version that it says it has.
fn check_key_in_use(vault: &Vault) -> Result<(), Wrong> {
    let Some(info) = vault.info(&name(MAC)) else {
        return Ok(());
    };
    if info.state == SecretState::Disabled || !vault.revoked().is_empty() {
        return Ok(());
    }
    if let Err(error) = set_grants(vault) {
        return wrong(format_args!("grants can't be loaded: {error}"));
    }
    let mut ledger = vault.begin(new_exchange_id());
    let made = steps::sign(vault, &mut ledger);
    if block_on(ledger.barrier()).is_err() {
        return wrong("a use can't be recorded");
    }
    let Some(made) = made else {
        return wrong("the MAC key can't be used");
    };
    let value = value_of(MAC, info.version);
    let key = data_encoding::HEXLOWER.decode(value.as_bytes()).unwrap();
    let expected = Hmac::<Sha256>::new_from_slice(&key)
        .unwrap()
        .chain_update(b"message")
        .finalize();
    if made.as_ref() == &expected.into_bytes()[..] {
        Ok(())
    } else {
        wrong(format_args!(
            "the key in use is not version {}",
            info.version
        ))
    }
}

impl Trail {
    /// Whether the first entries are gone.
    pub(crate) fn is_pruned(&self) -> bool {
        let first = self.records.first();
        first.is_some_and(|record| record["entry"].as_u64() != Some(0))
    }

    /// Whether everything is there that was promised.
    pub(crate) fn check_promises<'a>(
        &self,
        promises: impl Iterator<Item = &'a Promise>,
    ) -> Result<(), Wrong> {
        let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
        // Acts, each once: two equal promises need two records.
        let mut acts: Vec<Option<&Value>> = Vec::new();
        for record in &self.records {
            if let Some(exchange) = record["exchange"].as_str() {
                let uses_of = record["uses"].as_array().into_iter().flatten();
                let counted = uses_of.filter(|used| used["outcome"] == "allowed");
                *uses.entry(exchange).or_default() += counted
                    .map(|used| used["count"].as_u64().unwrap_or(0))
                    .sum::<u64>();
            } else {
                acts.push(Some(record));
            }
        }
        for promise in promises {
            match promise {
                Promise::Uses(exchange, count) => {
                    let found = uses.get(exchange.as_str());
                    if found != Some(count) {
                        return wrong(format_args!(
                            "exchange {exchange} had {count} uses, recorded {found:?}"
                        ));
                    }
                }
                Promise::Act(act, secret) => {
                    let is_it = |record: &Value| {
                        let of = &record["secret"];
                        record["act"] == act.as_str()
                            && secret.as_ref().is_none_or(|(name, version)| {
                                of["name"] == name.as_str() && of["version"] == *version
                            })
                    };
                    let found = acts.iter_mut().find(|found| found.is_some_and(is_it));
                    let Some(record) = found.and_then(Option::take) else {
                        return wrong(format_args!("{act} {secret:?} is not in the trail"));
                    };
                    let (entry, covered) = (record["entry"].as_u64(), self.covered);
                    if entry.is_none_or(|entry| entry >= covered) {
                        return wrong(format_args!(
                            "{act} {secret:?} is entry {entry:?}, the checkpoint covers {covered}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Survivor {
    /// Whether this is what may be left at the end of a log.
    ///
    /// `keeps_uses` is not set where a buffered trail has lost its power: it then
    /// keeps the acts.
    pub(crate) fn check(
        &self,
        log: &[Event],
        taken: &[Taken],
        keeps_uses: bool,
    ) -> Result<(), Wrong> {
        let mut done = 0;
        let mut begun = 0;
        for event in log {
            match event {
                Event::Done(number) => done = number + 1,
                Event::Begun(number) => begun = number + 1,
                _ => {}
            }
        }
        let from = match self.trail.is_pruned() {
            true => taken[..begun.min(taken.len())]
                .iter()
                .rposition(|taken| taken.prunes)
                .unwrap_or(0),
            false => 0,
        };
        let promises = taken[from.min(done)..done]
            .iter()
            .flat_map(|taken| &taken.promises)
            .filter(|promise| keeps_uses || matches!(promise, Promise::Act { .. }));
        self.trail.check_promises(promises)?;

        let before = done
            .checked_sub(1)
            .and_then(|last| taken[last].after.as_ref());
        let after = taken.get(done..begun).and_then(|taken| taken.first());
        let found = self.shown.as_ref();
        if found == before || after.is_some_and(|taken| found == taken.after.as_ref()) {
            Ok(())
        } else {
            wrong(format_args!(
                "the contents are neither those before nor after the step:\n\
                 {found:?}\n{before:?}\n{after:?}"
            ))
        }
    }
}
