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
use crate::workload::{self, HOME, MAC_NAME, Promise, Taken, actor, block_on, files_in, name};

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
    pub(crate) shown: Option<String>,
    /// How many entries the checkpoint covered as it was found.
    pub(crate) covered: u64,
    records: Vec<Value>,
}

/// Opens what a crash has left. Errors: it doesn't open, or looks tampered with.
pub(crate) fn survive(image: &Image, verifier_key: &str) -> Result<Survivor, Wrong> {
    let recorder = Recorder::new(image);
    let files = files_in(Path::new(HOME));
    if !image.0.contains_key(&files.vault) && !image.0.contains_key(Path::new("v/vault.keyward")) {
        return Ok(Survivor {
            shown: None,
            covered: 0,
            records: Vec::new(),
        });
    }
    let before = verify(audit_of(image).path(), verifier_key)?;
    let disk = recorder.disk();
    let vault = match Vault::open_on(&disk, &files, workload::opening(&files, Durability::Strict)) {
        Ok(vault) => vault,
        Err(error) => return wrong(format_args!("the vault does not open: {error}")),
    };
    let shown = workload::shown(&vault);
    check_key_in_use(&vault)?;
    let added = vault.add(
        &name("afterwards"),
        Kind::ApiKey,
        Secret::generate(40),
        &actor(),
    );
    if let Err(error) = added {
        return wrong(format_args!("the vault takes no change: {error}"));
    }
    drop(vault);
    let directory = audit_of(&recorder.image());
    let after = verify(directory.path(), verifier_key)?;
    if after.uncovered > 0 || after.incomplete_bytes > 0 {
        return wrong(format_args!("the trail was not completed: {after:?}"));
    }
    Ok(Survivor {
        shown: Some(shown),
        covered: before.size,
        records: records(directory.path())?,
    })
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

fn verify(directory: &Path, verifier_key: &str) -> Result<TrailReport, Wrong> {
    verify_trail(directory, verifier_key)
        .or_else(|error| wrong(format_args!("the trail does not verify: {error}")))
}

fn records(directory: &Path) -> Result<Vec<Value>, Wrong> {
    read_records(directory)
        .collect::<Result<_, _>>()
        .or_else(|error| wrong(format_args!("the trail can't be read: {error}")))
}

/// Whether the MAC key makes the codes of the version that it says it has.
pub(crate) fn check_key_in_use(vault: &Vault) -> Result<(), Wrong> {
    let all = vault.list();
    let Some(info) = all.iter().find(|info| info.name.as_str() == MAC_NAME) else {
        return Ok(());
    };
    if let Err(error) = workload::set_grants(vault) {
        return wrong(format_args!("grants can't be loaded: {error}"));
    }
    let mut ledger = vault.begin(new_exchange_id());
    let made = workload::sign(vault, &mut ledger);
    if block_on(ledger.barrier()).is_err() {
        return wrong("a use can't be recorded");
    }
    let Some(made) = made else {
        return wrong("the MAC key can't be used");
    };
    let value = workload::value_of(MAC_NAME, info.version);
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

impl Survivor {
    /// Whether everything is there that was promised.
    pub(crate) fn check_promises<'a>(
        &self,
        promises: impl Iterator<Item = &'a Promise>,
    ) -> Result<(), Wrong> {
        let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
        // Acts, each once: two equal promises need two records.
        let mut acts: Vec<Option<(&Value, u64)>> = Vec::new();
        for record in &self.records {
            if let Some(exchange) = record["exchange"].as_str() {
                let counted = record["uses"].as_array().into_iter().flatten();
                *uses.entry(exchange).or_default() += counted
                    .map(|used| used["count"].as_u64().unwrap_or(0))
                    .sum::<u64>();
            } else {
                acts.push(Some((record, record["entry"].as_u64().unwrap_or(u64::MAX))));
            }
        }
        for promise in promises {
            match promise {
                Promise::Uses { exchange, count } => {
                    let found = uses.get(exchange.to_string().as_str());
                    if found != Some(count) {
                        return wrong(format_args!(
                            "exchange {exchange} had {count} uses, recorded {found:?}"
                        ));
                    }
                }
                Promise::Act { act, secret } => {
                    let found = acts.iter_mut().find(|found| {
                        found.is_some_and(|(record, _)| {
                            let version = record["secret"]["version"].as_u64();
                            let same = secret.as_ref().is_none_or(|(name, of)| {
                                record["secret"]["name"] == name.as_str() && version == Some(*of)
                            });
                            record["act"] == *act && same
                        })
                    });
                    let Some((_, entry)) = found.and_then(Option::take) else {
                        return wrong(format_args!("{act} {secret:?} is not in the trail"));
                    };
                    if entry >= self.covered {
                        return wrong(format_args!(
                            "{act} {secret:?} is entry {entry}, the checkpoint covers {}",
                            self.covered
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether this is what may be left at a point of a log.
    ///
    /// `power` is whether the disk lost its power: a buffered trail then keeps acts
    /// only.
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
        let promises = taken[..done]
            .iter()
            .flat_map(|taken| &taken.promises)
            .filter(|promise| keeps_uses || matches!(promise, Promise::Act { .. }));
        self.check_promises(promises)?;

        let before = done.checked_sub(1).map(|last| taken[last].after.as_str());
        let after = taken
            .get(done..begun)
            .and_then(|taken| taken.first())
            .map(|taken| taken.after.as_str());
        let found = self.shown.as_deref();
        if found == before || after.is_some() && found == after {
            Ok(())
        } else {
            wrong(format_args!(
                "the contents are neither those before nor after the step:\n{found:?}\n{before:?}\n{after:?}"
            ))
        }
    }
}
