//! A secret in the form in which it is used.

use std::sync::Arc;

use jiff::Timestamp;
#[cfg(any(test, feature = "bench"))]
use keyward_names::SecretName;
use uuid::Uuid;

use super::timestamp;
use crate::aead::SealingKey;
use crate::basic::Basic;
use crate::bus::ServiceBus;
use crate::certificate::{CertificateKey, KeyAlgorithm};
use crate::client_keys::ClientKeys;
use crate::clock::Clock;
use crate::connection::OtherConnection;
use crate::contents::{StoredOrigin, StoredSecret, StoredVersion};
use crate::database::DatabaseLogin;
use crate::fingerprint::Fingerprint;
use crate::format::Damaged;
use crate::guard::MIN_SEARCHED_BYTES;
#[cfg(any(test, feature = "bench"))]
use crate::identity::{Rotation, SecretState};
use crate::identity::{SecretInfo, Validity, VersionInfo, VersionState};
use crate::kind::Kind;
use crate::lifecycle::Bounds;
use crate::mac::MacKey;
use crate::origin::{Cache, Unavailability};
use crate::remote::RemoteKey;
use crate::remote_certificate::RemoteCertificate;
use crate::secret::Secret;
use crate::sigv4::AwsKey;
use crate::storage::StorageAccount;
use crate::template::Slot;
use crate::token::OauthClient;
use crate::values::Reference;
use crate::vault::seconds_now;

/// A secret, ready to be used.
pub(crate) struct LiveSecret {
    pub(crate) info: SecretInfo,
    /// `None` while its source has given none.
    pub(crate) current: Option<Arc<Version>>,
    /// Still accepted where codes are verified, until `previous_until`.
    pub(crate) previous: Option<Arc<Version>>,
    /// `None`: until the next rotation.
    pub(crate) previous_until: Option<Timestamp>,
    /// Of a value that is sent: versions that were in use within the last 24 hours
    /// before this was prepared, because a backend may still return them.
    lately: Vec<Arc<Version>>,
    /// The version in use as its source gave it.
    pub(crate) received: Option<Arc<Fingerprint>>,
    /// When the source last said that what is sealed here is what it has, as far as that
    /// is written down, in seconds since 1970.
    pub(crate) confirmed: Option<u64>,
}

/// One version of a secret, in the form in which it is used.
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) validity: Validity,
    pub(crate) material: Material,
}

/// What a version is used as.
pub(crate) enum Material {
    ApiKey(ApiKey),
    Basic(Basic),
    Mac(MacKey),
    DataKey(SealingKey),
    ClientKeys(ClientKeys),
    Storage(StorageAccount),
    Bus(ServiceBus),
    Aws(AwsKey),
    Connection(OtherConnection),
    OauthClient(OauthClient),
    Database(DatabaseLogin),
    /// A key that its source keeps.
    Remote(RemoteKey),
    Certificate(CertificateKey),
}

/// A value that is written into requests.
pub(crate) struct ApiKey {
    pub(crate) value: Secret,
}

