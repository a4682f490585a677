//! The keys of an API's consumers: from the text of an import to an answer to
//! "whose key is this?".
//!
//! The key texts are not kept. Each becomes a tag, HMAC-SHA-256 under a random key
//! that is drawn at import and sealed with the tags. A thief of the open vault
//! learns no client's key; and because a client can't know the tag of a guess, the
//! time that a look-up takes tells nothing about how near a guess was.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::hmac;
use keyward_names::Subject;
use minicbor::Decoder;

use crate::memory::burn_stack;
use crate::plaintext::Plaintext;
use crate::secret::{ClientKeyFault, ImportError, Secret};

/// The least length of a client's key: 16 random characters of base64 hold 96 bits.
const MIN_KEY_CHARACTERS: usize = 16;
/// The greatest length of a client's key.
const MAX_KEY_CHARACTERS: usize = 1024;
/// Two, so that a client can move from one to the other.
pub(crate) const MAX_KEYS_PER_SUBJECT: usize = 2;

const TAG_BYTES: usize = 32;
type Tag = [u8; TAG_BYTES];

/// Whose key is which. Made from the stored form, once for each version.
pub(crate) struct ClientKeys {
    hash_key: Secret,
    /// Of the clients that are not disabled.
    subjects: HashMap<Tag, Subject>,
}

impl ClientKeys {
    /// Reads the stored form. `None` if it is not one, which the seal around it
    /// rules out.
    pub(crate) fn prepare(stored: &[u8]) -> Option<Self> {
        let stored = StoredClients::decode(stored)?;
        let enabled = stored.clients.iter().filter(|client| !client.disabled);
        let subjects = enabled.flat_map(|client| {
            let keys = client.keys.iter();
            keys.map(|key| (key.tag, client.subject.clone()))
        });
        Some(Self {
            subjects: subjects.collect(),
            hash_key: Secret::copy_of(stored.hash_key),
        })
    }

    /// The subject that has this key.
    pub(crate) fn subject(&self, presented: &[u8]) -> Option<&Subject> {
        if presented.len() > MAX_KEY_CHARACTERS {
            return None;
        }
        let hash_key = hmac_key(&self.hash_key.expose());
        self.subjects.get(&tag(&hash_key, presented))
    }
}

fn tag(hash_key: &hmac::Key, key: &[u8]) -> Tag {
    let code = hmac::sign(hash_key, key);
    burn_stack();
    Tag::try_from(code.as_ref()).expect("HMAC-SHA-256 makes 32 bytes")
}

/// The stored form: CBOR `[hash key, [[subject, disabled, [[added, tag], …]], …]]`,
/// ascending by subject.
pub(crate) struct StoredClients<'a> {
    hash_key: &'a [u8],
    pub(crate) clients: Vec<StoredClient>,
}

/// A client, without its keys' texts.
pub(crate) struct StoredClient {
    pub(crate) subject: Subject,
    pub(crate) disabled: bool,
    /// One or two, the older first.
    pub(crate) keys: Vec<StoredKey>,
}

/// A key of a client's.
pub(crate) struct StoredKey {
    /// When it was added, in seconds since 1970.
    pub(crate) added: u64,
    tag: Tag,
}

