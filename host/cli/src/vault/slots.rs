//! `keyward vault slots|slot add|slot remove|rekey`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keyward_gateway::config::{VaultKey, credential};
use keyward_gateway::control::{KeyText, Removed, Request, SlotEntry, VaultEntry};

use super::keys::{NewKeyArgs, PassphraseArgs, SourceKeyArgs, full};
use crate::Common;
use crate::access::Access;
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Value;
use crate::output::table;
use crate::place;
use crate::reason::Reason;
use crate::when;

const SLOTS: &str = "\
Each slot is a key that opens the vault. Keep two, in two places: without any, the
secrets are gone.

Examples:
  keyward vault slots
  keyward vault slots -o json";

const ADD: &str = "\
One more key that opens the vault:
  --key-file     made here, mode 600, never overwritten; keep it apart from the vault.
                 While a gateway runs, that gateway makes it, as its own user
  --passphrase   12 characters or more; six random words are a good one
  --credential   a file that the service manager hands over, which holds the text of
                 a key file (systemd: LoadCredentialEncrypted=NAME, and
                 `credential = \"NAME\"` in [vault])

Examples:
  keyward vault slot add --key-file /media/usb/vault-2.key
  keyward vault slot add --passphrase --reason \"for emergencies\"
  keyward vault slot add --credential keyward-vault
  keyward vault slot add --source corp --key vault-master";

const REMOVE: &str = "\
That key opens the vault no more. The last slot can't be removed. A copy of an older
vault file still opens with it: `keyward vault rekey` ends that for what comes after.

Examples:
  keyward vault slots
  keyward vault slot remove 2 --yes --reason \"key lost\"";

const REKEY: &str = "\
Makes a new root key and seals everything anew. Every slot's key is needed, since
each slot holds the root key: the one that [vault] in the configuration names is
taken from there, those that a source unwraps are asked of it, the others are named
here.

Examples:
  keyward vault rekey --reason \"key file seen in a backup\"
  keyward vault rekey --key-file /media/usb/vault-2.key --passphrase";

/// List the keys that open the vault.
#[derive(Args)]
#[command(after_help = SLOTS)]
pub(crate) struct Slots {}

/// Keys that open the vault.
#[derive(Subcommand)]
pub(crate) enum Slot {
    Add(Add),
    Remove(Remove),
}

/// Add a key that opens the vault.
#[derive(Args)]
#[command(after_help = ADD)]
pub(crate) struct Add {
    #[command(flatten)]
    key: NewKeyArgs,
    #[command(flatten)]
    source: SourceKeyArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    reason: Reason,
}

/// Let a key open the vault no more.
#[derive(Args)]
#[command(after_help = REMOVE)]
pub(crate) struct Remove {
    /// Its number.
    slot: u64,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

/// Make a new root key.
#[derive(Args)]
#[command(after_help = REKEY)]
pub(crate) struct Rekey {
    /// A slot's key file; may be given several times.
    #[arg(long, value_name = "FILE")]
    key_file: Vec<PathBuf>,
    /// A slot's credential, by name; may be given several times.
    #[arg(long, value_name = "NAME")]
    credential: Vec<String>,
    /// A slot has a passphrase: asked for, or a line of standard input. May be given
    /// several times.
    #[arg(long, action = clap::ArgAction::Count)]
    passphrase: u8,
    #[command(flatten)]
    reason: Reason,
}

impl Slots {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let slots: Vec<SlotEntry> =
            Access::open(&config, common)?.ask(Request::VaultSlots {}, None)?;
        common.output().entries(&slots, |slots| {
            let rows: Vec<_> = slots.iter().map(row).collect();
            table(["SLOT", "KEY", "ADDED", "A GUESS COSTS"], &rows)
        })?;
        Ok(Exit::Success)
    }
}

