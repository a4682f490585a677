//! `keyward audit prove|consistency|checkpoint`

use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::{check_consistency, prove_entry, trail_extent};
use keyward_gateway::control::{Checkpoint as CheckpointAnswer, ProofEntry, Request};
use serde_json::{Value, json};

use super::source::{gateway_if_unreadable, read_failure, saved_key, verifier_key, verify_failure};
use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::place;

const PROVE: &str = "\
Prints a proof (C2SP tlog-proof) that an entry is in the trail, under its newest
signed checkpoint. It can be checked by someone who has only the trail's key, with
any implementation of that format. Through a running gateway this takes the role
auditor.

Examples:
  keyward audit prove 1042 > entry-1042.proof
  keyward audit prove 1042 -o json        the record in it, and the hashes";

const CONSISTENCY: &str = "\
Checks that the trail continues what a checkpoint said that you kept elsewhere:
nothing that it covers was changed or removed since. With a second checkpoint, that
one is the later instead of the trail's newest. Who can't read the trail's folder has
the running gateway do it, which takes the role auditor.

Ends with 4 if history was rewritten.

Examples:
  keyward audit checkpoint > /mnt/elsewhere/monday.checkpoint
  keyward audit consistency /mnt/elsewhere/monday.checkpoint
  keyward audit consistency monday.checkpoint friday.checkpoint --key VKEY";

const CHECKPOINT: &str = "\
Prints the newest signed checkpoint (C2SP signed note): how many entries the trail
has, and the hash of all of them. Keep one elsewhere now and then; `keyward audit
consistency` holds the trail to it. Through a running gateway this takes the role
auditor.

Examples:
  keyward audit checkpoint > /mnt/elsewhere/monday.checkpoint";

/// Prove that an entry is in the audit trail.
#[derive(Args)]
#[command(after_help = PROVE)]
pub(crate) struct Prove {
    /// Which entry, counted from 0.
    entry: u64,
    /// The trail's verifier key.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
}

/// Check that the audit trail continues a checkpoint that was kept.
#[derive(Args)]
#[command(after_help = CONSISTENCY)]
pub(crate) struct Consistency {
    /// The file with the earlier checkpoint.
    old: PathBuf,
    /// The file with a later one; otherwise the trail's newest.
    new: Option<PathBuf>,
    /// The trail's verifier key.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
}

/// Print the newest signed checkpoint.
#[derive(Args)]
#[command(after_help = CHECKPOINT)]
pub(crate) struct Checkpoint {}

impl Prove {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let proof = match Access::running(&config)? {
            Some(gateway) => gateway.ask(Request::AuditProve { entry: self.entry }, None)?,
            None => {
                let extent = trail_extent(&config.audit.directory).map_err(read_failure)?;
                if self.entry >= extent.covered {
                    return Err(Failure::new(format!(
                        "there is no entry {}: the newest checkpoint covers {} entries, counted from 0",
                        self.entry, extent.covered
                    )));
                }
                let verifier_key = verifier_key(common, &config, self.key)?;
                let proof = prove_entry(&config.audit.directory, &verifier_key, self.entry)
                    .map_err(verify_failure)?;
                ProofEntry {
                    text: proof.to_text(),
                    proof: proof.to_json(),
                    verifier_key,
                }
            }
        };
        common.output().entry(&proof, |proof| proof.text.clone())?;
        Ok(Exit::Success)
    }
}

impl Consistency {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let old = read(&self.old)?;
        let new = self.new.as_deref().map(read).transpose()?;
        let proof: Value = match gateway_if_unreadable(&config)? {
            Some(gateway) => {
                let key = self.key;
                gateway.ask(Request::AuditConsistency { old, new, key }, None)?
            }
            None => {
                let key = verifier_key(common, &config, self.key)?;
                check_consistency(&config.audit.directory, &old, new.as_deref(), &key)
                    .map_err(verify_failure)?
                    .to_json()
            }
        };
        common.output().data(
            || {
                format!(
                    "The trail of {} entries continues the one of {}: nothing that the earlier\n\
                     checkpoint covers was changed or removed.",
                    proof["new-size"], proof["old-size"]
                )
            },
            || proof.clone(),
        );
        Ok(Exit::Success)
    }
}

impl Checkpoint {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let (checkpoint, key) = match Access::running(&config)? {
            Some(gateway) => {
                let answer: CheckpointAnswer = gateway.ask(Request::AuditCheckpoint {}, None)?;
                (answer.checkpoint, Some(answer.verifier_key))
            }
            None => (
                read(&config.audit.directory.join("checkpoint"))?,
                saved_key(&config.file)?,
            ),
        };
        common.output().data(
            || checkpoint.clone(),
            || json!({ "checkpoint": checkpoint, "verifier-key": key }),
        );
        Ok(Exit::Success)
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))
}
