//! Master keys, wrapped and unwrapped by a key that never leaves the vault: RSA with
//! OAEP and SHA-256 (RFC 7518, 4.3).

use azure_security_keyvault_keys::models::{KeyClientWrapKeyOptions, KeyType};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{SecretKey, parse_id};
use super::source::{KeyVault, WipedBody};
use super::transport::told;
use crate::error::SourceError;
use crate::source::{KeyWrapper, WrappedKey};
use crate::wiped::Wiped;

const ALGORITHM: &str = "RSA-OAEP-256";
/// The most that a wrapped key may be, in bytes: RSA of 4096 bits makes 512.
const MAX_WRAPPED: usize = 1024;

/// The body of an operation. The crates' own models are not used here: they leave the
/// master key behind in texts that are not wiped.
#[derive(Serialize)]
struct Parameters<'a> {
    alg: &'static str,
    value: &'a str,
}

#[derive(Deserialize)]
struct Outcome {
    kid: String,
    value: Wiped,
}

#[derive(Clone, Copy)]
enum Operation {
    Wrap,
    Unwrap,
}

const fn malformed(what: &'static str) -> SourceError {
    SourceError::Malformed { what }
}

impl KeyVault {
    /// The version of a key that is to be used: the one that was named, or the newest.
    async fn key_version(&self, key: SecretKey<'_>) -> Result<String, SourceError> {
        if let Some(version) = key.version {
            return Ok(version.to_owned());
        }
        let answer = self.keys.get_key(key.name, None).await.map_err(told)?;
        let bundle = answer.into_model().map_err(|_| malformed("key"))?;
        let public = bundle.key.ok_or(malformed("key"))?;
        if !matches!(public.kty, Some(KeyType::Rsa | KeyType::RsaHsm)) {
            return Err(SourceError::Unsupported {
                what: "wrapping with a key that is not of type RSA or RSA-HSM",
            });
        }
        match parse_id(&public.kid.unwrap_or_default(), "keys") {
            Some((name, version)) if name.eq_ignore_ascii_case(key.name) => Ok(version.to_owned()),
            _ => Err(malformed("key's id")),
        }
    }

    /// Bytes in, bytes out. What goes in and what comes out is wiped.
    async fn operate(
        &self,
        operation: Operation,
        name: &str,
        version: &str,
        value: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        let mut encoded = Zeroizing::new(String::with_capacity(
            BASE64URL_NOPAD.encode_len(value.len()),
        ));
        BASE64URL_NOPAD.encode_append(value, &mut encoded);
        let mut body = Zeroizing::new(Vec::with_capacity(encoded.len() + 64));
        let parameters = Parameters {
            alg: ALGORITHM,
            value: &encoded,
        };
        serde_json::to_writer(&mut *body, &parameters).map_err(|_| malformed("key"))?;
        let body = Bytes::from_owner(body).into();
        let answer = match operation {
            Operation::Wrap => {
                let options = KeyClientWrapKeyOptions {
                    key_version: Some(version.to_owned()),
                    ..Default::default()
                };
                self.keys.wrap_key(name, body, Some(options)).await
            }
            Operation::Unwrap => self.keys.unwrap_key(name, version, body, None).await,
        };
        let body = WipedBody::of(answer.map_err(told)?);
        let outcome: Outcome =
            serde_json::from_slice(&body.0).map_err(|_| malformed("result of the operation"))?;
        match parse_id(&outcome.kid, "keys") {
            Some((n, v)) if n.eq_ignore_ascii_case(name) && v.eq_ignore_ascii_case(version) => {}
            _ => return Err(malformed("key's id, which is another one's")),
        }
        let text = outcome.value.as_bytes();
        if text.len() > MAX_WRAPPED * 2 {
            return Err(SourceError::TooLarge { max: MAX_WRAPPED });
        }
        let text = text.strip_suffix(b"==").unwrap_or(text);
        let text = text.strip_suffix(b"=").unwrap_or(text);
        let length = BASE64URL_NOPAD
            .decode_len(text.len())
            .map_err(|_| malformed("result of the operation"))?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        let written = BASE64URL_NOPAD
            .decode_mut(text, &mut bytes)
            .map_err(|_| malformed("result of the operation"))?;
        bytes.truncate(written);
        Ok(bytes)
    }
}

impl KeyWrapper for KeyVault {
    fn wrap<'a>(
        &'a self,
        key: &'a str,
        plain: &'a Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'a, Result<WrappedKey, SourceError>> {
        Box::pin(self.bounded(async move {
            let key = SecretKey::parse(key)?;
            let version = self.key_version(key).await?;
            let wrapped = self
                .operate(Operation::Wrap, key.name, &version, &plain[..])
                .await?;
            if wrapped.is_empty() || wrapped.len() > MAX_WRAPPED {
                return Err(malformed("wrapped key"));
            }
            Ok(WrappedKey {
                // A key that is rotated in the vault goes on opening what its old
                // versions closed: the version belongs to what was wrapped.
                key: format!("{}/{version}", key.name),
                bytes: wrapped.to_vec(),
            })
        }))
    }

    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, SourceError>> {
        Box::pin(self.bounded(async move {
            let key = SecretKey::parse(key)?;
            let version = self.key_version(key).await?;
            let plain = self
                .operate(Operation::Unwrap, key.name, &version, wrapped)
                .await?;
            let mut bytes = Zeroizing::new([0; 32]);
            if plain.len() != bytes.len() {
                return Err(malformed("unwrapped key"));
            }
            bytes.copy_from_slice(&plain);
            Ok(bytes)
        }))
    }
}