crate::secret::assert_not_implemented!(Version: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(LiveSecret: std::fmt::Debug, Clone, serde::Serialize);

impl Material {
    fn prepare(kind: Kind, value: &[u8]) -> Result<Self, Damaged> {
        Ok(match kind {
            Kind::ApiKey => Self::ApiKey(ApiKey {
                value: Secret::copy_of(value),
            }),
            Kind::HmacKey { algorithm, .. } => {
                Self::Mac(MacKey::prepare(algorithm, Secret::copy_of(value)))
            }
            Kind::Basic => Self::Basic(Basic::prepare(value)?),
            Kind::DataKey { .. } => Self::DataKey(SealingKey::prepare(Secret::copy_of(value))),
            Kind::OauthClient => Self::OauthClient(OauthClient::prepare(value).ok_or(Damaged)?),
            Kind::Database => Self::Database(DatabaseLogin::prepare(value)?),
            Kind::ClientKeys => Self::ClientKeys(ClientKeys::prepare(value).ok_or(Damaged)?),
            Kind::StorageAccount => Self::Storage(StorageAccount::prepare(value).ok_or(Damaged)?),
            Kind::ServiceBus => Self::Bus(ServiceBus::prepare(value).ok_or(Damaged)?),
            Kind::AwsKey => Self::Aws(AwsKey::prepare(value).ok_or(Damaged)?),
            Kind::ConnectionString => {
                Self::Connection(OtherConnection::prepare(value).ok_or(Damaged)?)
            }
            Kind::Certificate => Self::Certificate(CertificateKey::prepare(value).ok_or(Damaged)?),
        })
    }
}

impl Version {
    fn prepare(kind: Kind, stored: &StoredVersion<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            number: stored.number,
            validity: stored.validity()?,
            material: Material::prepare(kind, stored.value)?,
        })
    }

    /// A key that its source keeps. Its versions there are for the source to know; those
    /// that are stored here are of its certificate.
    fn remote(
        stored: &StoredSecret<'_>,
        certificate: Option<&StoredVersion<'_>>,
        reference: &Reference,
    ) -> Result<Self, Damaged> {
        let kind = stored.kind;
        if !kind.may_stay_elsewhere() {
            return Err(Damaged);
        }
        let read = |version: &StoredVersion<'_>| {
            let read = RemoteCertificate::prepare(version.value);
            read.map(Arc::new).ok_or(Damaged)
        };
        let chain = certificate.map(read).transpose()?;
        Ok(Self {
            number: certificate.map_or(stored.last, |version| version.number),
            validity: match certificate {
                Some(version) => version.validity()?,
                None => Validity::default(),
            },
            material: Material::Remote(RemoteKey::new(reference.clone(), kind, chain)),
        })
    }

    /// What backends are sent of it, if it is a version of such a secret: whatever may
    /// come back, the longest first.
    pub(crate) fn sent_values(&self) -> impl Iterator<Item = &Secret> {
        let values: [Option<&Secret>; 3] = match &self.material {
            Material::ApiKey(key) => [Some(&key.value), None, None],
            Material::OauthClient(client) => [Some(&client.secret), None, None],
            Material::Basic(basic) => [
                Some(&basic.encoded),
                Some(&basic.pair),
                Some(&basic.password),
            ],
            Material::Aws(key) => match key.sent() {
                Some([token, escaped]) => [Some(escaped), Some(token), None],
                None => [None; 3],
            },
            _ => [None; 3],
        };
        values.into_iter().flatten()
    }

    /// Those of its parts that are long enough to be searched for in answers.
    pub(crate) fn searched_values(&self) -> impl Iterator<Item = &Secret> {
        let has_parts = matches!(self.material, Material::Basic(_));
        self.sent_values()
            .filter(move |value| !has_parts || value.length() >= MIN_SEARCHED_BYTES)
    }

    /// Whether anything of it is.
    pub(crate) fn is_searched(&self) -> bool {
        self.sent_values()
            .any(|value| value.length() >= MIN_SEARCHED_BYTES)
    }

    /// Whether what goes into a slot can be searched for in answers. A user's name is
    /// no secret.
    pub(crate) fn is_searchable(&self, slot: Slot) -> bool {
        let long = |value: &Secret| value.length() >= MIN_SEARCHED_BYTES;
        match (&self.material, slot) {
            (Material::ApiKey(key), Slot::Secret) => long(&key.value),
            (Material::Basic(basic), Slot::Secret) => long(&basic.encoded),
            (Material::Basic(basic), Slot::Password) => long(&basic.password),
            _ => true,
        }
    }

    /// Whether a part of it is too short to be searched for.
    fn is_short(&self) -> bool {
        self.sent_values()
            .any(|value| value.length() < MIN_SEARCHED_BYTES)
    }

    /// What sort of key it is, of a certificate.
    fn key(&self) -> Option<KeyAlgorithm> {
        match &self.material {
            Material::Certificate(certificate) => Some(certificate.algorithm()),
            Material::Remote(key) => {
                let certificate = key.certificate.as_ref();
                certificate.map(|certificate| certificate.algorithm())
            }
            _ => None,
        }
    }

    /// Whether it may be used now.
    pub(crate) fn is_valid(&self, clock: &Clock) -> bool {
        // Most versions have no bounds, and asking for the time takes longer than
        // all else here.
        !self.validity.is_bounded() || self.validity.contains(clock.now())
    }
}

