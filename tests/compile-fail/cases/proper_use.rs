//! Everything that the other cases misuse, used as it should be.

use keyward_names::{ExchangeId, SecretName};
use keyward_vault::*;

fn add(vault: &Vault, name: &SecretName, actor: &Actor) -> Result<SecretInfo, VaultError> {
    let value = Secret::read_from(std::io::stdin(), Kind::ApiKey.max_bytes())
        .map_err(VaultError::from)?;
    vault.add(name, Kind::ApiKey, value, actor)
}

fn sign(vault: &Vault, policy: &PolicyIdentity, ledger: &mut Ledger) -> Option<Mac> {
    let permit = vault.permit::<uses::MacSign>(policy, "key", ledger).ok()?;
    permit.sign(b"message").ok()
}

async fn attach(
    vault: &Vault,
    policy: &PolicyIdentity,
    exchange: ExchangeId,
    target: &Target<'_>,
) -> Option<CheckedNotes> {
    let mut ledger = vault.begin(exchange);
    let mut notes = Notes::default();
    notes.push(vault.permit::<uses::Attach>(policy, "backend", &mut ledger).ok()?.note());
    let checked = notes.check(vault, &mut ledger, target).ok()?;
    let _proof: Durable = ledger.barrier().await.ok()?;
    Some(checked)
}

fn main() {
    let _ = (add, sign, attach);
}
