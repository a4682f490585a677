//! How one version of a secret follows another: until when the one before it is
//! accepted, and when a new value is made without anybody's asking.
//!
//! Both are kept with the secret, in its item: they are how the secret is run, not
//! who may use it. The vault has no timer; [`Vault::rotate_due`] is for whoever has
//! one.

use std::time::Duration;

use jiff::Timestamp;
use keyward_names::SecretName;

use crate::audit::Act;
use crate::clock::Clock;
use crate::contents::{StoredRotation, StoredSecret};
use crate::error::VaultError;
use crate::format::Damaged;
use crate::identity::{
    Actor, Rotation, RotationChange, Schedule, SecretInfo, SecretState, Validity, VersionState,
};
use crate::import::Imported;
use crate::kind::Kind;
use crate::lifecycle::Bounds;
use crate::live::{LiveSecret, Material, Version, timestamp};
use crate::secret::Secret;
use crate::vault::{Vault, seconds_of};

/// The shortest time for which a version before can be accepted.
pub const MIN_RETIREMENT: Duration = Duration::from_secs(1);
/// The shortest time between two values that are made by themselves.
pub const MIN_SCHEDULE: Duration = Duration::from_secs(60);
/// The longest of either: ten years.
pub const MAX_ROTATION_TIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// A secret's next value, and what comes with it.
pub struct Replacement {
    /// The value, of the secret's kind.
    pub value: Secret,
    /// When it may be used.
    pub validity: Validity,
    /// How long the version that it replaces stays accepted where codes are
    /// verified; `None`: as the secret's [`Rotation`] says.
    pub retire_previous_after: Option<Duration>,
    /// From now on a new value is made that often; `None`: nothing changes.
    pub every: Option<Duration>,
}

impl Replacement {
    /// A value that may be used at any time, and nothing else.
    pub fn of(value: Secret) -> Self {
        Self {
            value,
            validity: Validity::default(),
            retire_previous_after: None,
            every: None,
        }
    }
}

impl Vault {
    /// Gives a secret a new value, as [`rotate`](Self::rotate) does, and changes
    /// what comes with that.
    ///
    /// Errors: also, the validity is empty, a time is out of bounds
    /// ([`MIN_RETIREMENT`], [`MIN_SCHEDULE`], [`MAX_ROTATION_TIME`]), or no values
    /// are made for a secret of its kind.
    pub fn rotate_with(
        &self,
        name: &SecretName,
        replacement: Replacement,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let Replacement {
            value,
            validity,
            retire_previous_after,
            every,
        } = replacement;
        let retire_after = retire_previous_after.map(retirement).transpose()?;
        let every = every.map(period).transpose()?;
        let kind = self.kind_of(name)?;
        if every.is_some() {
            has_schedule(name, kind)?;
        }
        let is_chain = kind == Kind::Certificate && self.live().secret(name)?.is_remote();
        let imported = match is_chain {
            true => Imported::chain(&value)?,
            false => kind.import(value)?,
        };
        let bounds = Bounds::new(validity, imported.not_after)?;
        let value = imported.value.expose();
        self.edit(
            Act::SecretRotated,
            name,
            Some(&value),
            actor,
            |stored, value, now| {
                // Removed and added anew in between, as something else.
                if stored.kind != kind || is_chain != stored.has_chains() {
                    return Err(VaultError::NoSuchSecret(name.clone()));
                }
                stored.is_own()?;
                if every.is_some() {
                    stored.rotation.every = every;
                }
                let number = stored.push(&bounds, value, now);
                if let Some(after) = retire_after {
                    stored.retire_previous(Some(after), now);
                }
                Ok(Some(number))
            },
        )
    }

    /// Changes how one version of a secret follows another. Where the version
    /// before the one in use is still accepted, the time that it has left is
    /// counted from now.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret, a
    /// time is out of bounds, no values are made for a secret of its kind, or a
    /// file can't be written.
    pub fn set_rotation(
        &self,
        name: &SecretName,
        change: RotationChange,
        actor: &Actor,
    ) -> Result<SecretInfo, VaultError> {
        let RotationChange {
            retire_previous_after,
            every,
        } = change;
        let retire_after = retire_previous_after.map(|after| after.map(retirement).transpose());
        let retire_after = retire_after.transpose()?;
        let every = every
            .map(|every| every.map(period).transpose())
            .transpose()?;
        if matches!(every, Some(Some(_))) {
            has_schedule(name, self.kind_of(name)?)?;
        }
        self.edit(Act::RotationSet, name, None, actor, |stored, _, now| {
            if matches!(every, Some(Some(_))) {
                stored.is_own()?;
            }
            if let Some(after) = retire_after {
                stored.rotation.retire_after = after;
                // One whose time is over stays so.
                if stored
                    .rotation
                    .previous_until
                    .is_none_or(|until| now < until)
                {
                    stored.retire_previous(after, now);
                }
            }
            if let Some(every) = every {
                stored.rotation.every = every;
                stored.rotation.next = every.map(|every| now.saturating_add(every));
            }
            Ok(None)
        })
    }

    /// When the next value is to be made by itself; `None` if for no secret.
    pub fn next_rotation(&self) -> Option<Timestamp> {
        let live = self.live();
        let enabled = live.parts.secrets.values();
        let schedules = enabled.filter_map(|secret| scheduled(&secret.info));
        schedules.map(|schedule| schedule.next).min()
    }

