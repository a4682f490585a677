//! How the vault is kept: its slots, its memory, and what is disabled, revoked or
//! about to expire.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use keyward::vault::{MemoryProtection, SecretInfo, SecretState};
use keyward_gateway::config::Config;
use keyward_gateway::control::{GrantList, Request, SlotEntry, VaultEntry};
use keyward_gateway::expiry;
use keyward_gateway::harden::advice_on;

use super::Checks;
use crate::access::Access;
use crate::grants;
use crate::output::counted;

pub(super) fn check(
    checks: &mut Checks,
    config: &Config,
    access: &Access,
    secrets: Option<&[SecretInfo]>,
) {
    if access.is_gateway()
        && let Ok(status) = access.ask::<VaultEntry>(Request::VaultStatus {}, None)
    {
        // What this version does not know it can give no advice on.
        let known = MemoryProtection::ALL.into_iter();
        let advice = known
            .filter(|memory| memory.as_str() == status.memory)
            .find_map(advice_on);
        checks.advised("memory of the gateway", status.memory, advice);
    }
    if let Ok(slots) = access.ask::<Vec<SlotEntry>>(Request::VaultSlots {}, None) {
        match slots.len() {
            1 => checks.warning(
                "vault slots",
                format!(
                    "one: without its {} the secrets are gone",
                    slot_kind(&slots)
                ),
                "add another and keep it elsewhere: keyward vault slot add --key-file FILE",
            ),
            count => checks.good("vault slots", counted(count, "slot")),
        }
    }
    if let Some(secrets) = secrets {
        validity(
            checks,
            secrets,
            Timestamp::now(),
            config.vault.expiry_warning,
        );
        disabled(checks, config, secrets);
    }
    if let Ok(list) = access.ask::<GrantList>(Request::GrantsList {}, None)
        && let Some(first) = list.revoked.first()
    {
        checks.warning(
            "revoked grants",
            format!(
                "{}, the first: {first}; not in force, whatever the grants file has",
                counted(list.revoked.len(), "grant")
            ),
            "take them out of the file, or: keyward grants reinstate ID",
        );
    }
}

fn slot_kind(slots: &[SlotEntry]) -> &str {
    match slots.first().map(|slot| &*slot.kind) {
        Some("key-file") | None => "key file",
        Some(other) => other,
    }
}

/// Versions in use whose time is over, or soon will be.
fn validity(checks: &mut Checks, secrets: &[SecretInfo], now: Timestamp, soon: Duration) {
    for secret in secrets {
        let Some(end) = expiry::end_of(secret) else {
            continue;
        };
        let fix = format!(
            "keyward secret rotate {0}, or: keyward secret validity {0} --not-after TIME",
            secret.name
        );
        if end <= now {
            checks.bad(
                "validity",
                format!("{} has expired: {end}", secret.name),
                fix,
            );
        } else if expiry::ends_soon(end, now, soon) {
            let days = expiry::days_left(end, now);
            checks.warning(
                "validity",
                format!("{} expires in {days} d: {end}", secret.name),
                fix,
            );
        }
    }
}

fn disabled(checks: &mut Checks, config: &Config, secrets: &[SecretInfo]) {
    let Ok(grants) = grants::read(config) else {
        return;
    };
    let granted: BTreeSet<_> = grants.iter().map(|grant| &grant.secret).collect();
    for secret in secrets {
        if secret.state == SecretState::Disabled && granted.contains(&secret.name) {
            checks.warning(
                "disabled secrets",
                format!("{} is disabled, and grants name it", secret.name),
                format!(
                    "keyward secret enable {}, or take the grants out of the file",
                    secret.name
                ),
            );
        }
    }
}
