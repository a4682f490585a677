//! Checkpoints: what the trail was at some moment, signed.
//!
//! A checkpoint (C2SP tlog-checkpoint) is a text of three lines, the trail's
//! origin, its size and its root, in a signed note (C2SP signed-note) with an
//! Ed25519 signature. Notes are read strictly: what the formats don't allow is
//! refused, and so is every extension line but two, `vault` and `reopened`.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER};
use zeroize::Zeroizing;

use super::record::VaultMark;
use super::tree::{Hash, sha256};
use crate::memory::burn_stack;
use crate::secret::Secret;

/// Why a checkpoint is not one of this trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not a signed note that holds a checkpoint.
    #[error("it is not a signed note with an origin, a size and a root")]
    Malformed,
    /// The note has no signature by the trail's key.
    #[error("it carries no signature by the trail's key")]
    UnknownKey,
    /// There is a signature that names the trail's key, and it is wrong.
    #[error("its signature is wrong")]
    BadSignature,
    /// The signed text names another origin than the key.
    #[error("it is of another trail: its origin is not the name of the key")]
    OtherOrigin,
}

/// A text that is not a note verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a verifier key: expected NAME+HASH+KEY with eight hexadecimal digits and an Ed25519 key in base64, as `keyward init` printed it"
)]
pub struct VerifierKeyError;

/// Ed25519's number among the algorithms of signed notes.
const ED25519_ALGORITHM: u8 = 1;
/// The start of a signature line.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// A note with more signatures than this is not read.
const MAX_SIGNATURES: usize = 64;
/// Checkpoints are some 300 bytes; with many witnesses, some thousands.
pub(crate) const MAX_CHECKPOINT_BYTES: usize = 64 << 10;

/// Whether a text can be an origin and the name of a key: 1 to 255 printable
/// ASCII characters, neither space nor `+`.
pub(crate) fn is_origin(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
}

fn key_hash(name: &str, public_key: &[u8; 32]) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(&[b'\n', ED25519_ALGORITHM]);
    bytes.extend_from_slice(public_key);
    let [a, b, c, d, ..] = sha256(&bytes);
    [a, b, c, d]
}

/// The public key with which a trail's checkpoints are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifierKey {
    name: String,
    hash: [u8; 4],
    public_key: [u8; 32],
}

impl VerifierKey {
    fn new(name: &str, public_key: [u8; 32]) -> Self {
        Self {
            name: name.to_owned(),
            hash: key_hash(name, &public_key),
            public_key,
        }
    }

    /// Reads `name+hash+base64`.
    pub(crate) fn parse(text: &str) -> Result<Self, VerifierKeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError);
        };
        let bytes = BASE64
            .decode(key.as_bytes())
            .map_err(|_| VerifierKeyError)?;
        let Some((&ED25519_ALGORITHM, public_key)) = bytes.split_first() else {
            return Err(VerifierKeyError);
        };
        let public_key = public_key.try_into().map_err(|_| VerifierKeyError)?;
        let key = Self::new(name, public_key);
        if is_origin(name) && HEXLOWER.encode(&key.hash) == hash {
            Ok(key)
        } else {
            Err(VerifierKeyError)
        }
    }

    /// The key's name, which is the trail's origin.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The 32 bytes of the key.
    pub(crate) fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The text of a signed note, if this key signed it.
    pub(crate) fn open<'a>(&self, note: &'a [u8]) -> Result<&'a str, CheckpointError> {
        let (text, signatures) = split_note(note)?;
        let mut known = false;
        for (name, hash, signature) in &signatures {
            if *name == self.name && *hash == self.hash {
                known = true;
                UnparsedPublicKey::new(&ED25519, &self.public_key)
                    .verify(text.as_bytes(), signature)
                    .map_err(|_| CheckpointError::BadSignature)?;
            }
        }
        if known {
            Ok(text)
        } else {
            Err(CheckpointError::UnknownKey)
        }
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut bytes = vec![ED25519_ALGORITHM];
        bytes.extend_from_slice(&self.public_key);
        let (hash, key) = (HEXLOWER.encode(&self.hash), BASE64.encode(&bytes));
        write!(f, "{}+{hash}+{key}", self.name)
    }
}

type Signature<'a> = (&'a str, [u8; 4], Vec<u8>);

/// Splits a note into its text (with the last newline) and its signatures.
fn split_note(note: &[u8]) -> Result<(&str, Vec<Signature<'_>>), CheckpointError> {
    let malformed = CheckpointError::Malformed;
    if note.len() > MAX_CHECKPOINT_BYTES {
        return Err(malformed);
    }
    let note = std::str::from_utf8(note).map_err(|_| malformed)?;
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(malformed);
    }
    let at = note.rfind("\n\n").ok_or(malformed)?;
    let (text, rest) = note.split_at_checked(at + 1).ok_or(malformed)?;
    let lines = rest
        .strip_prefix('\n')
        .and_then(|rest| rest.strip_suffix('\n'))
        .ok_or(malformed)?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        let (name, signature) = line
            .strip_prefix(SIGNATURE_PREFIX)
            .and_then(|line| line.split_once(' '))
            .ok_or(malformed)?;
        let bytes = BASE64.decode(signature.as_bytes()).map_err(|_| malformed)?;
        let (hash, signature) = bytes.split_first_chunk::<4>().ok_or(malformed)?;
        let named = !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace());
        if !named || signature.is_empty() || signatures.len() == MAX_SIGNATURES {
            return Err(malformed);
        }
        signatures.push((name, *hash, signature.to_vec()));
    }
    Ok((text, signatures))
}

