//! Signatures as JWS has them (RFC 7515) or as TLS has them, and the public halves of the
//! keys.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Method;
use keyward_vault::{JwsAlgorithm, PublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::OpenBao;
use super::super::messages::Envelope;
use super::versioned;
use crate::error::SourceError;
use crate::source::{RemotePublicKey, SignatureForm};

/// What stands before an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The longest signature that there is, that of RSA with 8192 bits, in bytes.
const MAX_SIGNATURE: usize = 1024;
/// How many versions of a key, the newest first, are looked through for the one that a
/// certificate is of.
const MAX_VERSIONS: usize = 64;

#[derive(Deserialize)]
struct KeyVersions {
    latest_version: u64,
    keys: BTreeMap<String, KeyVersion>,
}

/// A version of a key. Of one without a public half, a time.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeyVersion {
    Pair { public_key: String },
    Other(serde::de::IgnoredAny),
}

#[derive(Serialize)]
struct ToSign<'a> {
    input: &'a str,
    key_version: u64,
    /// `jws`: numbers of fixed length (RFC 7518, section 3.4), and base64url; or `asn1`:
    /// numbers in DER, and base64.
    marshaling_algorithm: &'static str,
    hash_algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature_algorithm: Option<&'static str>,
    /// As long as the hash (RFC 7518, section 3.5), which is not what the server takes
    /// unless it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    salt_length: Option<&'static str>,
}

#[derive(Deserialize)]
struct Signature {
    signature: String,
}

impl OpenBao {
    pub(super) async fn newest_public_key(
        &self,
        key: &str,
    ) -> Result<RemotePublicKey, SourceError> {
        let known = match self.public_keys.known(key) {
            Some(known) => known,
            None => self.ask_for_public_keys(key).await?,
        };
        let what = "the key has no public half";
        known
            .first()
            .cloned()
            .ok_or(SourceError::Malformed { what })
    }

    pub(super) async fn version_with(
        &self,
        key: &str,
        public: &PublicKey,
    ) -> Result<u64, SourceError> {
        let version = |known: &[RemotePublicKey]| {
            let is_it = |one: &&RemotePublicKey| {
                PublicKey::from_spki(&one.spki).is_ok_and(|half| half == *public)
            };
            known.iter().find(is_it).map(|found| found.version)
        };
        let known = self.public_keys.known(key);
        if let Some(version) = known.as_deref().and_then(version) {
            return Ok(version);
        }
        // It may be newer than what is known.
        version(&self.ask_for_public_keys(key).await?).ok_or(SourceError::OtherKey)
    }

    async fn ask_for_public_keys(&self, key: &str) -> Result<Arc<[RemotePublicKey]>, SourceError> {
        let path = self.transit_path("keys", key, None)?;
        let answer = self.ask(Method::GET, &path, &Zeroizing::default()).await?;
        let answer: Envelope<KeyVersions> = answer.accepted()?.read()?;
        let info = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        let newest = info.latest_version;
        let half = |(version, key): (String, KeyVersion)| match key {
            KeyVersion::Pair { public_key } => Some(RemotePublicKey {
                version: version.parse().ok().filter(|version| *version <= newest)?,
                spki: spki(&public_key)?,
            }),
            KeyVersion::Other(_) => None,
        };
        let mut halves: Vec<_> = info.keys.into_iter().filter_map(half).collect();
        halves.sort_by_key(|half| Reverse(half.version));
        halves.truncate(MAX_VERSIONS);
        if halves.first().is_none_or(|half| half.version != newest) {
            let what = "the key has no public half";
            return Err(SourceError::Malformed { what });
        }
        let halves: Arc<[RemotePublicKey]> = halves.into();
        self.public_keys.learn(key, Arc::clone(&halves));
        Ok(halves)
    }

    pub(super) async fn make_signature(
        &self,
        key: &str,
        version: u64,
        terms: (JwsAlgorithm, SignatureForm),
        message: &[u8],
    ) -> Result<Vec<u8>, SourceError> {
        let made = self.ask_to_sign(key, version, terms, message).await;
        if made.is_err() {
            // It may be that the server has another version by now.
            self.public_keys.forget(key);
        }
        made
    }

