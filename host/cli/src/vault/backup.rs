//! `keyward vault backup|restore|accept-rollback`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::{KeySource, NewKey, Vault};
use keyward_gateway::config::{Config, VaultKey, credential};
use keyward_gateway::control::{Request, VaultEntry, check_reason_of};
use serde_json::json;

use super::keys::{NewKeyArgs, PassphraseArgs};
use crate::Common;
use crate::access::{Access, actor, fault, key_source, new_source_key, vault_failure};
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Value;
use crate::output::counted;
use crate::place::{self, VERIFIER_KEY_FILE};
use crate::reason::Reason;

const BACKUP: &str = "\
Writes a copy of the vault to a new file of mode 600, sealed under a root key of its
own: what opens the vault does not open the copy. There is no export in the clear.
Keep the copy's key apart from it. The audit trail is not in it: copy its folder.
Through a running gateway this takes root or the user who runs the gateway: whoever
chooses the key of a copy could have what is in it.

Examples:
  keyward vault backup vault-2026-11.backup --key-file /media/usb/backup.key
  keyward vault backup vault-2026-11.backup --passphrase --reason \"monthly\"";

const RESTORE: &str = "\
Makes the vault that the configuration names out of a copy. Nothing is overwritten:
the vault file must not be there, and no gateway may run. The restored vault has a
new root key, and the key that [vault] names: a key file is made if that is what it
is, a passphrase is asked for. If the audit trail is there, it goes on; otherwise a
new one begins.

Examples:
  keyward vault restore vault-2026-11.backup --key-file /media/usb/backup.key
  keyward vault restore vault-2026-11.backup --passphrase --reason \"disk failed\"";

const ACCEPT: &str = "\
When the vault file is older than its audit trail says, or the trail is not the one
that the file was written with, the vault is not opened: someone may have put an old
file in place, to bring back a secret that was disabled. If it was you, this accepts
it, and says so in the trail. No gateway may run.

Asks first; where there is no terminal, --yes is needed.

Examples:
  keyward audit verify --key VKEY
  keyward vault accept-rollback --reason \"restored last night's disk image\"";

/// Write a sealed copy of the vault.
#[derive(Args)]
#[command(after_help = BACKUP)]
pub(crate) struct Backup {
    /// The file; it must not be there.
    file: PathBuf,
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    reason: Reason,
}

/// Make the vault out of a sealed copy.
#[derive(Args)]
#[command(after_help = RESTORE)]
#[command(group = clap::ArgGroup::new("backup-key").required(true))]
pub(crate) struct Restore {
    /// The copy.
    file: PathBuf,
    /// The copy's key file.
    #[arg(long, value_name = "FILE", group = "backup-key")]
    key_file: Option<PathBuf>,
    /// The copy has a passphrase: asked for, or a line of standard input.
    #[arg(long, group = "backup-key")]
    passphrase: bool,
    /// The copy's credential, by name.
    #[arg(long, value_name = "NAME", group = "backup-key")]
    credential: Option<String>,
    /// Read the restored vault's new passphrase from a file.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    reason: Reason,
}

/// Accept a vault file and an audit trail that do not fit together.
#[derive(Args)]
#[command(after_help = ACCEPT)]
pub(crate) struct AcceptRollback {
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

impl Backup {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        if self.file.symlink_metadata().is_ok() {
            return Err(Failure::new(format!(
                "{} is there already and is not overwritten",
                self.file.display()
            )));
        }
        let (key, values) = self.key.read(common, &self.passphrase)?;
        let request = Request::VaultBackup { key };
        let (entry, bytes): (VaultEntry, _) =
            access.ask_for_bytes(request, self.reason.get(), values)?;
        let bytes = bytes.ok_or_else(|| Failure::new("the copy did not come"))?;
        write_new(&self.file, &bytes)?;
        common.output().data(
            || {
                format!(
                    "{} holds a sealed copy: {}, {}",
                    self.file.display(),
                    counted(usize::try_from(entry.secrets).unwrap_or(usize::MAX), "secret"),
                    counted(usize::try_from(entry.versions).unwrap_or(usize::MAX), "version"),
                )
            },
            || json!({ "file": self.file, "bytes": bytes.len(), "vault": entry.id, "secrets": entry.secrets }),
        );
        Ok(Exit::Success)
    }
}

