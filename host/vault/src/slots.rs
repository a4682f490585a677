//! The slots of a vault file: each holds the vault's root key, sealed with a key
//! that the operator has elsewhere.
//!
//! A slot's parameters are judged before anything is allocated or derived for
//! them: a file that somebody else made can't ask for more than the ceilings, nor
//! for a passphrase that is cheaper to guess than the floors allow.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use jiff::Timestamp;
use zeroize::{Zeroize, Zeroizing};

use crate::disk::Disk;
use crate::error::{ExposedFault, VaultError, io_error};
use crate::format::Damaged;
use crate::seal::{self, KEY_BYTES, Key, MasterKey, NONCE_BYTES, RootKey, WRAPPED_BYTES};
use crate::secret::Secret;
use crate::store;
use crate::values::Reference;

/// The most slots of one vault.
pub(crate) const MAX_SLOTS: usize = 16;
/// The most slots with a passphrase: each costs an opener its derivation.
pub(crate) const MAX_PASSPHRASE_SLOTS: usize = 4;
/// The length of a passphrase's salt, in bytes (RFC 9106, section 3.1).
pub(crate) const SALT_BYTES: usize = 16;
/// The least number of characters of a passphrase.
const MIN_PASSPHRASE_CHARACTERS: usize = 12;

/// What opens a vault.
///
/// No `Debug`, since it may hold a passphrase.
pub enum KeySource {
    /// A key file, as [`Vault::create`](crate::Vault::create) makes one: mode 600.
    KeyFile(PathBuf),
    /// A file with a key file's text that the service manager made, such as
    /// systemd's `$CREDENTIALS_DIRECTORY/NAME`.
    Credential(PathBuf),
    /// A passphrase.
    Passphrase(Secret),
    /// The key of a slot that a source has unwrapped: of what
    /// [`Vault::slots_at`](crate::Vault::slots_at) says of it.
    Remote {
        /// The slot.
        slot: u64,
        /// Its key.
        key: Zeroizing<[u8; SLOT_KEY_BYTES]>,
    },
}

/// The length of a key that a source wraps, in bytes.
pub const SLOT_KEY_BYTES: usize = KEY_BYTES;
/// The most bytes that a key may have once its source has wrapped it.
pub const MAX_WRAPPED_SLOT_KEY_BYTES: usize = 4096;

/// A further way to open a vault, to be made.
pub enum NewKey {
    /// A new key file. It is created, and never overwritten.
    KeyFile(PathBuf),
    /// A credential that is there already; see [`KeySource::Credential`].
    Credential(PathBuf),
    /// A passphrase of at least 12 characters.
    Passphrase {
        /// The passphrase.
        passphrase: Secret,
        /// What a guess of it costs.
        cost: PassphraseCost,
    },
    /// A key that a source has wrapped and can unwrap: random, made for this slot,
    /// and nowhere else but in what the source made of it.
    Remote {
        /// The key in the source that wraps it.
        wrapping: Reference,
        /// The key.
        key: Zeroizing<[u8; SLOT_KEY_BYTES]>,
        /// What the source made of it: 1 to [`MAX_WRAPPED_SLOT_KEY_BYTES`] bytes.
        wrapped: Vec<u8>,
    },
}

/// What one guess of a passphrase costs: the parameters of Argon2id (RFC 9106).
///
/// Bounds: memory 64 MiB (its second recommended option) to 4 GiB, passes 3 to
/// 16, lanes 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    /// 256 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self {
            memory_kib: 256 << 10,
            passes: 3,
            lanes: 4,
        }
    }
}

impl PassphraseCost {
    /// The least that is accepted: 64 MiB, 3 passes, 1 lane.
    pub const FLOOR: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 1,
    };
    /// The most that is accepted: 4 GiB, 16 passes, 16 lanes.
    pub const CEILING: Self = Self {
        memory_kib: 4 << 20,
        passes: 16,
        lanes: 16,
    };

    /// Whether it lies between the floor and the ceiling.
    pub(crate) fn is_acceptable(&self) -> bool {
        let (least, most) = (Self::FLOOR, Self::CEILING);
        (least.memory_kib..=most.memory_kib).contains(&self.memory_kib)
            && (least.passes..=most.passes).contains(&self.passes)
            && (least.lanes..=most.lanes).contains(&self.lanes)
    }
}