impl StoredVersion<'_> {
    fn validity(&self) -> Result<Validity, Damaged> {
        Ok(Validity {
            not_before: self.not_before.map(timestamp).transpose()?,
            not_after: self.not_after.map(timestamp).transpose()?,
        })
    }
}

impl LiveSecret {
    /// Prepares the versions in use; the others stay sealed. Versions that are held
    /// in memory only are taken over from `before`.
    pub(crate) fn prepare(
        id: Uuid,
        stored: &StoredSecret<'_>,
        before: Option<&Self>,
    ) -> Result<Self, Damaged> {
        let in_use = match stored.current {
            Some(current) => Some(stored.version(current).ok_or(Damaged)?),
            None => None,
        };
        let origin = stored.origin.as_ref();
        let mut secret = Self {
            info: SecretInfo {
                is_short: false,
                key: None,
                name: stored.name.clone(),
                kind: stored.kind,
                id,
                state: stored.state,
                version: stored.current.unwrap_or(0),
                versions: stored.version_infos()?,
                origin: origin.map(StoredOrigin::origin),
                source_version: origin.and_then(|origin| origin.source_version.clone()),
                unavailable: origin.and_then(|origin| origin.unavailable),
                created: timestamp(stored.created)?,
                updated: timestamp(in_use.map_or(stored.created, |version| version.created))?,
                rotation: stored.rotation.info()?,
            },
            current: stored.prepared(stored.current)?,
            previous: stored.prepared(stored.previous)?,
            previous_until: stored.rotation.previous_until.map(timestamp).transpose()?,
            lately: match stored.kind {
                Kind::ApiKey | Kind::Basic | Kind::OauthClient | Kind::AwsKey => stored
                    .replaced_since(Timestamp::now().as_second() - DAY_SECONDS)
                    .map(|version| Version::prepare(stored.kind, version).map(Arc::new))
                    .collect::<Result<_, _>>()?,
                _ => Vec::new(),
            },
            confirmed: origin.and_then(|origin| origin.confirmed),
            received: match origin.map_or(&[][..], |origin| origin.received) {
                [] => None,
                bytes => Some(Arc::new(Fingerprint::stored(bytes)?)),
            },
        };
        match origin {
            Some(origin) if origin.cache == Cache::Remote => {
                let version = Version::remote(stored, in_use, &origin.reference)?;
                secret.info.version = version.number;
                secret.current = Some(Arc::new(version));
            }
            Some(origin) if stored.current.is_none() => {
                if let Some(before) = before {
                    secret.take_over(before, origin);
                }
            }
            _ => {}
        }
        if secret.current.is_none() {
            let why = &mut secret.info.unavailable;
            *why = why.or(Some(Unavailability::NotFetched));
        }
        let current = secret.current.as_ref();
        secret.info.is_short = current.is_some_and(|version| version.is_short());
        secret.info.key = current.and_then(|version| version.key());
        Ok(secret)
    }

    /// Takes the versions of what was in force before this.
    fn take_over(&mut self, before: &Self, origin: &StoredOrigin<'_>) {
        if before.is_remote() {
            return;
        }
        self.current.clone_from(&before.current);
        self.previous.clone_from(&before.previous);
        self.previous_until = before.previous_until;
        self.lately.clone_from(&before.lately);
        self.info.version = before.info.version;
        self.info.updated = before.info.updated;
        let held = |version: &&VersionInfo| self.holds(version.number);
        let versions = before.info.versions.iter().filter(held).copied();
        self.info.versions = versions.collect();
        // What another source gave says nothing about what this one will.
        if before.info.origin.as_ref() == Some(&origin.origin()) {
            self.received.clone_from(&before.received);
            let source_version = &before.info.source_version;
            self.info.source_version.clone_from(source_version);
        }
    }

