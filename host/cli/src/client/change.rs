//! `keyward client add|rotate|retire|disable|enable|remove`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use keyward::names::Subject;
use keyward::vault::fill_random;
use keyward_gateway::control::{ClientEntry, Removed, Request};
use zeroize::Zeroizing;

use super::Keys;
use crate::Common;
use crate::access::Access;
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::input::Value;
use crate::place;
use crate::reason::Reason;

const ADD: &str = "\
The key is asked for without being shown, read from standard input if that is not a
terminal, or from a file; or it is made here and written to a new file of mode 600,
for you to hand over. 16 characters or more.

Examples:
  keyward client add acme --generate-to acme.key
  keyward client add acme < acme.key
  keyward client add acme --keys partners --reason \"contract 7\" --generate-to acme.key";

const ROTATE: &str = "\
Adds a second key: both are accepted until the older is retired, so that the client
can change over when it likes. Of two keys, the older goes.

Examples:
  keyward client rotate acme --generate-to acme-2.key
  keyward client retire acme           once it uses the new one";

const RETIRE: &str = "\
Examples:
  keyward client retire acme";

const DISABLE: &str = "\
Its keys count for nothing from now on, until it is enabled again.

Examples:
  keyward client disable acme --reason \"unpaid\"";

const ENABLE: &str = "\
Examples:
  keyward client enable acme";

const REMOVE: &str = "\
Asks first; where there is no terminal, --yes is needed.

Examples:
  keyward client remove acme --yes --reason \"contract ended\"";

/// Where a key comes from.
#[derive(Args)]
struct Source {
    /// Read the key from a file.
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,

    /// Make a random key and write it to a new file of mode 600.
    #[arg(long, value_name = "FILE", conflicts_with = "from_file")]
    generate_to: Option<PathBuf>,
}

/// Add a client with its first key.
#[derive(Args)]
#[command(after_help = ADD)]
pub(crate) struct Add {
    /// What policies call it: a-z, 0-9, "-", "_" and "."
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reason: Reason,
}

/// Give a client a second key.
#[derive(Args)]
#[command(after_help = ROTATE)]
pub(crate) struct Rotate {
    /// Which client.
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reason: Reason,
}

/// Destroy the older of a client's two keys.
#[derive(Args)]
#[command(after_help = RETIRE)]
pub(crate) struct Retire {
    /// Which client.
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    reason: Reason,
}

/// Refuse a client's keys for now.
#[derive(Args)]
#[command(after_help = DISABLE)]
pub(crate) struct Disable {
    /// Which client.
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    reason: Reason,
}

/// Accept a disabled client's keys again.
#[derive(Args)]
#[command(after_help = ENABLE)]
pub(crate) struct Enable {
    /// Which client.
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    reason: Reason,
}

/// Destroy a client and its keys.
#[derive(Args)]
#[command(after_help = REMOVE)]
pub(crate) struct Remove {
    /// Which client.
    subject: Subject,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

impl Add {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::ClientAdd {
            keys: self.keys.name,
            subject: self.subject,
        };
        with_key(common, request, &self.source, &self.reason, |client| {
            format!("{} is added", client.subject)
        })
    }
}

impl Rotate {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let subject = self.subject.clone();
        let request = Request::ClientRotate {
            keys: self.keys.name,
            subject: self.subject,
        };
        with_key(common, request, &self.source, &self.reason, |_| {
            format!(
                "{subject} has a second key; once it uses that one: keyward client retire {subject}"
            )
        })
    }
}

impl Retire {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::ClientRetire {
            keys: self.keys.name,
            subject: self.subject,
        };
        without_key(common, request, &self.reason, |client| {
            format!("{} has one key: the newer", client.subject)
        })
    }
}

impl Disable {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::ClientDisable {
            keys: self.keys.name,
            subject: self.subject,
        };
        without_key(common, request, &self.reason, |client| {
            format!("{} is disabled: its keys are refused", client.subject)
        })
    }
}

impl Enable {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::ClientEnable {
            keys: self.keys.name,
            subject: self.subject,
        };
        without_key(common, request, &self.reason, |client| {
            format!("{} is enabled: its keys are accepted", client.subject)
        })
    }
}

impl Remove {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        self.confirm.ask(
            common,
            &format!("Client {} and its keys are destroyed.", self.subject),
        )?;
        let request = Request::ClientRemove {
            keys: self.keys.name,
            subject: self.subject,
        };
        let removed: Removed = Access::open(&config, common)?.ask(request, self.reason.get())?;
        common.output().entry(&removed, |removed| {
            format!("{} is destroyed", removed.removed)
        })?;
        Ok(Exit::Success)
    }
}

fn without_key(
    common: &Common,
    request: Request,
    reason: &Reason,
    words: impl FnOnce(&ClientEntry) -> String,
) -> Outcome {
    let config = place::load(common.config())?;
    let client = Access::open(&config, common)?.ask(request, reason.get())?;
    common.output().entry(&client, words)?;
    Ok(Exit::Success)
}

fn with_key(
    common: &Common,
    request: Request,
    source: &Source,
    reason: &Reason,
    words: impl FnOnce(&ClientEntry) -> String,
) -> Outcome {
    let config = place::load(common.config())?;
    let access = Access::open(&config, common)?;
    let output = common.output();
    let key = match &source.generate_to {
        Some(file) => generate_to(file)?,
        None => Value::of_client_key(output, source.from_file.as_deref())?,
    };
    let client = access
        .ask_with(request, reason.get(), vec![key])
        .inspect_err(|_| {
            // A key that nobody accepts is of no use to anyone.
            if let Some(file) = &source.generate_to {
                let _ = fs::remove_file(file);
            }
        })?;
    output.entry(&client, words)?;
    if let Some(file) = &source.generate_to {
        output.say(format!(
            "its key is in {}; hand it over, then delete it",
            file.display()
        ));
    }
    Ok(Exit::Success)
}

/// 256 random bits as 64 hexadecimal digits, in a file that nobody else reads.
fn generate_to(file: &Path) -> Result<Value, Failure> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut random = Zeroizing::new([0_u8; 32]);
    fill_random(&mut random[..]);
    let mut key = Zeroizing::new(Vec::with_capacity(65));
    for byte in random.iter() {
        key.push(DIGITS[usize::from(byte >> 4)]);
        key.push(DIGITS[usize::from(byte & 15)]);
    }
    key.push(b'\n');
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| {
            opened.write_all(&key)?;
            opened.sync_all()
        })
        .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))?;
    Ok(Value::made(key))
}
