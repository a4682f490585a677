//! New values that are made on schedule, as they are counted.

use jiff::Timestamp;
use keyward::vault::{SecretState, Vault};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::rotation::PERIOD;

/// What is told of schedules: how many there are, when the next one is due, how many
/// should have been kept and were not.
#[derive(Default)]
pub(super) struct Schedules {
    scheduled: Gauge,
    next: Gauge,
    overdue: Gauge,
}

impl Schedules {
    pub(super) fn register(&self, it: &mut Registry) {
        it.register(
            "rotation_scheduled",
            "Enabled secrets of which new values are made on schedule",
            self.scheduled.clone(),
        );
        it.register_with_unit(
            "rotation_next_timestamp",
            "When the next new value is due, since 1970; 0: none is",
            Unit::Seconds,
            self.next.clone(),
        );
        it.register(
            "rotation_overdue",
            "Secrets whose new value should have been made by now",
            self.overdue.clone(),
        );
    }

    pub(super) fn look_at(&self, vault: &Vault, now: Timestamp) {
        let secrets = vault.list();
        let enabled = secrets
            .iter()
            .filter(|secret| secret.state == SecretState::Enabled);
        let due: Vec<Timestamp> = enabled
            .filter_map(|secret| Some(secret.rotation.schedule?.next))
            .collect();
        let overdue = due.iter().filter(|next| is_overdue(**next, now)).count();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.scheduled.set(number(due.len()));
        self.overdue.set(number(overdue));
        let next = due.iter().min();
        self.next.set(next.map_or(0, |next| next.as_second()));
    }
}

/// Whether a new value should have been made: its time has come, and schedules were
/// looked at several times since.
fn is_overdue(next: Timestamp, now: Timestamp) -> bool {
    let late = now.as_second().saturating_sub(next.as_second());
    u64::try_from(late).is_ok_and(|late| late > 3 * PERIOD.as_secs())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use keyward::names::SecretName;
    use keyward::vault::{Actor, Durability, Kind, RotationChange, VaultFiles};

    use super::*;

    #[test]
    fn what_is_due_and_what_is_late_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        let actor = Actor {
            name: "test".to_owned(),
            reason: None,
        };
        let kind: Kind = "hmac-key".parse().unwrap();
        let name = |text| SecretName::parse(text).unwrap();
        for secret in ["often", "seldom", "never"] {
            let value = kind.generate().unwrap();
            vault.add(&name(secret), kind, value, &actor).unwrap();
        }
        let schedules = Schedules::default();
        let look = |seconds| {
            let now = Timestamp::now().as_second() + seconds;
            schedules.look_at(&vault, Timestamp::from_second(now).unwrap());
            let told = [&schedules.scheduled, &schedules.overdue].map(Gauge::get);
            (told, schedules.next.get())
        };
        assert_eq!(look(0), ([0, 0], 0));
        for (secret, hours) in [("often", 1), ("seldom", 24)] {
            let change = RotationChange {
                retire_previous_after: None,
                every: Some(Some(Duration::from_secs(hours * 3600))),
            };
            vault.set_rotation(&name(secret), change, &actor).unwrap();
        }
        let (told, next) = look(0);
        assert_eq!(told, [2, 0]);
        let in_an_hour = Timestamp::now().as_second() + 3600;
        assert!((in_an_hour - 60..=in_an_hour).contains(&next), "{next}");
        assert_eq!(look(3600 + 5).0, [2, 0], "it may be under way");
        assert_eq!(look(3600 + 60).0, [2, 1]);
        assert_eq!(look(25 * 3600).0, [2, 2]);
        vault.disable(&name("often"), &actor).unwrap();
        assert_eq!(look(25 * 3600).0, [1, 1], "what is disabled is not made");
    }
}