    /// Puts a version in use that is held in memory only. `now` is the time by the
    /// vault's clock.
    pub(crate) fn hold(
        &mut self,
        number: u64,
        bounds: &Bounds,
        value: &[u8],
        now: u64,
    ) -> Result<(), Damaged> {
        let kind = self.info.kind;
        let version = Arc::new(Version {
            number,
            validity: bounds.validity()?,
            material: Material::prepare(kind, value)?,
        });
        let created = timestamp(seconds_now())?;
        let before = self.current.replace(Arc::clone(&version));
        match kind {
            Kind::ApiKey | Kind::Basic | Kind::OauthClient => self.lately.extend(before),
            _ if kind.keeps_previous() => self.previous = before,
            _ => {}
        }
        self.retire_from(timestamp(now)?);
        self.info.unavailable = None;
        let surplus = self.lately.len().saturating_sub(kind.max_old_versions());
        self.lately.drain(..surplus);
        self.info.version = number;
        self.info.updated = created;
        self.info.versions.push(VersionInfo {
            number,
            created,
            validity: version.validity,
            state: VersionState::Current,
            accepted_until: None,
        });
        self.name_states();
        self.info.is_short = version.is_short();
        self.info.key = version.key();
        Ok(())
    }

    /// Lets the version before, if it is held in memory only, be accepted from `now`
    /// on for as long as the secret's rotation says; one whose time is over stays so.
    pub(crate) fn retire_held(&mut self, now: Timestamp) {
        let is_over = self.previous_until.is_some_and(|until| until <= now);
        if self.is_held_in_memory() && !is_over {
            self.retire_from(now);
            self.name_states();
        }
    }

    fn retire_from(&mut self, now: Timestamp) {
        let after = self.info.rotation.retire_previous_after;
        let until = after.and_then(|after| now.checked_add(after).ok());
        self.previous_until = until.filter(|_| self.previous.is_some());
    }

    /// Drops a version that is held in memory only and not in use. Whether there
    /// was one.
    pub(crate) fn drop_held(&mut self, number: u64) -> bool {
        let count = self.info.versions.len();
        self.previous.take_if(|version| version.number == number);
        self.lately.retain(|version| version.number != number);
        self.name_states();
        self.info.versions.len() != count
    }

    /// Says when the version in use may be used, whose value this is, if that is held
    /// in memory only.
    pub(crate) fn set_validity(&mut self, bounds: &Bounds, value: &[u8]) -> Result<(), Damaged> {
        let (number, validity) = (self.info.version, bounds.validity()?);
        let versions = self.info.versions.iter_mut();
        for version in versions.filter(|version| version.number == number) {
            version.validity = validity;
        }
        self.current = Some(Arc::new(Version {
            number,
            validity,
            material: Material::prepare(self.info.kind, value)?,
        }));
        Ok(())
    }

    /// Lists the versions that are held, each with what it is used for.
    fn name_states(&mut self) {
        let mut versions = std::mem::take(&mut self.info.versions);
        versions.retain(|version| self.holds(version.number));
        for version in &mut versions {
            let is = |other: &Option<Arc<Version>>| {
                other
                    .as_ref()
                    .is_some_and(|other| other.number == version.number)
            };
            version.state = match (is(&self.current), is(&self.previous)) {
                (true, _) => VersionState::Current,
                (false, true) => VersionState::Previous,
                (false, false) => VersionState::Kept,
            };
            version.accepted_until = match version.state {
                VersionState::Previous => self.previous_until,
                _ => None,
            };
        }
        self.info.versions = versions;
    }

    fn holds(&self, number: u64) -> bool {
        let held = self
            .current
            .iter()
            .chain(&self.previous)
            .chain(&self.lately);
        held.map(|version| version.number)
            .any(|held| held == number)
    }

