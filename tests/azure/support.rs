//! Sources over a pretended Azure.

use keyward::egress::Dialer;
use keyward::names::SourceName;
use keyward::sources::key_vault::{KeyVault, KeyVaultSettings};
use keyward::sources::managed_identity::Surroundings;
use keyward::sources::{Fetched, Source as _, SourceError};
use keyward_tests::key_vault::Azure;

pub(crate) fn name() -> SourceName {
    SourceName::parse("azure").unwrap()
}

/// On a virtual machine: nothing is told by the environment.
pub(crate) fn machine() -> Surroundings {
    Surroundings::default()
}

pub(crate) fn vault_with(
    settings: &KeyVaultSettings,
    surroundings: &Surroundings,
    dialer: &Dialer,
) -> KeyVault {
    KeyVault::new(name(), settings, surroundings, dialer).unwrap()
}

/// The vault `shop`, read from a virtual machine.
pub(crate) fn vault(azure: &Azure) -> KeyVault {
    vault_with(&azure.settings(), &machine(), &azure.names().dialer())
}

/// Fetches and says which version came.
pub(crate) async fn version(vault: &KeyVault, key: &str) -> Result<String, SourceError> {
    let fetched: Fetched = vault.fetch(key).await?;
    Ok(fetched.version.as_str().to_owned())
}