impl fmt::Display for PassphraseCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory_kib,
            passes,
            lanes,
        } = self;
        write!(
            f,
            "{} MiB, {passes} passes, {lanes} lanes",
            memory_kib >> 10
        )
    }
}

/// What is known of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its number in this vault; one that was removed doesn't come back.
    pub id: u64,
    /// What opens it.
    pub kind: SlotKind,
    /// When it was made.
    pub created: Timestamp,
}

/// What opens a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// A key file.
    KeyFile,
    /// A passphrase.
    Passphrase {
        /// What a guess of it costs.
        cost: PassphraseCost,
    },
    /// A credential of the service manager's.
    Credential,
    /// A source, which unwraps the slot's key.
    Remote {
        /// The key in the source that does.
        wrapping: Reference,
        /// What it unwraps.
        wrapped: Vec<u8>,
    },
}

impl SlotKind {
    /// The kind as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::KeyFile => "key-file",
            Self::Passphrase { .. } => "passphrase",
            Self::Credential => "credential",
            Self::Remote { .. } => "source",
        }
    }
}

/// How a slot's key is come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    KeyFile,
    Passphrase(PassphraseCost, [u8; SALT_BYTES]),
    Credential,
    /// The key in a source, and what that made of the slot's key.
    Remote(Reference, Vec<u8>),
}

impl Method {
    /// The number that stands for it in a vault file.
    pub(crate) const fn code(&self) -> u64 {
        match self {
            Self::KeyFile => 1,
            Self::Passphrase(..) => 2,
            Self::Credential => 3,
            Self::Remote(..) => 4,
        }
    }

    /// What a passphrase is derived with.
    pub(crate) const fn parameters(&self) -> Option<(PassphraseCost, &[u8; SALT_BYTES])> {
        match self {
            Self::Passphrase(cost, salt) => Some((*cost, salt)),
            Self::KeyFile | Self::Credential | Self::Remote(..) => None,
        }
    }
}

/// What a slot says of itself, in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotHead {
    pub(crate) id: u64,
    pub(crate) method: Method,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// The root key, sealed with a key that the operator has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) head: SlotHead,
    pub(crate) commitment: [u8; KEY_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) wrapped: [u8; WRAPPED_BYTES],
}

impl Slot {
    /// At least how many bytes of its encoding are of no fixed length.
    pub(crate) fn room(&self) -> usize {
        match &self.head.method {
            Method::Remote(wrapping, wrapped) => {
                80 + wrapping.source().as_str().len() + wrapping.key().len() + wrapped.len()
            }
            _ => 0,
        }
    }

    pub(crate) fn info(&self) -> Result<SlotInfo, Damaged> {
        let seconds = i64::try_from(self.head.created).map_err(|_| Damaged)?;
        Ok(SlotInfo {
            id: self.head.id,
            kind: match &self.head.method {
                Method::KeyFile => SlotKind::KeyFile,
                Method::Passphrase(cost, _) => SlotKind::Passphrase { cost: *cost },
                Method::Credential => SlotKind::Credential,
                Method::Remote(wrapping, wrapped) => SlotKind::Remote {
                    wrapping: wrapping.clone(),
                    wrapped: wrapped.clone(),
                },
            },
            created: Timestamp::from_second(seconds).map_err(|_| Damaged)?,
        })
    }
}

/// A source with its file read, so that it is read once for several slots.
enum Loaded<'a> {
    KeyFile(MasterKey),
    Credential(MasterKey),
    Passphrase(&'a Secret),
    /// Of the slot with that id.
    Remote(u64, MasterKey),
}

/// What opens slots: all of a vault's that are of its type are tried.
pub(crate) struct Opener<'a>(Loaded<'a>);

impl<'a> Opener<'a> {
    /// Reads the source's file, if it has one.
    pub(crate) fn load(disk: &dyn Disk, source: &'a KeySource) -> Result<Self, VaultError> {
        Ok(Self(match source {
            KeySource::KeyFile(path) => Loaded::KeyFile(store::read_key(disk, path)?),
            KeySource::Credential(path) => Loaded::Credential(read_credential(path)?),
            KeySource::Passphrase(passphrase) => Loaded::Passphrase(passphrase),
            KeySource::Remote { slot, key } => Loaded::Remote(*slot, master(key)?),
        }))
    }