    /// Makes a new value for each enabled secret whose time has come. What was
    /// missed while nobody called this is made up for once, whatever it was.
    ///
    /// Blocks until each is on disk and in the audit trail. To be called by one
    /// caller at a time, when [`next_rotation`](Self::next_rotation) says so.
    /// Returns what came of each.
    pub fn rotate_due(&self, actor: &Actor) -> Vec<(SecretName, Result<SecretInfo, VaultError>)> {
        let live = self.live();
        let now = live.parts.clock.now();
        let secrets = live.parts.secrets.values();
        let due: Vec<_> = secrets
            .filter(|secret| scheduled(&secret.info).is_some_and(|schedule| schedule.next <= now))
            .map(|secret| {
                let length = match secret.material() {
                    // As long as the one before.
                    Some(Material::Mac(key)) => Some(key.key_bytes()),
                    _ => None,
                };
                (secret.info.name.clone(), secret.info.kind, length)
            })
            .collect();
        drop(live);
        let rotate = |(name, kind, length): (SecretName, Kind, Option<usize>)| {
            let made = match length {
                Some(length) => kind.generate_long(length),
                None => kind.generate(),
            };
            let made = made.ok_or_else(|| no_generator(&name, kind));
            let rotated =
                made.and_then(|value| self.rotate_with(&name, Replacement::of(value), actor));
            (name, rotated)
        };
        due.into_iter().map(rotate).collect()
    }
}

fn scheduled(info: &SecretInfo) -> Option<Schedule> {
    let enabled = info.state == SecretState::Enabled;
    info.rotation.schedule.filter(|_| enabled)
}

fn retirement(after: Duration) -> Result<u64, VaultError> {
    seconds_within(after, MIN_RETIREMENT)
}

fn period(every: Duration) -> Result<u64, VaultError> {
    seconds_within(every, MIN_SCHEDULE)
}

fn seconds_within(time: Duration, min: Duration) -> Result<u64, VaultError> {
    if (min..=MAX_ROTATION_TIME).contains(&time) {
        return Ok(time.as_secs());
    }
    Err(VaultError::RotationTime {
        min: min.as_secs(),
        max: MAX_ROTATION_TIME.as_secs(),
    })
}

fn has_schedule(name: &SecretName, kind: Kind) -> Result<(), VaultError> {
    match kind.is_made_on_schedule() {
        true => Ok(()),
        false => Err(no_generator(name, kind)),
    }
}

fn no_generator(name: &SecretName, kind: Kind) -> VaultError {
    VaultError::NotScheduled {
        name: name.clone(),
        kind: kind.as_str(),
    }
}

impl Kind {
    /// Whether values can be made again and again with nobody looking: not of keys
    /// that have sealed data, of which the oldest would be destroyed in time.
    pub(crate) const fn is_made_on_schedule(&self) -> bool {
        matches!(self, Self::HmacKey { .. })
    }
}

impl StoredSecret<'_> {
    /// Lets the version before, if there is one, be accepted for so many seconds
    /// from `now` on, or until the next rotation.
    pub(crate) fn retire_previous(&mut self, after: Option<u64>, now: u64) {
        let until = after.map(|after| now.saturating_add(after));
        self.rotation.previous_until = until.filter(|_| self.previous.is_some());
    }

    /// Notes that there is a new value since `now`: the next one is made when its
    /// time has passed again.
    pub(crate) fn restart_schedule(&mut self, now: u64) {
        let every = self.rotation.every;
        self.rotation.next = every.map(|every| now.saturating_add(every));
    }
}

impl StoredRotation {
    pub(crate) fn info(&self) -> Result<Rotation, Damaged> {
        let schedule = |(every, next)| {
            Ok(Schedule {
                every: Duration::from_secs(every),
                next: timestamp(next)?,
            })
        };
        Ok(Rotation {
            retire_previous_after: self.retire_after.map(Duration::from_secs),
            schedule: self.every.zip(self.next).map(schedule).transpose()?,
        })
    }
}

impl LiveSecret {
    /// The version before the one in use, if it is accepted now where codes are
    /// verified.
    pub(crate) fn accepted_previous(&self, clock: &Clock) -> Option<&Version> {
        let previous = self.previous.as_deref()?;
        // Most have no end, and asking for the time takes longer than all else here.
        let is_over = self
            .previous_until
            .is_some_and(|until| until <= clock.now());
        (!is_over && previous.is_valid(clock)).then_some(previous)
    }

    /// Whether the vault still has that version of the secret, and it is valid now:
    /// whoever began with it may go on.
    pub(crate) fn allows(&self, number: u64, clock: &Clock) -> bool {
        let mut versions = self.info.versions.iter();
        let found = versions.find(|version| version.number == number);
        found.is_some_and(|version| {
            !version.validity.is_bounded() || version.validity.contains(clock.now())
        })
    }

    /// What is known of it at this moment.
    pub(crate) fn info_at(&self, now: Timestamp) -> SecretInfo {
        let mut info = self.info.clone();
        for version in &mut info.versions {
            if version.accepted_until.is_some_and(|until| until <= now) {
                version.accepted_until = None;
                version.state = VersionState::Kept;
            }
        }
        info
    }
}

/// Seconds since 1970, by the vault's clock.
pub(crate) fn seconds_by(clock: &Clock) -> u64 {
    seconds_of(clock.now())
}