impl<'a> StoredClients<'a> {
    pub(crate) fn decode(stored: &'a [u8]) -> Option<Self> {
        let mut decoder = Decoder::new(stored);
        let array = |decoder: &mut Decoder<'_>, length| {
            (decoder.array().ok()? == Some(length)).then_some(())
        };
        array(&mut decoder, 2)?;
        let hash_key = decoder.bytes().ok()?;
        let mut clients = Vec::new();
        for _ in 0..decoder.array().ok()?? {
            array(&mut decoder, 3)?;
            let subject = Subject::parse(decoder.str().ok()?).ok()?;
            let disabled = match decoder.u8().ok()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            let mut keys = Vec::new();
            for _ in 0..decoder.array().ok()?? {
                array(&mut decoder, 2)?;
                let added = decoder.u64().ok()?;
                let tag = Tag::try_from(decoder.bytes().ok()?).ok()?;
                keys.push(StoredKey { added, tag });
            }
            clients.push(StoredClient {
                subject,
                disabled,
                keys,
            });
        }
        let stored = Self { hash_key, clients };
        stored
            .clients
            .is_sorted_by(|a, b| a.subject < b.subject)
            .then_some(stored)
    }

    fn hash_key(&self) -> hmac::Key {
        hmac_key(self.hash_key)
    }

    /// Where a client is, or would be.
    pub(crate) fn position(&self, subject: &Subject) -> Result<usize, usize> {
        self.clients
            .binary_search_by(|client| client.subject.cmp(subject))
    }

    /// A new key's entry. `None` if a client has that key already.
    pub(crate) fn new_key(&self, key: &[u8], added: u64) -> Option<StoredKey> {
        let tag = tag(&self.hash_key(), key);
        let mut keys = self.clients.iter().flat_map(|client| &client.keys);
        let taken = keys.any(|other| other.tag == tag);
        (!taken).then_some(StoredKey { added, tag })
    }

    /// The stored form's bytes.
    pub(crate) fn encode(&self) -> Plaintext {
        // A head of at most 9 bytes before each item.
        let names = self
            .clients
            .iter()
            .map(|client| client.subject.as_str().len());
        let keys = self.clients.iter().map(|client| client.keys.len());
        let (names, keys): (usize, usize) = (names.sum(), keys.sum());
        let each = 1 + 9 + 1 + 9;
        let capacity = 64
            + self.hash_key.len()
            + names
            + self.clients.len() * each
            + keys * (1 + 9 + 9 + TAG_BYTES);
        Plaintext::written(capacity, |encoder| {
            encoder.array(2)?.bytes(self.hash_key)?;
            encoder.array(self.clients.len() as u64)?;
            for client in &self.clients {
                encoder.array(3)?.str(client.subject.as_str())?;
                encoder.u8(u8::from(client.disabled))?;
                encoder.array(client.keys.len() as u64)?;
                for key in &client.keys {
                    encoder.array(2)?.u64(key.added)?.bytes(&key.tag)?;
                }
            }
            encoder.ok()
        })
    }
}

/// The stored form of lines of `subject = key`.
///
/// Blank lines and lines that begin with `#` are skipped; space around the subject
/// and the key is not part of them. Of a subject's two keys, the line before has
/// the older.
pub(crate) fn import(text: &Secret, now: u64) -> Result<Secret, ImportError> {
    let hash_key_bytes = Secret::generate(43);
    let hash_key = hash_key_bytes.expose();
    let mut stored = StoredClients {
        hash_key: &hash_key[..],
        clients: Vec::new(),
    };
    let hash_key = stored.hash_key();
    let mut tags = HashSet::new();
    let text = text.expose();
    for (index, line) in text[..].split(|byte| *byte == b'\n').enumerate() {
        let refuse = |fault| ImportError::ClientKeys {
            line: index + 1,
            fault,
        };
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (subject, key) = parse_line(line).map_err(refuse)?;
        let key = StoredKey {
            added: now,
            tag: tag(&hash_key, key),
        };
        if !tags.insert(key.tag) {
            return Err(refuse(ClientKeyFault::DuplicateKey));
        }
        match stored.position(&subject) {
            Ok(at) => {
                let keys = &mut stored.clients[at].keys;
                if keys.len() >= MAX_KEYS_PER_SUBJECT {
                    return Err(refuse(ClientKeyFault::TooManyKeys {
                        max: MAX_KEYS_PER_SUBJECT,
                    }));
                }
                keys.push(key);
            }
            Err(at) => stored.clients.insert(
                at,
                StoredClient {
                    subject,
                    disabled: false,
                    keys: vec![key],
                },
            ),
        }
    }
    if stored.clients.is_empty() {
        return Err(ImportError::Empty);
    }
    Ok(Secret::copy_of(&stored.encode()))
}

/// The key with which tags are made. It cleanses itself when dropped.
fn hmac_key(bytes: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, bytes)
}

fn parse_line(line: &[u8]) -> Result<(Subject, &[u8]), ClientKeyFault> {
    let equals = line.iter().position(|byte| *byte == b'=');
    let (subject, key) = equals
        .and_then(|at| line.split_at_checked(at))
        .ok_or(ClientKeyFault::Form)?;
    let subject = std::str::from_utf8(subject.trim_ascii()).map_err(|_| ClientKeyFault::Form)?;
    let subject = Subject::parse(subject).map_err(ClientKeyFault::Subject)?;
    let key = key.strip_prefix(b"=").unwrap_or(key).trim_ascii();
    check_key(key)?;
    Ok((subject, key))
}

