//! The clients in a set of client keys: added, rotated, disabled, removed, one at a
//! time.
//!
//! Each act makes a new version of the set, so that it can be rolled back; the
//! keys' texts are gone as soon as they are hashed.

use keyward_names::{SecretName, Subject};

use crate::audit::Act;
use crate::client_keys::{MAX_KEYS_PER_SUBJECT, StoredClient, StoredClients, StoredKey, check_key};
use crate::error::VaultError;
use crate::format::Damaged;
use crate::identity::{Actor, ClientInfo};
use crate::kind::Kind;
use crate::lifecycle::Bounds;
use crate::live::timestamp;
use crate::origin::stored_in;
use crate::rotation::seconds_by;
use crate::secret::{ImportError, Secret};
use crate::vault::{Vault, seconds_now};

/// The longest stored set, in bytes: some 10,000 clients.
const MAX_SET_BYTES: usize = 1 << 20;

impl Vault {
    /// The clients of a set of client keys, by name.
    ///
    /// Errors: no such secret, it is of another kind, or no version of it is sealed in
    /// the vault file.
    pub fn clients(&self, name: &SecretName) -> Result<Vec<ClientInfo>, VaultError> {
        self.are_client_keys(name)?;
        // From the file, as no request needs them.
        let writer = self.lock()?;
        let live = self.live();
        let secret = live.parts.secrets.get(name);
        let secret = secret.ok_or_else(|| VaultError::NoSuchSecret(name.clone()))?;
        let plaintext = writer.open(secret.info.id)?;
        let stored = stored_in(&plaintext)?;
        let current = stored.current.and_then(|current| stored.version(current));
        let Some(current) = current else {
            return Err(VaultError::NothingSealed(name.clone()));
        };
        let set = StoredClients::decode(current.value).ok_or(Damaged)?;
        let infos = set.clients.iter().map(StoredClient::info);
        Ok(infos.collect::<Result<_, _>>()?)
    }

