//! Which gateway a command is about: finding and reading `keyward.toml`.

use std::path::{Path, PathBuf};

use keyward_gateway::config::Config;

use crate::exit::Failure;

/// The name of the configuration file.
pub(crate) const CONFIG_FILE: &str = "keyward.toml";

/// The file beside it with the key that verifies the audit trail.
pub(crate) const VERIFIER_KEY_FILE: &str = "audit.vkey";

/// The configuration file: the one that was named, or the nearest `keyward.toml`
/// in the working directory or one above it.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::io(error, "can't tell the working directory"))?;
    let found = here
        .ancestors()
        .map(|folder| folder.join(CONFIG_FILE))
        .find(|file| file.is_file());
    let found = found.ok_or_else(|| {
        Failure::new(format!(
            "no {CONFIG_FILE} in {} or above it",
            here.display()
        ))
        .help("make one with `keyward init`, or name one with --config FILE")
    })?;
    // Shorter in messages, and the same file.
    Ok(found
        .strip_prefix(&here)
        .map(Path::to_owned)
        .unwrap_or(found))
}

/// Finds and reads the configuration.
pub(crate) fn load(named: Option<&Path>) -> Result<Config, Failure> {
    Config::load(&find(named)?).map_err(Failure::new)
}