    async fn ask_to_sign(
        &self,
        key: &str,
        version: u64,
        (algorithm, form): (JwsAlgorithm, SignatureForm),
        message: &[u8],
    ) -> Result<Vec<u8>, SourceError> {
        let path = self.transit_path("sign", key, None)?;
        let input = Zeroizing::new(BASE64.encode(message));
        let (hash, padding) = terms(algorithm);
        let asked = ToSign {
            input: &input,
            key_version: version,
            marshaling_algorithm: match form {
                SignatureForm::Jws => "jws",
                SignatureForm::Asn1 => "asn1",
            },
            hash_algorithm: hash,
            signature_algorithm: padding,
            salt_length: padding.filter(|padding| *padding == "pss").map(|_| "hash"),
        };
        let signed: Signature = self.post(&path, &asked).await?;
        let malformed = SourceError::Malformed { what: "signature" };
        let (by, text) = versioned(&signed.signature).ok_or(malformed.clone())?;
        if by != version {
            return Err(malformed);
        }
        let alphabet = match form {
            SignatureForm::Jws => BASE64URL_NOPAD,
            SignatureForm::Asn1 => BASE64,
        };
        let signature = alphabet.decode(text.as_bytes()).ok();
        signature
            .filter(|signature| (1..=MAX_SIGNATURE).contains(&signature.len()))
            .ok_or(malformed)
    }
}

/// Hash and padding, as the server calls them.
fn terms(algorithm: JwsAlgorithm) -> (&'static str, Option<&'static str>) {
    let (pkcs1, pss) = (Some("pkcs1v15"), Some("pss"));
    match algorithm {
        JwsAlgorithm::Rs256 => ("sha2-256", pkcs1),
        JwsAlgorithm::Rs384 => ("sha2-384", pkcs1),
        JwsAlgorithm::Rs512 => ("sha2-512", pkcs1),
        JwsAlgorithm::Ps256 => ("sha2-256", pss),
        JwsAlgorithm::Ps384 => ("sha2-384", pss),
        JwsAlgorithm::Ps512 => ("sha2-512", pss),
        JwsAlgorithm::Es256 => ("sha2-256", None),
        JwsAlgorithm::Es384 => ("sha2-384", None),
        // Ed25519 has its hash within it: the server takes no notice.
        JwsAlgorithm::Es512 | JwsAlgorithm::EdDsa => ("sha2-512", None),
    }
}

/// A public key as the server writes it: PEM, or base64 of 32 bytes for Ed25519.
fn spki(text: &str) -> Option<Vec<u8>> {
    let Some(body) = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----") else {
        let key = BASE64.decode(text.trim().as_bytes()).ok()?;
        return (key.len() == 32).then(|| [&ED25519_PREFIX[..], &key].concat());
    };
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    BASE64.decode(body.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_is_read_as_the_server_writes_it_and_nothing_else_is() {
        let pem = "-----BEGIN PUBLIC KEY-----\nAQID\nBAUG\n-----END PUBLIC KEY-----\n";
        assert_eq!(spki(pem), Some(vec![1, 2, 3, 4, 5, 6]));
        let raw = BASE64.encode(&[7; 32]);
        let read = spki(&raw);
        assert_eq!(read.map(|key| key.len()), Some(44));
        for other in [
            String::new(),
            BASE64.encode(&[7; 31]),
            raw.replace('B', "_"),
            "<html>".to_owned(),
            pem.replace("END", "AND"),
            pem.replace("AQID", "A!ID"),
        ] {
            assert_eq!(spki(&other), None, "{other}");
        }
    }

    #[test]
    fn salts_are_as_long_as_hashes_and_only_where_there_are_some() {
        for algorithm in JwsAlgorithm::ALL {
            let (hash, padding) = terms(algorithm);
            let name = algorithm.as_str();
            let expected = match &name[..2] {
                "RS" => Some("pkcs1v15"),
                "PS" => Some("pss"),
                _ => None,
            };
            assert_eq!(padding, expected, "{name}");
            assert!(name == "EdDSA" || name[2..] == hash[5..], "{name} {hash}");
        }
    }
}