/// Whether a text can be a client's key.
pub(crate) fn check_key(key: &[u8]) -> Result<(), ClientKeyFault> {
    if key.len() < MIN_KEY_CHARACTERS {
        return Err(ClientKeyFault::KeyTooShort {
            min: MIN_KEY_CHARACTERS,
        });
    }
    if key.len() > MAX_KEY_CHARACTERS {
        return Err(ClientKeyFault::KeyTooLong {
            max: MAX_KEY_CHARACTERS,
        });
    }
    if !key.iter().all(u8::is_ascii_graphic) {
        return Err(ClientKeyFault::KeyCharacter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn keys(text: &str) -> Result<ClientKeys, ImportError> {
        import(&Secret::copy_of(text.as_bytes()), 7)
            .map(|stored| ClientKeys::prepare(&stored.expose()[..]).unwrap())
    }

    fn fault(text: &str) -> (usize, ClientKeyFault) {
        match keys(text).err().unwrap() {
            ImportError::ClientKeys { line, fault } => (line, fault),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_subject_is_found_by_either_of_its_keys() {
        let keys = keys(
            "# the shop\nshop = shop-key-number-0001\nshop=shop-key-number-0002\r\n\n\
             depot =   depot=key=with=equals==  \n",
        )
        .unwrap();
        let subject = |key: &str| keys.subject(key.as_bytes()).map(Subject::as_str);
        assert_eq!(subject("shop-key-number-0001"), Some("shop"));
        assert_eq!(subject("shop-key-number-0002"), Some("shop"));
        assert_eq!(subject("depot=key=with=equals=="), Some("depot"));
        for unknown in ["", "shop-key-number-0003", "shop-key-number-000", "shop"] {
            assert_eq!(subject(unknown), None, "{unknown}");
        }
        assert_eq!(keys.subject(&[b'x'; 4000]), None);
    }

    #[test]
    fn the_stored_form_holds_no_key() {
        let stored = import(&Secret::copy_of(b"shop = shop-key-number-0001"), 7).unwrap();
        let windows = |needle: &[u8]| stored.expose().windows(needle.len()).any(|w| w == needle);
        assert!(windows(b"shop"), "the search itself works");
        assert!(!windows(b"key-number"));
    }

    #[test]
    fn one_key_has_different_tags_in_different_imports() {
        let text = Secret::copy_of(b"shop = shop-key-number-0001");
        let (one, two) = (import(&text, 7).unwrap(), import(&text, 7).unwrap());
        assert_ne!(one.expose()[40..], two.expose()[40..]);
    }

    #[test]
    fn malformed_lines_are_named_by_their_number() {
        let line = "a = aaaa-bbbb-cccc-dddd\n";
        assert_eq!(fault(&format!("{line}shop")), (2, ClientKeyFault::Form));
        assert!(matches!(
            fault("Shop = shop-key-number-0001"),
            (1, ClientKeyFault::Subject(_))
        ));
        let too_short = ClientKeyFault::KeyTooShort { min: 16 };
        assert_eq!(fault("shop = 123456789012345"), (1, too_short));
        let too_long = ClientKeyFault::KeyTooLong { max: 1024 };
        assert_eq!(
            fault(&format!("shop = {}", "k".repeat(1025))),
            (1, too_long)
        );
        assert_eq!(
            fault("shop = shop key number 1"),
            (1, ClientKeyFault::KeyCharacter)
        );
    }

    #[test]
    fn a_third_key_and_a_repeated_key_are_refused() {
        let three = "s = number-number-0001\ns = number-number-0002\ns = number-number-0003";
        assert_eq!(fault(three), (3, ClientKeyFault::TooManyKeys { max: 2 }));
        let twice = "s = number-number-0001\nt = number-number-0001";
        assert_eq!(fault(twice), (2, ClientKeyFault::DuplicateKey));
    }

    #[test]
    fn a_text_without_keys_is_empty() {
        assert_eq!(keys("# nobody\n\n").err(), Some(ImportError::Empty));
    }
}