/// Writes all of a new file, or leaves nothing.
fn write_new(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::io(error, format!("can't write {}", file.display()));
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .map_err(failed)?;
    opened
        .write_all(bytes)
        .and_then(|()| opened.sync_all())
        .inspect_err(|_| {
            let _ = fs::remove_file(file);
        })
        .map_err(failed)
}

impl Restore {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        refuse_while_running(&config)?;
        check_reason(&config, &self.reason)?;
        let bytes = fs::read(&self.file)
            .map_err(|error| Failure::io(error, format!("can't read {}", self.file.display())))?;
        let output = common.output();
        let source = if let Some(file) = &self.key_file {
            KeySource::KeyFile(file.clone())
        } else if let Some(name) = &self.credential {
            KeySource::Credential(credential(name).map_err(Failure::usage)?)
        } else {
            let what = "Passphrase of the copy";
            let value = Value::passphrase(output, what, common.passphrase_file())?;
            KeySource::Passphrase(value.into_secret()?)
        };
        let key = match &config.vault.key {
            VaultKey::File(file) => NewKey::KeyFile(file.clone()),
            VaultKey::Credential(file) => NewKey::Credential(file.clone()),
            VaultKey::Passphrase => {
                let value = Value::new_passphrase(output, self.new_passphrase_file.as_deref())?;
                NewKey::Passphrase {
                    passphrase: value.into_secret()?,
                    cost: Default::default(),
                }
            }
            VaultKey::Source(wrapping) => new_source_key(&config, wrapping)?,
        };
        let actor = actor(self.reason.get());
        let restored = Vault::restore(&config.vault_files(), &bytes, source, key, &actor)
            .map_err(vault_failure)?;
        if restored.new_trail {
            // The key of the trail that is gone would call this one changed.
            let file = config.file.with_file_name(VERIFIER_KEY_FILE);
            replace(&file, &format!("{}\n", restored.verifier_key))?;
        }
        output.data(
            || {
                let trail = match restored.new_trail {
                    true => "a new audit trail begins",
                    false => "the audit trail goes on",
                };
                format!(
                    "{} holds the vault again, with {}; {trail}, and the key that verifies it is\n\n    {}",
                    config.vault.file.display(),
                    counted(restored.secrets.len(), "secret"),
                    restored.verifier_key
                )
            },
            || {
                let secrets: Vec<&str> = restored.secrets.iter().map(|name| name.as_str()).collect();
                json!({
                    "vault": config.vault.file,
                    "epoch": restored.epoch,
                    "backup-epoch": restored.backup_epoch,
                    "secrets": secrets,
                    "new-trail": restored.new_trail,
                    "audit-verifier-key": restored.verifier_key,
                })
            },
        );
        Ok(Exit::Success)
    }
}

impl AcceptRollback {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        refuse_while_running(&config)?;
        check_reason(&config, &self.reason)?;
        self.confirm.ask(
            common,
            "The vault file and the audit trail are accepted as they are.",
        )?;
        let source = key_source(&config, common)?;
        let actor = actor(self.reason.get());
        let accepted =
            Vault::accept_rollback(&config.vault_files(), source, &actor).map_err(vault_failure)?;
        common.output().data(
            || {
                format!(
                    "accepted: the vault file was at epoch {}, and is at {} now",
                    accepted.file_epoch, accepted.epoch
                )
            },
            || {
                json!({
                    "file-epoch": accepted.file_epoch,
                    "trail-epoch": accepted.trail_epoch,
                    "trail-differed": accepted.trail_differed,
                    "epoch": accepted.epoch,
                })
            },
        );
        Ok(Exit::Success)
    }
}

/// Writes a file in place of the one there, at once or not at all.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let fresh = file.with_extension("vkey.new");
    let _ = fs::remove_file(&fresh);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&fresh)
        .and_then(|mut opened| {
            opened.write_all(text.as_bytes())?;
            opened.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, file))
        .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))
}

/// These two are no requests to a gateway, and follow its rule all the same.
fn check_reason(config: &Config, reason: &Reason) -> Result<(), Failure> {
    let required = config.control.rules.require_reason;
    check_reason_of(true, reason.get(), required).map_err(fault)
}

fn refuse_while_running(config: &Config) -> Result<(), Failure> {
    match Access::running(config)? {
        None => Ok(()),
        Some(_) => Err(Failure::new("a gateway is running here")
            .help("stop it first: it has the vault and the audit trail open")),
    }
}
