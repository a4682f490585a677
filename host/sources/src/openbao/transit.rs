//! The transit engine: keys that make and check codes, sign, seal data and close
//! master keys, and never leave the server
//! (<https://openbao.org/api-docs/secret/transit/>).
//!
//! Whatever is asked of a key is asked once: what the server refused or didn't answer
//! is not asked again.

mod sealing;
mod signing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::future::BoxFuture;
use http::Method;
use keyward_vault::{JwsAlgorithm, MacAlgorithm, PublicKey};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::OpenBao;
use super::key::encoded;
use super::messages::{Envelope, Text};
use crate::error::SourceError;
use crate::source::{
    KeyWrapper, RemoteKeys, RemotePublicKey, RemoteSealed, SignatureForm, WrappedKey,
};

/// How many versions of a key, the newest first, a code is checked under.
const CHECKED: u64 = 8;
/// How long it is remembered which versions a key has. A newer one is noticed at
/// the latest after this time.
const REMEMBERED: Duration = Duration::from_secs(30);
/// The longest ciphertext that is kept of a master key.
const MAX_WRAPPED: usize = 4096;

const EXPECTED: &str =
    "a transit key is 1 to 128 of a-z A-Z 0-9 . _ - and does not start with a dot";

#[derive(Serialize)]
struct Input<'a> {
    input: &'a str,
}

#[derive(Deserialize)]
struct Code {
    hmac: String,
}

#[derive(Serialize)]
struct Checks<'a> {
    batch_input: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    input: &'a str,
    hmac: String,
}

#[derive(Deserialize)]
struct Checked {
    batch_results: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    valid: bool,
}

#[derive(Serialize)]
struct Plain<'a> {
    plaintext: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Closed {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Opened {
    plaintext: Text,
}

impl Opened {
    /// The text, in a buffer that is wiped.
    fn bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = self.plaintext.0.as_bytes();
        let length = BASE64.decode_len(text.len()).ok()?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        let count = BASE64.decode_mut(text, &mut bytes).ok()?;
        bytes.truncate(count);
        Some(bytes)
    }
}

/// What the server says of a key.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct KeyInfo {
    latest_version: u64,
    min_decryption_version: u64,
}

impl KeyInfo {
    fn checked(self) -> impl Iterator<Item = u64> {
        let first = self.latest_version.saturating_sub(CHECKED - 1);
        (first.max(self.min_decryption_version).max(1)..=self.latest_version).rev()
    }
}

/// What the server said of keys, as of late.
pub(super) struct Lately<T>(Mutex<HashMap<String, (T, Instant)>>);

/// Which versions keys have.
pub(super) type Versions = Lately<KeyInfo>;
/// Their public halves, the newest first. Never empty.
pub(super) type PublicKeys = Lately<Arc<[RemotePublicKey]>>;

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Lately<T> {
    fn known(&self, key: &str) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, since) = known.get(key)?;
        (since.elapsed() < REMEMBERED).then(|| said.clone())
    }

    fn learn(&self, key: &str, said: T) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, since)| since.elapsed() < REMEMBERED);
        known.insert(key.to_owned(), (said, Instant::now()));
    }

    fn forget(&self, key: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(key);
    }
}

impl OpenBao {
    /// What the server says of a key, asked now.
    async fn key_info(&self, key: &str) -> Result<KeyInfo, SourceError> {
        let path = self.transit_path("keys", key, None)?;
        let answer = self.ask(Method::GET, &path, &Zeroizing::default()).await?;
        let answer: Envelope<KeyInfo> = answer.accepted()?.read()?;
        let info = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        self.versions.learn(key, info);
        Ok(info)
    }

