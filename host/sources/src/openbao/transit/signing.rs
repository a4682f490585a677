//! Signatures as JWS has them (RFC 7515), and the public halves of the keys.

use std::collections::BTreeMap;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use http::Method;
use keyward_vault::JwsAlgorithm;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::super::OpenBao;
use super::super::messages::Envelope;
use super::versioned;
use crate::error::SourceError;
use crate::source::RemotePublicKey;

/// What stands before an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The longest signature that there is, that of RSA with 8192 bits, in bytes.
const MAX_SIGNATURE: usize = 1024;

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
    /// Numbers of fixed length (RFC 7518, section 3.4), and base64url.
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
        if let Some(known) = self.public_keys.known(key) {
            return Ok(known);
        }
        let path = self.transit_path("keys", key, None)?;
        let answer = self.ask(Method::GET, &path, &Zeroizing::default()).await?;
        let answer: Envelope<KeyVersions> = answer.accepted()?.read()?;
        let info = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        let version = info.latest_version;
        let public = match info.keys.get(&version.to_string()) {
            Some(KeyVersion::Pair { public_key }) => spki(public_key),
            _ => None,
        };
        let what = "the key has no public half";
        let public = RemotePublicKey {
            version,
            spki: public.ok_or(SourceError::Malformed { what })?,
        };
        self.public_keys.learn(key, public.clone());
        Ok(public)
    }

    pub(super) async fn make_signature(
        &self,
        key: &str,
        version: u64,
        algorithm: JwsAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SourceError> {
        let made = self.ask_to_sign(key, version, algorithm, message).await;
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
        algorithm: JwsAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, SourceError> {
        let path = self.transit_path("sign", key, None)?;
        let input = Zeroizing::new(BASE64.encode(message));
        let (hash, padding) = terms(algorithm);
        let asked = ToSign {
            input: &input,
            key_version: version,
            marshaling_algorithm: "jws",
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
        let signature = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
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
