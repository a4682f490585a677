//! How the vault is kept: its slots, its memory, and what is disabled, revoked or
//! about to expire.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyward::vault::{Cache, MemoryProtection, SecretInfo, SecretState};
use keyward_gateway::config::Config;
use keyward_gateway::control::{GrantList, Request, SlotEntry, VaultEntry};
use keyward_gateway::expiry;
use keyward_gateway::harden::advice_on;

use super::Checks;
use crate::access::Access;
use crate::grants;
use crate::output::counted;

/// How long after its time a new value that was not made is worth a word.
const LATE: SignedDuration = SignedDuration::from_secs(60);

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
        schedules(checks, secrets, access.is_gateway(), Timestamp::now());
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
        let fix = match &secret.origin {
            Some(origin) if origin.cache == Cache::Remote => format!(
                "have a certificate of the key {} made, and then: keyward secret rotate {} \
                 --from-file CHAIN.pem",
                origin.reference, secret.name
            ),
            // Its values, and until when they are good, are its source's to say.
            Some(origin) => format!(
                "set a new value in {}, and then: keyward secret refresh {}",
                origin.reference, secret.name
            ),
            None => format!(
                "keyward secret rotate {0}, or: keyward secret validity {0} --not-after TIME",
                secret.name
            ),
        };
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

/// New values that are made on schedule: when, and whether they were.
fn schedules(checks: &mut Checks, secrets: &[SecretInfo], runs: bool, now: Timestamp) {
    let due = secrets.iter().filter_map(|secret| {
        let enabled = secret.state == SecretState::Enabled;
        Some((secret, secret.rotation.schedule.filter(|_| enabled)?.next))
    });
    let due: Vec<_> = due.collect();
    let Some((first, next)) = due.iter().min_by_key(|(_, next)| *next) else {
        return;
    };
    let late: Vec<_> = due
        .iter()
        .filter(|(_, next)| now.duration_since(*next) > LATE)
        .collect();
    match (late.first(), runs) {
        (Some((secret, next)), true) => checks.bad(
            "rotation",
            format!(
                "{}, the first: {}, due since {next}, and no new value was made",
                counted(late.len(), "secret"),
                secret.name
            ),
            "the log of the gateway says why (\"can't be rotated on schedule\")",
        ),
        (Some((secret, next)), false) => checks.warning(
            "rotation",
            format!(
                "{}, the first: {}, due since {next}; new values are made while a gateway runs",
                counted(late.len(), "secret"),
                secret.name
            ),
            format!(
                "start the gateway, or: keyward secret rotate {} --generate",
                secret.name
            ),
        ),
        (None, _) => checks.good(
            "rotation",
            format!(
                "{} on schedule, the next: {}, {next}",
                counted(due.len(), "secret"),
                first.name
            ),
        ),
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use keyward::names::SecretName;
    use keyward::vault::{Durability, Kind, Secret, Validity, Vault, VaultFiles};

    use super::super::Status;
    use super::*;
    use crate::access::actor;

    #[test]
    fn a_clock_that_jumps_past_the_end_of_a_value_is_seen_until_it_jumps_back() {
        let folder = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        let (name, actor) = (SecretName::parse("billing").unwrap(), actor(None));
        let value = Secret::generate(43);
        vault.add(&name, Kind::ApiKey, value, &actor).unwrap();
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let validity = Validity {
            not_before: None,
            not_after: now.checked_add(day * 100).ok(),
        };
        vault.set_validity(&name, 1, validity, &actor).unwrap();
        for (jump, expected) in [
            (0, None),
            (99, Some((Status::Warning, "billing expires in 1 d"))),
            (3650, Some((Status::Bad, "billing has expired"))),
            (-3650, None),
            (0, None),
        ] {
            let mut checks = Checks::default();
            let now = now.checked_add(day * jump).unwrap();
            let soon = Duration::from_secs(30 * 86_400);
            super::validity(&mut checks, &vault.list(), now, soon);
            let found = checks.0.first();
            let is_so = match (found, expected) {
                (Some(check), Some((status, said))) => {
                    std::mem::discriminant(&check.status) == std::mem::discriminant(&status)
                        && check.detail.starts_with(said)
                }
                (found, expected) => found.is_none() && expected.is_none(),
            };
            assert!(is_so, "{jump}: {:?}", found.map(|check| &check.detail));
        }
    }
}
