//! A certificate chain and its private key, from a PFX (PKCS #12, RFC 7292) in base64:
//! what Azure Key Vault hands certificates out as, without a password.
//!
//! What the library holds meanwhile is wiped only where the process's allocator wipes
//! what is freed, as that of the command `keyward` does.

use data_encoding::BASE64;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};

use super::certificate::malformed;
use crate::plaintext::Plaintext;
use crate::secret::ImportError;

/// How DER of a sequence begins in base64: none of PEM's text does.
const START: &[u8] = b"MI";

/// Whether a value is meant as a PFX.
pub(super) fn is_meant(value: &[u8]) -> bool {
    value.trim_ascii_start().starts_with(START)
}

/// The chain, the leaf first, and the leaf's key in PKCS #8; all as DER.
pub(super) fn read(value: &[u8]) -> Result<(Vec<Plaintext>, Plaintext), ImportError> {
    let refused = malformed("neither PEM nor base64 of a PFX");
    let mut digits = Plaintext::with_room(value.len());
    for byte in value.iter().filter(|byte| !byte.is_ascii_whitespace()) {
        digits.push(*byte).ok_or(refused)?;
    }
    let length = BASE64.decode_len(digits.len()).map_err(|_| refused)?;
    let mut bytes = Plaintext::with_room(length);
    bytes.resize(length).ok_or(refused)?;
    let written = BASE64.decode_mut(&digits, bytes.bytes_mut());
    bytes.resize(written.map_err(|_| refused)?).ok_or(refused)?;

    let store = KeyStore::from_pkcs12(&bytes, "", Pkcs12ImportPolicy::Strict).map_err(|_| {
        malformed("its PFX can't be read; it has no password, and ciphers of PKCS #12 or PBES2")
    })?;
    let (_, pair) = store
        .private_key_chain()
        .ok_or(malformed("its PFX has no private key with its certificate"))?;
    let chain = pair.certs().iter().map(|found| copy(found.as_der()));
    let chain = chain.collect::<Option<_>>().ok_or(refused)?;
    let key = copy(pair.key().as_der()).ok_or(refused)?;
    Ok((chain, key))
}

fn copy(bytes: &[u8]) -> Option<Plaintext> {
    let mut copied = Plaintext::with_room(bytes.len());
    copied.resize(bytes.len())?;
    copied.bytes_mut().copy_from_slice(bytes);
    Some(copied)
}