    /// Whether its key stays in its source.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.material(), Some(Material::Remote(_)))
    }

    /// Whether its key stays in its source and no certificate of it is here.
    pub(crate) fn lacks_certificate(&self) -> bool {
        matches!(self.material(), Some(Material::Remote(key)) if key.certificate.is_none())
    }

    /// Whether its versions are in memory only.
    pub(crate) fn is_held_in_memory(&self) -> bool {
        let origin = self.info.origin.as_ref();
        origin.is_some_and(|origin| origin.cache == Cache::Memory)
    }

    /// The same, to be changed: the versions are shared.
    pub(crate) fn copy(&self) -> Self {
        Self {
            info: self.info.clone(),
            current: self.current.clone(),
            previous: self.previous.clone(),
            previous_until: self.previous_until,
            lately: self.lately.clone(),
            received: self.received.clone(),
            confirmed: self.confirmed,
        }
    }

    /// What the version in use is used as.
    pub(crate) fn material(&self) -> Option<&Material> {
        self.current.as_ref().map(|version| &version.material)
    }

    /// The version in use, and those that were within the 24 hours before this was
    /// prepared.
    pub(crate) fn versions_in_use_since_a_day(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.current.iter().chain(&self.lately)
    }
}

impl<'a> StoredSecret<'a> {
    fn prepared(&self, number: Option<u64>) -> Result<Option<Arc<Version>>, Damaged> {
        let Some(number) = number.filter(|_| !self.has_key_elsewhere()) else {
            return Ok(None);
        };
        let version = self.version(number).ok_or(Damaged)?;
        Ok(Some(Arc::new(Version::prepare(self.kind, version)?)))
    }

    fn version_infos(&self) -> Result<Vec<VersionInfo>, Damaged> {
        let until = self.rotation.previous_until.map(timestamp).transpose()?;
        let infos = self.versions.iter().map(|version| {
            Ok(VersionInfo {
                number: version.number,
                created: timestamp(version.created)?,
                validity: version.validity()?,
                state: match Some(version.number) {
                    number if number == self.current => VersionState::Current,
                    number if number == self.previous => VersionState::Previous,
                    _ => VersionState::Kept,
                },
                accepted_until: until.filter(|_| self.previous == Some(version.number)),
            })
        });
        infos.collect()
    }

    /// The versions that are not in use and that another one followed on at this
    /// time, in seconds since 1970, or later.
    fn replaced_since(&self, time: i64) -> impl Iterator<Item = &StoredVersion<'a>> {
        let since = u64::try_from(time).unwrap_or(0);
        let next = |number| {
            let later = self.versions.iter().filter(move |one| one.number > number);
            later.map(|one| one.created).min()
        };
        self.versions.iter().filter(move |version| {
            Some(version.number) != self.current
                && (version.created >= since
                    || next(version.number).is_none_or(|next| next >= since))
        })
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

#[cfg(any(test, feature = "bench"))]
impl LiveSecret {
    /// A secret that stands in no vault.
    pub(crate) fn of_value(index: usize, value: &[u8]) -> (Arc<Self>, Arc<Version>) {
        let version = Arc::new(Version {
            number: 1,
            validity: Validity::default(),
            material: Material::ApiKey(ApiKey {
                value: Secret::copy_of(value),
            }),
        });
        let name = SecretName::parse(&format!("value-{index}")).expect("a name");
        let secret = Self {
            info: SecretInfo {
                name,
                kind: Kind::ApiKey,
                id: Uuid::from_u128(index as u128),
                state: SecretState::Enabled,
                version: 1,
                versions: Vec::new(),
                origin: None,
                source_version: None,
                unavailable: None,
                is_short: false,
                key: None,
                created: Timestamp::UNIX_EPOCH,
                updated: Timestamp::UNIX_EPOCH,
                rotation: Rotation::default(),
            },
            current: Some(Arc::clone(&version)),
            previous: None,
            previous_until: None,
            lately: Vec::new(),
            received: None,
            confirmed: None,
        };
        (Arc::new(secret), version)
    }
}
