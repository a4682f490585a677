//! Which values are accepted as a secret of a kind, and what of them is kept.
//!
//! A value that could not be used is refused here, when a person is there to read
//! the reason, and not during a request.

mod certificate;
mod connection_strings;
mod connections;
mod fields;
mod logins;
mod pfx;

use data_encoding::Encoding;
use keyward_names::KeyVaultReference;

use crate::client_keys;
use crate::kind::{KeyEncoding, Kind};
use crate::memory::Scratch;
use crate::primitives::fill_random;
use crate::secret::{ImportError, Secret};
use crate::vault::seconds_now;

/// The least length of an API key, in bytes: shorter ones can't be searched for
/// in answers without finding them by chance.
pub(crate) const API_KEY_MIN_BYTES: usize = 8;
/// The greatest length of an API key, in bytes.
pub(crate) const API_KEY_MAX_BYTES: usize = 4096;
/// The least length of a MAC key, in bytes: RFC 2104 advises the length of the
/// hash's output, and no policy may be able to find a key from its codes.
const HMAC_KEY_MIN_BYTES: usize = 32;
/// The length of a data key, in bytes.
const DATA_KEY_BYTES: usize = 32;
/// The greatest length of a MAC key, in bytes.
const HMAC_KEY_MAX_BYTES: usize = 4096;

/// What the vault keeps of a value.
pub(crate) struct Imported {
    /// Its bytes, the key that its text encodes, the keyed hashes of client keys, or
    /// the fields of what has several (CBOR; `FORMAT.md`).
    pub(crate) value: Secret,
    /// When it ends by itself, in seconds since 1970.
    pub(crate) not_after: Option<u64>,
}

impl Imported {
    /// A certificate's chain, whose key stays elsewhere.
    pub(crate) fn chain(value: &Secret) -> Result<Self, ImportError> {
        let (value, end) = certificate::chain(value)?;
        Ok(Self {
            value,
            not_after: Some(end),
        })
    }
}

impl Kind {
    /// Judges a value and makes what the vault keeps of it.
    pub(crate) fn import(&self, value: Secret) -> Result<Imported, ImportError> {
        if KeyVaultReference::is_in(&value.expose()[..]) {
            return Err(ImportError::Reference);
        }
        let value = match self {
            Self::ApiKey => api_key(value),
            Self::HmacKey { encoding, .. } => hmac_key(value, *encoding),
            Self::DataKey { encoding } => data_key(value, *encoding),
            Self::ClientKeys => client_keys::import(&value, seconds_now()),
            Self::Basic => logins::basic(&value),
            Self::OauthClient => logins::oauth_client(&value),
            Self::AwsKey => logins::aws_key(&value),
            Self::StorageAccount => connections::storage_account(&value),
            Self::Database => connections::database(&value),
            Self::ServiceBus => connection_strings::service_bus(&value),
            Self::ConnectionString => connection_strings::any(&value),
            Self::Certificate => {
                let (value, end) = certificate::certificate(&value)?;
                return Ok(Imported {
                    value,
                    not_after: Some(end),
                });
            }
        };
        Ok(Imported {
            value: value?,
            not_after: None,
        })
    }

    /// Whether a value could be added as a secret of this kind. Errors: why not.
    pub fn check(&self, value: Secret) -> Result<(), ImportError> {
        self.import(value).map(drop)
    }

    /// A random value of this kind, as text to be imported: for a MAC key as many
    /// bytes as its codes have, for a data key 32. `None` for kinds whose values
    /// somebody else gives.
    ///
    /// # Panics
    ///
    /// If the operating system has no randomness to give.
    pub fn generate(&self) -> Option<Secret> {
        self.generate_long(match self {
            Self::HmacKey { algorithm, .. } => algorithm.code_bytes(),
            _ => DATA_KEY_BYTES,
        })
    }

    /// The same of so many bytes, counted before they are written in the kind's
    /// encoding. `None` also where a value of the kind can't have so many.
    ///
    /// # Panics
    ///
    /// As [`generate`](Self::generate).
    pub fn generate_long(&self, length: usize) -> Option<Secret> {
        let (allowed, encoding) = match self {
            Self::HmacKey { encoding, .. } => (HMAC_KEY_MIN_BYTES..=HMAC_KEY_MAX_BYTES, encoding),
            Self::DataKey { encoding } => (DATA_KEY_BYTES..=DATA_KEY_BYTES, encoding),
            _ => return None,
        };
        if !allowed.contains(&length) {
            return None;
        }
        let mut bytes = Scratch::new(length);
        loop {
            fill_random(&mut bytes);
            // Not once in a million times.
            if !is_guessable(&bytes) {
                break;
            }
        }
        let alphabet = match encoding {
            KeyEncoding::Raw => return Some(Secret::copy_of(&bytes)),
            KeyEncoding::Hex => data_encoding::HEXLOWER,
            KeyEncoding::Base64 => data_encoding::BASE64,
        };
        let length = alphabet.encode_len(bytes.len());
        let mut text = Scratch::new(length);
        alphabet.encode_mut(&bytes, &mut text);
        Some(Secret::copy_of(&text))
    }
}

