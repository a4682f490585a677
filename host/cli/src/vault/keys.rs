//! Keys of a vault, as the command line names them.

use std::path::{Path, PathBuf, absolute};

use clap::Args;
use keyward::names::SourceName;
use keyward::vault::Reference;
use keyward_gateway::config::credential;
use keyward_gateway::control::{CostText, NewKeyText};

use crate::Common;
use crate::exit::Failure;
use crate::input::Value;

/// A key that is to be made.
#[derive(Args)]
#[group(id = "new-key", required = true, multiple = false)]
pub(super) struct NewKeyArgs {
    /// A key file, which is made here.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A passphrase: asked for, or a line of standard input.
    #[arg(long)]
    passphrase: bool,
    /// A credential of the service manager's, by name.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

/// A key that a source wraps.
#[derive(Args)]
pub(super) struct SourceKeyArgs {
    /// A source that wraps a new key, by name; with --key.
    #[arg(
        long,
        value_name = "NAME",
        group = "new-key",
        requires = "wrapping-key"
    )]
    source: Option<SourceName>,
    /// The key in that source that wraps and unwraps it.
    #[arg(
        id = "wrapping-key",
        long = "key",
        value_name = "KEY",
        requires = "source"
    )]
    key: Option<String>,
}

impl SourceKeyArgs {
    /// The key that is to be wrapped so, if it is one.
    pub(super) fn read(&self) -> Result<Option<NewKeyText>, Failure> {
        let (Some(source), Some(key)) = (&self.source, &self.key) else {
            return Ok(None);
        };
        let wrapping = Reference::new(source.clone(), key).map_err(Failure::usage)?;
        Ok(Some(NewKeyText::Source(wrapping.to_string())))
    }
}

/// What a new passphrase costs to guess, and where it comes from.
#[derive(Args)]
pub(super) struct PassphraseArgs {
    /// Read the new passphrase from a file.
    #[arg(long, value_name = "FILE", requires = "passphrase")]
    new_passphrase_file: Option<PathBuf>,
    /// Memory that each guess takes (Argon2id): 64 to 4096 MiB.
    #[arg(
        long,
        value_name = "MIB",
        requires = "passphrase",
        default_value_t = 256
    )]
    memory: u32,
    /// Passes over that memory: 3 to 16.
    #[arg(long, value_name = "N", requires = "passphrase", default_value_t = 3)]
    passes: u32,
    /// Lanes: 1 to 16.
    #[arg(long, value_name = "N", requires = "passphrase", default_value_t = 4)]
    lanes: u32,
}

impl NewKeyArgs {
    /// The key, and its passphrase if it is one.
    pub(super) fn read(
        &self,
        common: &Common,
        passphrase: &PassphraseArgs,
    ) -> Result<(NewKeyText, Vec<Value>), Failure> {
        if let Some(file) = &self.key_file {
            return Ok((NewKeyText::KeyFile(full(file)?), Vec::new()));
        }
        if let Some(name) = &self.credential {
            let file = credential(name).map_err(Failure::usage)?;
            return Ok((NewKeyText::Credential(file), Vec::new()));
        }
        let cost = CostText {
            memory_kib: passphrase.memory.saturating_mul(1024),
            passes: passphrase.passes,
            lanes: passphrase.lanes,
        };
        let file = passphrase.new_passphrase_file.as_deref();
        let value = Value::new_passphrase(common.output(), file)?;
        Ok((NewKeyText::Passphrase { cost: Some(cost) }, vec![value]))
    }
}

/// A path that means the same to whoever opens it.
pub(super) fn full(file: &Path) -> Result<PathBuf, Failure> {
    absolute(file).map_err(|error| Failure::io(error, "can't tell the working directory"))
}