/// Signs the checkpoints of one trail. Its key is made for each, out of the seed,
/// which is shielded in between.
pub(crate) struct Signer {
    seed: Secret,
    verifier: VerifierKey,
}

impl Signer {
    /// The signer with this seed (RFC 8032's private key) and name. `None` if the
    /// name is not one.
    pub(crate) fn new(name: &str, seed: &Zeroizing<[u8; 32]>) -> Option<Self> {
        if !is_origin(name) {
            return None;
        }
        let seed = Secret::copy_of(seed.as_slice());
        let public_key = pair(&seed)?.public_key().as_ref().try_into().ok()?;
        burn_stack();
        Some(Self {
            seed,
            verifier: VerifierKey::new(name, public_key),
        })
    }

    /// The key that checks what this one signs.
    pub(crate) fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// A signed note with this text, which ends in a newline.
    pub(crate) fn sign(&self, text: &str) -> String {
        let mut bytes = self.verifier.hash.to_vec();
        let pair = pair(&self.seed).expect("a seed that made a pair makes it again");
        bytes.extend_from_slice(pair.sign(text.as_bytes()).as_ref());
        drop(pair);
        burn_stack();
        let (name, signature) = (&self.verifier.name, BASE64.encode(&bytes));
        format!("{text}\n{SIGNATURE_PREFIX}{name} {signature}\n")
    }
}

/// The pair that comes from a seed. It cleanses itself when dropped.
fn pair(seed: &Secret) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&seed.expose()).ok()
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// The vault file that the entries speak of, if one does.
    pub(crate) vault: Option<VaultMark>,
    /// Whether a trail that was closed at this size has been opened since. Says
    /// that entries after the closing one are to be expected.
    pub(crate) reopened: bool,
}

/// Begins the extension line that says which vault file there was: then its epoch,
/// and its MAC in base64.
const VAULT: &str = "vault ";

/// The extension line of a checkpoint that was signed when a closed trail was
/// opened.
const REOPENED: &str = "reopened";

impl Checkpoint {
    /// The signed note for this size and root.
    pub(crate) fn sign(&self, signer: &Signer) -> String {
        let (origin, root) = (signer.verifier.name(), BASE64.encode(&self.root));
        let mut text = format!("{origin}\n{}\n{root}\n", self.size);
        if let Some(VaultMark { epoch, mac }) = self.vault {
            text.push_str(&format!("{VAULT}{epoch} {}\n", BASE64.encode(&mac)));
        }
        if self.reopened {
            text.push_str(REOPENED);
            text.push('\n');
        }
        signer.sign(&text)
    }

    /// Reads a note that `key` must have signed.
    pub(crate) fn open(note: &[u8], key: &VerifierKey) -> Result<Self, CheckpointError> {
        let (origin, checkpoint) = Self::parse(key.open(note)?)?;
        if origin == key.name() {
            Ok(checkpoint)
        } else {
            Err(CheckpointError::OtherOrigin)
        }
    }

    /// Reads a note whoever signed it: what it says is not to be relied on.
    pub(crate) fn open_unverified(note: &[u8]) -> Result<Self, CheckpointError> {
        let (text, _) = split_note(note)?;
        Ok(Self::parse(text)?.1)
    }

    /// The origin, and what the checkpoint says.
    fn parse(text: &str) -> Result<(&str, Self), CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let mut lines = text.strip_suffix('\n').ok_or(malformed)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed);
        };
        let mut lines = lines.peekable();
        let vault = match lines.next_if(|line| line.starts_with(VAULT)) {
            None => None,
            Some(line) => {
                let said = line
                    .strip_prefix(VAULT)
                    .and_then(|said| said.split_once(' '));
                let (epoch, mac) = said.ok_or(malformed)?;
                Some(VaultMark {
                    epoch: number(epoch)?,
                    mac: hash(mac)?,
                })
            }
        };
        let reopened = match (lines.next(), lines.next()) {
            (None, None) => false,
            (Some(REOPENED), None) => true,
            _ => return Err(malformed),
        };
        let checkpoint = Self {
            size: number(size)?,
            root: hash(root)?,
            vault,
            reopened,
        };
        Ok((origin, checkpoint))
    }
}

/// A number in its one spelling, which "+7" and "007" are not.
fn number(text: &str) -> Result<u64, CheckpointError> {
    let number: Option<u64> = text.parse().ok();
    number
        .filter(|number| number.to_string() == text)
        .ok_or(CheckpointError::Malformed)
}