fn api_key(value: Secret) -> Result<Secret, ImportError> {
    judge_api_key(&value.expose()[..])?;
    Ok(value)
}

fn judge_api_key(bytes: &[u8]) -> Result<(), ImportError> {
    if bytes.len() < API_KEY_MIN_BYTES {
        return Err(ImportError::TooShort {
            kind: Kind::ApiKey.as_str(),
            min: API_KEY_MIN_BYTES,
        });
    }
    if bytes.len() > API_KEY_MAX_BYTES {
        return Err(ImportError::TooLong {
            max: API_KEY_MAX_BYTES,
        });
    }
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(ImportError::NotHeaderSafe);
    }
    Ok(())
}

fn hmac_key(value: Secret, encoding: KeyEncoding) -> Result<Secret, ImportError> {
    let key = decoded(value, encoding)?;
    judge_hmac_key(&key.expose()[..])?;
    Ok(key)
}

fn judge_hmac_key(bytes: &[u8]) -> Result<(), ImportError> {
    if bytes.len() < HMAC_KEY_MIN_BYTES {
        return Err(ImportError::TooShort {
            kind: "hmac-key",
            min: HMAC_KEY_MIN_BYTES,
        });
    }
    if bytes.len() > HMAC_KEY_MAX_BYTES {
        return Err(ImportError::TooLong {
            max: HMAC_KEY_MAX_BYTES,
        });
    }
    if is_guessable(bytes) {
        return Err(ImportError::LowEntropy);
    }
    Ok(())
}

fn data_key(value: Secret, encoding: KeyEncoding) -> Result<Secret, ImportError> {
    let key = decoded(value, encoding)?;
    judge_data_key(&key.expose()[..])?;
    Ok(key)
}

fn judge_data_key(bytes: &[u8]) -> Result<(), ImportError> {
    if bytes.len() != DATA_KEY_BYTES {
        return Err(ImportError::Malformed {
            kind: "data-key",
            reason: "it must have 32 bytes; `keyward secret set --generate` makes one",
        });
    }
    if is_guessable(bytes) {
        return Err(ImportError::LowEntropy);
    }
    Ok(())
}

/// The key that a text encodes.
fn decoded(value: Secret, encoding: KeyEncoding) -> Result<Secret, ImportError> {
    match encoding {
        KeyEncoding::Raw => Ok(value),
        KeyEncoding::Hex => decode(&value, &data_encoding::HEXLOWER_PERMISSIVE, "hexadecimal"),
        KeyEncoding::Base64 => {
            let text = value.expose();
            let padded = text.contains(&b'=');
            let url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
            let alphabet = match (url, padded) {
                (false, true) => &data_encoding::BASE64,
                (false, false) => &data_encoding::BASE64_NOPAD,
                (true, true) => &data_encoding::BASE64URL,
                (true, false) => &data_encoding::BASE64URL_NOPAD,
            };
            decode(&value, alphabet, "base64")
        }
    }
}

fn decode(
    value: &Secret,
    alphabet: &Encoding,
    encoding: &'static str,
) -> Result<Secret, ImportError> {
    let refused = ImportError::NotEncoded { encoding };
    let text = value.expose();
    let length = alphabet.decode_len(text.len()).map_err(|_| refused)?;
    let mut buffer = Scratch::new(length);
    // The error of `decode_mut` tells the position of the bad character, which is
    // more than anyone needs to know.
    let written = alphabet
        .decode_mut(&text, &mut buffer)
        .map_err(|_| refused)?;
    Ok(Secret::copy_of(buffer.get(..written).unwrap_or_default()))
}

/// Whether a key of at least 32 bytes is obviously not random.
///
/// This catches keys that people type, not every weak key. Random bytes and their
/// hexadecimal, decimal or base64 text pass, but for fewer than one in a million.
fn is_guessable(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in key {
        seen[usize::from(*byte)] = true;
    }
    let distinct = seen.iter().filter(|seen| **seen).count();
    // 32 random decimal digits have 6 or more different ones, barring luck.
    let few = distinct < 6;

    // "abcabcabc…", and any other repetition of at most half the length.
    let repeats = (1..=key.len() / 2)
        .any(|period| key.iter().zip(key.iter().skip(period)).all(|(a, b)| a == b));

    // "abcdef…", "9876543210…": most bytes follow from the one before.
    let steps = |step: u8| {
        let pairs = key.iter().zip(key.iter().skip(1));
        let count = pairs.filter(|(a, b)| a.wrapping_add(step) == **b).count();
        count.saturating_mul(2) > key.len()
    };
    let counts = steps(0) || steps(1) || steps(u8::MAX);

    // Words with spaces between them, or a single case of letters throughout.
    let text = key
        .iter()
        .all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let sentence = text
        && (key.contains(&b' ')
            || key
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.')));

    few || repeats || counts || sentence
}

#[cfg(test)]
mod tests;