    /// Whether the source can be that of a slot at all.
    fn suits(&self, slot: &Slot) -> bool {
        match (&self.0, &slot.head.method) {
            (Loaded::KeyFile(_), Method::KeyFile)
            | (Loaded::Credential(_), Method::Credential)
            | (Loaded::Passphrase(_), Method::Passphrase(..)) => true,
            (Loaded::Remote(id, _), Method::Remote(..)) => *id == slot.head.id,
            _ => false,
        }
    }

    /// The slot's master key and the root key in it; `None` if the source is not
    /// this slot's.
    pub(crate) fn open(
        &self,
        vault: &[u8; 16],
        slot: &Slot,
    ) -> Result<Option<(MasterKey, RootKey)>, VaultError> {
        if !self.suits(slot) {
            return Ok(None);
        }
        let derived;
        let master = match (&self.0, &slot.head.method) {
            (Loaded::Passphrase(passphrase), Method::Passphrase(cost, salt)) => {
                derived = derive(passphrase, *cost, salt)?;
                &derived
            }
            (Loaded::KeyFile(key) | Loaded::Credential(key) | Loaded::Remote(_, key), _) => key,
            _ => return Ok(None),
        };
        if !master.fits(vault, slot) {
            return Ok(None);
        }
        let root = master.unwrap(vault, slot)?;
        Ok(Some((master.copy(), root)))
    }

    /// The root key, from the first slot that the source opens.
    pub(crate) fn root(&self, vault: &[u8; 16], slots: &[Slot]) -> Result<RootKey, VaultError> {
        for slot in slots {
            if let Some((_, root)) = self.open(vault, slot)? {
                return Ok(root);
            }
        }
        Err(VaultError::Unreadable)
    }
}

/// A new slot's key and how it is come by. A new key file is on the disk when
/// this returns.
pub(crate) fn prepare(disk: &dyn Disk, new: &NewKey) -> Result<(MasterKey, Method), VaultError> {
    match new {
        NewKey::KeyFile(path) => {
            let master = MasterKey(Key::random());
            store::create_key(disk, path, &master)?;
            Ok((master, Method::KeyFile))
        }
        NewKey::Credential(path) => Ok((read_credential(path)?, Method::Credential)),
        NewKey::Passphrase { passphrase, cost } => {
            if !cost.is_acceptable() {
                return Err(VaultError::PassphraseCost);
            }
            let characters = count_characters(&passphrase.expose()[..]);
            if characters < MIN_PASSPHRASE_CHARACTERS {
                return Err(VaultError::WeakPassphrase {
                    min: MIN_PASSPHRASE_CHARACTERS,
                });
            }
            let salt = seal::random();
            let master = derive(passphrase, *cost, &salt)?;
            Ok((master, Method::Passphrase(*cost, salt)))
        }
        NewKey::Remote {
            wrapping,
            key,
            wrapped,
        } => {
            if !is_wrapped_key(wrapped) {
                return Err(VaultError::WrappedKey {
                    max: MAX_WRAPPED_SLOT_KEY_BYTES,
                });
            }
            let method = Method::Remote(wrapping.clone(), wrapped.clone());
            Ok((master(key)?, method))
        }
    }
}

/// Whether a source can have made this of a slot's key.
pub(crate) fn is_wrapped_key(wrapped: &[u8]) -> bool {
    (1..=MAX_WRAPPED_SLOT_KEY_BYTES).contains(&wrapped.len())
}

fn master(key: &[u8; SLOT_KEY_BYTES]) -> Result<MasterKey, Damaged> {
    Key::copy_of(key).map(MasterKey)
}

/// UTF-8's characters: bytes that don't continue one.
fn count_characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// Argon2id (RFC 9106, version 0x13) of a passphrase. Blocks for about a second
/// at the default cost.
fn derive(
    passphrase: &Secret,
    cost: PassphraseCost,
    salt: &[u8; SALT_BYTES],
) -> Result<MasterKey, VaultError> {
    if !cost.is_acceptable() {
        return Err(VaultError::PassphraseCost);
    }
    let PassphraseCost {
        memory_kib,
        passes,
        lanes,
    } = cost;
    let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES))
        .map_err(|_| VaultError::PassphraseCost)?;
    let memory_missing = |_| VaultError::PassphraseMemory { memory_kib };
    // The memory is ours, so that too little of it is an error and what stood in
    // it is wiped.
    let count = params.block_count();
    let mut blocks: Vec<Block> = Vec::new();
    blocks.try_reserve_exact(count).map_err(memory_missing)?;
    blocks.resize(count, Block::new());
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let key = Key::filled_by(|key| {
        argon.hash_password_into_with_memory(&passphrase.expose()[..], salt, key, &mut blocks)
    });
    for block in &mut blocks {
        block.zeroize();
    }
    key.map(MasterKey).map_err(|_| VaultError::PassphraseCost)
}