fn row(slot: &SlotEntry) -> [String; 4] {
    let cost = slot.cost.map(|cost| {
        format!(
            "{} MiB, {}, {}",
            cost.memory_kib / 1024,
            number(cost.passes, "pass", "passes"),
            number(cost.lanes, "lane", "lanes")
        )
    });
    let kind = match &slot.wrapping {
        Some(wrapping) => format!("{} {wrapping}", slot.kind),
        None => slot.kind.clone(),
    };
    [
        slot.id.to_string(),
        kind,
        when::short(&slot.created),
        cost.unwrap_or_default(),
    ]
}

fn opens(slots: u64) -> String {
    match slots {
        1 => "slot opens".to_owned(),
        _ => format!("{slots} slots open"),
    }
}

fn number(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Slot {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self {
            Self::Add(command) => command.run(common),
            Self::Remove(command) => command.run(common),
        }
    }
}

impl Add {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let (key, values) = match self.source.read()? {
            Some(key) => (key, Vec::new()),
            None => self.key.read(common, &self.passphrase)?,
        };
        let request = Request::VaultSlotAdd { key };
        let slot: SlotEntry = access.ask_with(request, self.reason.get(), values)?;
        common.output().entry(&slot, |slot| {
            format!("slot {} ({}) opens the vault too", slot.id, slot.kind)
        })?;
        Ok(Exit::Success)
    }
}

impl Remove {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let slots: Vec<SlotEntry> = access.ask(Request::VaultSlots {}, None)?;
        let Some(slot) = slots.iter().find(|slot| slot.id == self.slot) else {
            return Err(Failure::new(format!("there is no slot {}", self.slot))
                .help("slots there are: keyward vault slots"));
        };
        let mut what = format!(
            "The {} of slot {}, added {}, opens the vault no more.",
            slot.kind,
            slot.id,
            when::short(&slot.created)
        );
        let is_local = |slot: &SlotEntry| slot.wrapping.is_none();
        let mut others = slots.iter().filter(|other| other.id != slot.id);
        if is_local(slot) && slots.len() > 1 && !others.any(is_local) {
            what.push_str(
                " It is the last one that needs no source: from then on, without that source's \
                 key the secrets are gone.",
            );
        }
        self.confirm.ask(common, &what)?;
        let request = Request::VaultSlotRemove { slot: self.slot };
        let removed: Removed = access.ask(request, self.reason.get())?;
        common.output().entry(&removed, |removed| {
            format!("{} is destroyed", removed.removed)
        })?;
        Ok(Exit::Success)
    }
}

impl Rekey {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let mut keys = Vec::new();
        let mut passphrases = self.passphrase;
        match &config.vault.key {
            VaultKey::File(file) => keys.push(KeyText::KeyFile(full(file)?)),
            VaultKey::Credential(file) => keys.push(KeyText::Credential(full(file)?)),
            // The one that opens it at start is among them.
            VaultKey::Passphrase => passphrases = passphrases.max(1),
            // Those of sources are known by their slots, below.
            VaultKey::Source(_) => {}
        }
        let slots: Vec<SlotEntry> = access.ask(Request::VaultSlots {}, None)?;
        let remote = slots.iter().filter(|slot| slot.wrapping.is_some());
        keys.extend(remote.map(|slot| KeyText::SourceSlot(slot.id)));
        for file in &self.key_file {
            keys.push(KeyText::KeyFile(full(file)?));
        }
        for name in &self.credential {
            let file = credential(name).map_err(Failure::usage)?;
            keys.push(KeyText::Credential(full(&file)?));
        }
        let mut values = Vec::new();
        for number in 0..passphrases {
            keys.push(KeyText::Passphrase {});
            let from_file = common.passphrase_file().filter(|_| number == 0);
            let what = format!("Passphrase {} of {passphrases}", number.saturating_add(1));
            values.push(Value::passphrase(common.output(), &what, from_file)?);
        }
        let request = Request::VaultRekey { keys };
        let entry: VaultEntry = access.ask_with(request, self.reason.get(), values)?;
        common.output().entry(&entry, |entry| {
            format!(
                "the vault has a new root key, which its {} as before",
                opens(entry.slots)
            )
        })?;
        Ok(Exit::Success)
    }
}