fn hash(text: &str) -> Result<Hash, CheckpointError> {
    let bytes = BASE64.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(CheckpointError::Malformed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    // The example of the format's first implementation, from its documentation.
    const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const SIGNER_KEY: &[u8] = b"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn known_signer() -> Signer {
        // The published key has the algorithm's byte before the seed.
        let bytes = BASE64.decode(SIGNER_KEY).unwrap();
        let seed = Zeroizing::new(<[u8; 32]>::try_from(&bytes[1..]).unwrap());
        Signer::new("PeterNeumann", &seed).unwrap()
    }

    fn signer() -> Signer {
        Signer::new("keyward.test/audit", &Zeroizing::new([7; 32])).unwrap()
    }

    #[test]
    fn the_known_note_is_signed_byte_for_byte() {
        let signer = known_signer();
        assert_eq!(signer.verifier().to_string(), KEY);
        assert_eq!(signer.sign(TEXT), NOTE);
    }

    #[test]
    fn the_known_note_opens_under_the_known_key() {
        let key = VerifierKey::parse(KEY).unwrap();
        assert_eq!(key.to_string(), KEY);
        assert_eq!(key.open(NOTE.as_bytes()).unwrap(), TEXT);
    }

    #[test]
    fn no_changed_byte_of_a_note_passes() {
        let key = VerifierKey::parse(KEY).unwrap();
        for at in 0..NOTE.len() {
            for flip in [1, 0x20, 0x80] {
                let mut note = NOTE.as_bytes().to_vec();
                note[at] ^= flip;
                assert!(key.open(&note).is_err(), "byte {at}");
            }
            assert!(key.open(&NOTE.as_bytes()[..at]).is_err(), "cut at {at}");
        }
        assert!(key.open(format!("{NOTE}\n").as_bytes()).is_err());
    }

    #[test]
    fn no_changed_verifier_key_is_read() {
        for at in 0..KEY.len() {
            let mut key = KEY.as_bytes().to_vec();
            key[at] = key[at].wrapping_add(1);
            let text = String::from_utf8(key).unwrap();
            assert_eq!(VerifierKey::parse(&text), Err(VerifierKeyError), "{text}");
            assert_eq!(VerifierKey::parse(&KEY[..at]), Err(VerifierKeyError));
        }
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let signer = signer();
        let mark = VaultMark {
            epoch: 7,
            mac: [5; 32],
        };
        for (vault, reopened) in [
            (None, false),
            (None, true),
            (Some(mark), false),
            (Some(mark), true),
        ] {
            let checkpoint = Checkpoint {
                size: 20_852_163,
                root: [9; 32],
                vault,
                reopened,
            };
            let note = checkpoint.sign(&signer);
            assert!(note.starts_with("keyward.test/audit\n20852163\nCQkJ"));
            assert_eq!(note.contains("=\nvault 7 BQUF"), vault.is_some());
            assert_eq!(note.contains("=\nreopened\n\n"), reopened);
            let read = Checkpoint::open(note.as_bytes(), signer.verifier());
            assert_eq!(read, Ok(checkpoint));
        }
    }

    #[test]
    fn signed_texts_that_are_not_checkpoints_are_refused() {
        let (signer, root) = (signer(), BASE64.encode(&[9; 32]));
        let read = |text: &str| Checkpoint::open(signer.sign(text).as_bytes(), signer.verifier());
        let origin = "keyward.test/audit";
        for text in [
            format!("{origin}\n07\n{root}\n"),
            format!("{origin}\n+7\n{root}\n"),
            format!("{origin}\n-7\n{root}\n"),
            format!("{origin}\n18446744073709551616\n{root}\n"),
            format!("{origin}\n7\n{}\n", BASE64.encode(&[9; 31])),
            format!("{origin}\n7\n{root}\nextension\n"),
            format!("{origin}\n7\n{root}\nreopened\nreopened\n"),
            format!("{origin}\n7\n{root}\nvault 1\n"),
            format!("{origin}\n7\n{root}\nvault 01 {root}\n"),
            format!("{origin}\n7\n{root}\nvault 1 {root} \n"),
            format!("{origin}\n7\n{root}\nvault 1 {root}\nvault 1 {root}\n"),
            format!("{origin}\n7\n{root}\nreopened\nvault 1 {root}\n"),
            format!("{origin}\n7\n{root}\n\n"),
            format!("{origin}\n7\n"),
        ] {
            assert_eq!(read(&text), Err(CheckpointError::Malformed), "{text}");
        }
        assert_eq!(
            read(&format!("other\n7\n{root}\n")),
            Err(CheckpointError::OtherOrigin)
        );
        let other = Signer::new(origin, &Zeroizing::new([8; 32])).unwrap();
        assert_eq!(
            other.verifier().open(signer.sign("x\n").as_bytes()),
            Err(CheckpointError::UnknownKey)
        );
    }

    #[test]
    fn a_note_may_carry_the_signatures_of_others() {
        let note = format!("{NOTE}\u{2014} witness.example AAAAAAAA\n");
        let key = VerifierKey::parse(KEY).unwrap();
        assert_eq!(key.open(note.as_bytes()).unwrap(), TEXT);
    }
}