/// Reads a credential: a key file's text in a file of the service manager's, which
/// may let a group read it through an access list, but nobody else. It is nothing
/// that Keyward keeps, so it is read from the file system wherever the vault is,
/// and may be behind a symbolic link.
fn read_credential(path: &Path) -> Result<MasterKey, VaultError> {
    let exposed = |fault| VaultError::Exposed {
        path: path.to_owned(),
        fault,
    };
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => VaultError::MissingKey {
            path: path.to_owned(),
        },
        _ => io_error("open", path)(error),
    })?;
    let data = file.metadata().map_err(io_error("open", path))?;
    let user = rustix::process::geteuid().as_raw();
    let mode = data.mode() & 0o777;
    if !data.is_file() {
        return Err(exposed(ExposedFault::NotRegular));
    }
    if data.uid() != user && data.uid() != 0 {
        let owner = data.uid();
        return Err(exposed(ExposedFault::Owner { owner, user }));
    }
    if mode & 0o027 != 0 {
        return Err(exposed(ExposedFault::Mode { mode }));
    }
    let mut text = Zeroizing::new([0_u8; store::KEY_FILE_BYTES + 1]);
    let mut filled = 0;
    while let Some(free) = text.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read", path)(error)),
        }
    }
    store::parse_key(text.get(..filled).unwrap_or_default()).ok_or_else(|| {
        VaultError::NotAKeyFile {
            path: path.to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::disk::FileSystem;
    use argon2::{AssociatedData, ParamsBuilder};
    use data_encoding::HEXLOWER;

    #[test]
    fn passphrases_are_hashed_by_argon2id() {
        // RFC 9106, section 5.3; its secret and associated data are not ours, so it
        // runs against the primitive that `derive` calls.
        let params = ParamsBuilder::new()
            .m_cost(32)
            .t_cost(3)
            .p_cost(4)
            .data(AssociatedData::new(&[4; 12]).unwrap())
            .build()
            .unwrap();
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let argon = Argon2::new_with_secret(&[3; 8], algorithm, version, params).unwrap();
        let mut tag = [0; 32];
        argon
            .hash_password_into(&[1; 32], &[2; 16], &mut tag)
            .unwrap();
        assert_eq!(
            HEXLOWER.encode(&tag),
            "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"
        );
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        for (text, count) in [("", 0), ("abc", 3), ("\u{e9}t\u{e9}", 3), ("\u{1f511}", 1)] {
            assert_eq!(count_characters(text.as_bytes()), count, "{text}");
        }
    }

    #[test]
    fn a_slot_opens_with_its_key_its_number_and_its_vault_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let (master, method) = prepare(&FileSystem, &NewKey::KeyFile(path.clone())).unwrap();
        let vault = [1; 16];
        let root = RootKey::new(Key::random(), vault);
        let head = SlotHead {
            id: 1,
            method,
            created: 7,
        };
        let slot = master.wrap(&vault, head.clone(), &root);
        let source = KeySource::KeyFile(path);
        let opener = Opener::load(&FileSystem, &source).unwrap();
        let (_, opened) = opener.open(&vault, &slot).unwrap().unwrap();
        assert_eq!(opened.file_mac(b"x"), root.file_mac(b"x"));
        assert!(opener.open(&[2; 16], &slot).unwrap().is_none());
        let other = MasterKey(Key::random()).wrap(&vault, head, &root);
        assert!(opener.open(&vault, &other).unwrap().is_none());
        let mut moved = slot.clone();
        moved.head.id = 2;
        assert!(opener.open(&vault, &moved).unwrap().is_none());
        // Its own key, but a time that was changed.
        let mut changed = slot.clone();
        changed.head.created = 8;
        assert!(opener.open(&vault, &changed).is_err());
        let mut other_kind = slot;
        other_kind.head.method = Method::Credential;
        assert!(opener.open(&vault, &other_kind).unwrap().is_none());
    }
}