    /// Adds a client with one key: 16 to 1024 visible ASCII characters.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret, it
    /// is of another kind, the client is there, the key is malformed or a client
    /// has it, or a file can't be written.
    pub fn add_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        key: Secret,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        let added = self.edit_clients(Act::ClientAdded, name, subject, actor, |set| {
            let Err(at) = set.position(subject) else {
                return Err(VaultError::ClientExists {
                    name: name.clone(),
                    subject: subject.clone(),
                });
            };
            let client = StoredClient {
                subject: subject.clone(),
                disabled: false,
                keys: vec![new_key(set, name, &key)?],
            };
            set.clients.insert(at, client);
            Ok(())
        })?;
        found(added, name, subject)
    }

    /// Gives a client another key beside the one that it has; if it has two, the
    /// older goes.
    ///
    /// Blocks and fails as [`add_client`](Self::add_client) does; also if there is
    /// no such client.
    pub fn rotate_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        key: Secret,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        let rotated = self.edit_clients(Act::ClientRotated, name, subject, actor, |set| {
            let key = new_key(set, name, &key)?;
            let client = client(set, name, subject)?;
            if client.keys.len() >= MAX_KEYS_PER_SUBJECT {
                client.keys.remove(0);
            }
            client.keys.push(key);
            Ok(())
        })?;
        found(rotated, name, subject)
    }

    /// Takes the older of a client's two keys from it.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// client, the client has one key only, or a file can't be written.
    pub fn retire_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        let retired = self.edit_clients(Act::ClientRetired, name, subject, actor, |set| {
            let client = client(set, name, subject)?;
            if client.keys.len() < MAX_KEYS_PER_SUBJECT {
                return Err(VaultError::OneKey {
                    name: name.clone(),
                    subject: subject.clone(),
                });
            }
            client.keys.remove(0);
            Ok(())
        })?;
        found(retired, name, subject)
    }

    /// Refuses a client's keys, at once.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// client, or a file can't be written.
    pub fn disable_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        self.set_disabled(true, Act::ClientDisabled, name, subject, actor)
    }

    /// Accepts a disabled client's keys again.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// client, or a file can't be written.
    pub fn enable_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        self.set_disabled(false, Act::ClientEnabled, name, subject, actor)
    }

    /// Takes a client out of the set. The versions before, which have it, are kept
    /// sealed until they are retired.
    ///
    /// Blocks until it is on disk and in the audit trail. Errors: no such secret or
    /// client, or a file can't be written.
    pub fn remove_client(
        &self,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
    ) -> Result<(), VaultError> {
        self.edit_clients(Act::ClientRemoved, name, subject, actor, |set| {
            client(set, name, subject)?;
            set.clients.retain(|client| client.subject != *subject);
            Ok(())
        })?;
        Ok(())
    }

    fn set_disabled(
        &self,
        disabled: bool,
        act: Act,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
    ) -> Result<ClientInfo, VaultError> {
        let changed = self.edit_clients(act, name, subject, actor, |set| {
            client(set, name, subject)?.disabled = disabled;
            Ok(())
        })?;
        found(changed, name, subject)
    }

    fn are_client_keys(&self, name: &SecretName) -> Result<(), VaultError> {
        match self.kind_of(name)? {
            Kind::ClientKeys => Ok(()),
            _ => Err(VaultError::NotClientKeys(name.clone())),
        }
    }

    /// Makes a new version of a set. Returns what is known of the client then.
    fn edit_clients(
        &self,
        act: Act,
        name: &SecretName,
        subject: &Subject,
        actor: &Actor,
        make: impl FnOnce(&mut StoredClients<'_>) -> Result<(), VaultError>,
    ) -> Result<Option<ClientInfo>, VaultError> {
        self.are_client_keys(name)?;
        self.change(|draft| {
            let id = draft.secret(name)?.info.id;
            let plaintext = draft.open(id)?;
            let mut stored = stored_in(&plaintext)?;
            stored.is_own()?;
            let current = stored.current.and_then(|current| stored.version(current));
            let current = current.ok_or(Damaged)?;
            let mut set = StoredClients::decode(current.value).ok_or(Damaged)?;
            make(&mut set)?;
            let at = set.position(subject).ok();
            let client = at.and_then(|at| set.clients.get(at));
            let info = client.map(StoredClient::info).transpose()?;
            let value = set.encode();
            if value.len() > MAX_SET_BYTES {
                return Err(ImportError::TooLong { max: MAX_SET_BYTES }.into());
            }
            let bounds = Bounds::of(current);
            let version = stored.push(&bounds, &value, seconds_by(&draft.parts.clock));
            draft.put_secret(id, stored)?;
            let act = actor.did(act).secret(id, name, version).client(subject);
            Ok((act, info))
        })
    }
}

/// The client in a set.
fn client<'a>(
    set: &'a mut StoredClients<'_>,
    name: &SecretName,
    subject: &Subject,
) -> Result<&'a mut StoredClient, VaultError> {
    let at = set.position(subject).ok();
    at.and_then(|at| set.clients.get_mut(at))
        .ok_or_else(|| no_such(name, subject))
}

fn new_key(
    set: &StoredClients<'_>,
    name: &SecretName,
    key: &Secret,
) -> Result<StoredKey, VaultError> {
    let key = key.expose();
    check_key(&key[..]).map_err(ImportError::ClientKey)?;
    set.new_key(&key[..], seconds_now())
        .ok_or_else(|| VaultError::KeyTaken(name.clone()))
}

fn no_such(name: &SecretName, subject: &Subject) -> VaultError {
    VaultError::NoSuchClient {
        name: name.clone(),
        subject: subject.clone(),
    }
}

fn found(
    info: Option<ClientInfo>,
    name: &SecretName,
    subject: &Subject,
) -> Result<ClientInfo, VaultError> {
    info.ok_or_else(|| no_such(name, subject))
}

impl StoredClient {
    fn info(&self) -> Result<ClientInfo, Damaged> {
        let keys = self.keys.iter().map(|key| timestamp(key.added));
        Ok(ClientInfo {
            subject: self.subject.clone(),
            disabled: self.disabled,
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}
