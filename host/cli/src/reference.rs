//! References, in the two forms in which people write them.

use keyward::names::KeyVaultReference;
use keyward_gateway::config::Config;

use crate::exit::Failure;

/// `SOURCE:KEY` of a reference: as it is written, or of the source that is the vault
/// of an `@Microsoft.KeyVault(…)`.
///
/// Errors: the second form is malformed, or no source of the configuration is its
/// vault. Whether the first is well-formed is for others to say.
pub(crate) fn resolve(text: &str, config: &Config) -> Result<String, Failure> {
    if !KeyVaultReference::is_meant_by(text) {
        return Ok(text.to_owned());
    }
    let reference = KeyVaultReference::parse(text).map_err(Failure::usage)?;
    match config.listed(&reference) {
        Ok(reference) => Ok(reference.to_string()),
        Err((message, help)) => Err(Failure::new(message).help(help)),
    }
}