    async fn make_code(
        &self,
        key: &str,
        algorithm: MacAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SourceError> {
        let path = self.transit_path("hmac", key, Some(algorithm))?;
        let input = Zeroizing::new(BASE64.encode(message));
        let code: Code = self.post(&path, &Input { input: &input }).await?;
        let (_, text) = versioned(&code.hmac).ok_or(SourceError::Malformed { what: "code" })?;
        let code = BASE64.decode(text.as_bytes()).ok();
        code.filter(|code| code.len() == length(algorithm))
            .ok_or(SourceError::Malformed { what: "code" })
    }

    async fn check_code(
        &self,
        key: &str,
        algorithm: MacAlgorithm,
        message: &[u8],
        code: &[u8],
    ) -> Result<bool, SourceError> {
        let path = self.transit_path("verify", key, Some(algorithm))?;
        let info = match self.versions.known(key) {
            Some(info) => info,
            None => self.key_info(key).await?,
        };
        let (input, code) = (Zeroizing::new(BASE64.encode(message)), BASE64.encode(code));
        let batch_input: Vec<Check<'_>> = info
            .checked()
            .map(|version| Check {
                input: &input,
                hmac: format!("vault:v{version}:{code}"),
            })
            .collect();
        let asked = batch_input.len();
        let checked: Checked = self.post(&path, &Checks { batch_input }).await?;
        if checked.batch_results.len() != asked {
            return Err(SourceError::Malformed { what: "verdicts" });
        }
        Ok(checked.batch_results.iter().any(|verdict| verdict.valid))
    }

    async fn close(
        &self,
        key: &str,
        plain: &Zeroizing<[u8; 32]>,
    ) -> Result<WrappedKey, SourceError> {
        let path = self.transit_path("encrypt", key, None)?;
        let text = Zeroizing::new(BASE64.encode(&plain[..]));
        let closed: Closed = self.post(&path, &Plain { plaintext: &text }).await?;
        let bytes = closed.ciphertext.into_bytes();
        if bytes.len() > MAX_WRAPPED {
            return Err(SourceError::TooLarge { max: MAX_WRAPPED });
        }
        Ok(WrappedKey {
            key: key.to_owned(),
            bytes,
        })
    }

    async fn open_key(
        &self,
        key: &str,
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, SourceError> {
        let path = self.transit_path("decrypt", key, None)?;
        let what = "master key";
        let malformed = || SourceError::Malformed { what };
        let ciphertext = std::str::from_utf8(wrapped).map_err(|_| malformed())?;
        let ciphertext = ciphertext.to_owned();
        let opened: Opened = self.post(&path, &Closed { ciphertext }).await?;
        let bytes = opened.bytes().ok_or_else(malformed)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(malformed());
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }

    /// Errors: [`SourceError::Key`].
    fn transit_path(
        &self,
        what: &str,
        key: &str,
        algorithm: Option<MacAlgorithm>,
    ) -> Result<String, SourceError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=128).contains(&key.len()) || key.starts_with('.') || !key.bytes().all(plain) {
            return Err(SourceError::Key { expected: EXPECTED });
        }
        let path = format!("{}/{what}/{}", self.transit, encoded(key));
        Ok(match algorithm {
            None => path,
            Some(MacAlgorithm::Sha256) => path + "/sha2-256",
            Some(MacAlgorithm::Sha384) => path + "/sha2-384",
            Some(MacAlgorithm::Sha512) => path + "/sha2-512",
        })
    }
}

/// The version and the rest of what the server writes as `vault:v3:…`. `None` if it
/// is anything else: versions count from 1, and are written in one way.
fn versioned(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.strip_prefix("vault:v")?.split_once(':')?;
    let version: u64 = digits.parse().ok()?;
    (version > 0 && version.to_string() == digits).then_some((version, rest))
}

fn length(algorithm: MacAlgorithm) -> usize {
    match algorithm {
        MacAlgorithm::Sha256 => 32,
        MacAlgorithm::Sha384 => 48,
        MacAlgorithm::Sha512 => 64,
    }
}

impl KeyWrapper for OpenBao {
    fn wrap<'a>(
        &'a self,
        key: &'a str,
        plain: &'a Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'a, Result<WrappedKey, SourceError>> {
        Box::pin(self.close(key, plain))
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, SourceError>> {
        Box::pin(self.open_key(key, wrapped))
    }
}

impl RemoteKeys for OpenBao {
    fn hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(self.make_code(key, algorithm, message))
    }

    fn verify_hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
        code: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        Box::pin(self.check_code(key, algorithm, message, code))
    }

    fn public_key<'a>(
        &'a self,
        key: &'a str,
    ) -> BoxFuture<'a, Result<RemotePublicKey, SourceError>> {
        Box::pin(self.newest_public_key(key))
    }

    fn version_of<'a>(
        &'a self,
        key: &'a str,
        public: &'a PublicKey,
    ) -> BoxFuture<'a, Result<u64, SourceError>> {
        Box::pin(self.version_with(key, public))
    }

    fn sign<'a>(
        &'a self,
        key: &'a str,
        version: u64,
        terms: (JwsAlgorithm, SignatureForm),
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(self.make_signature(key, version, terms, message))
    }

    fn seal<'a>(
        &'a self,
        key: &'a str,
        text: &'a [u8],
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<RemoteSealed, SourceError>> {
        Box::pin(self.seal_text(key, text, associated))
    }

    fn open<'a>(
        &'a self,
        key: &'a str,
        sealed: &'a RemoteSealed,
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Zeroizing<Vec<u8>>>, SourceError>> {
        Box::pin(self.open_sealed(key, sealed, associated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_written_in_one_way() {
        for (text, expected) in [
            ("vault:v1:QQ==", Some((1, "QQ=="))),
            ("vault:v12:", Some((12, ""))),
            ("vault:v1:a:b", Some((1, "a:b"))),
            ("vault:v0:QQ==", None),
            ("vault:v01:QQ==", None),
            ("vault:v+1:QQ==", None),
            ("vault:v-1:QQ==", None),
            ("vault:v99999999999999999999:QQ==", None),
            ("vault:v:QQ==", None),
            ("vault:1:QQ==", None),
            ("v1:QQ==", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(versioned(text), expected, "{text}");
        }
    }

    #[test]
    fn a_code_is_checked_under_the_newest_versions_that_are_accepted() {
        let checked = |latest_version, min_decryption_version| -> Vec<u64> {
            KeyInfo {
                latest_version,
                min_decryption_version,
            }
            .checked()
            .collect()
        };
        assert_eq!(checked(1, 1), [1]);
        assert_eq!(checked(3, 2), [3, 2]);
        assert_eq!(checked(20, 1), [20, 19, 18, 17, 16, 15, 14, 13]);
        assert_eq!(checked(0, 0), [0; 0]);
        assert_eq!(checked(u64::MAX, 0).len(), 8);
    }
}
