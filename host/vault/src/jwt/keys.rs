//! The keys that an issuer publishes (RFC 7517; RFC 7518, section 6; RFC 8037).

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::{TokenAlgorithm, TokenFault, TokenRules, VerifiedToken, compact, json};

/// The longest set of keys that is read, in bytes.
pub const MAX_KEY_SET_BYTES: usize = 256 << 10;
/// The most keys that are kept of one set.
const MAX_KEYS: usize = 64;
/// The longest id of a key, in bytes.
const MAX_ID_BYTES: usize = 256;

/// Public keys that sign tokens. Keys of other sorts, and keys that can't be used, are
/// left out, as RFC 7517, section 5, asks; so are MAC keys and private ones, which
/// nobody should publish.
pub struct KeySet {
    keys: Vec<Key>,
}

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is longer than [`MAX_KEY_SET_BYTES`].
    #[error("the set of keys is longer than {MAX_KEY_SET_BYTES} bytes")]
    TooLong,
    /// It is not `{"keys": […]}`.
    #[error("it is not a JSON Web Key Set")]
    Malformed,
    /// None of its keys can check a token.
    #[error("none of its keys can check a token")]
    NoUsableKey,
}

struct Key {
    id: Option<String>,
    /// What it is bound to, if it says so.
    algorithm: Option<TokenAlgorithm>,
    public: Public,
}

enum Public {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// Of one curve, and so of one algorithm.
    Curve(TokenAlgorithm, Box<ParsedPublicKey>),
}

impl KeySet {
    /// Reads a JSON Web Key Set.
    ///
    /// Errors: see [`KeySetError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLong);
        }
        let set = json::object(bytes).ok_or(KeySetError::Malformed)?;
        let keys = set.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetError::Malformed)?;
        let usable = keys.iter().filter_map(Value::as_object).filter_map(read);
        let keys: Vec<Key> = usable.take(MAX_KEYS).collect();
        match keys.is_empty() {
            true => Err(KeySetError::NoUsableKey),
            false => Ok(Self { keys }),
        }
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none; it has at least one.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks a token that is signed with one of these keys, with one of `algorithms`;
    /// symmetric ones never count. A token that names no key is held against the one
    /// that fits, if there is but one. `now` is the time by which it has to be valid, in milliseconds
    /// since 1970.
    ///
    /// Errors: see [`TokenFault`]; [`TokenFault::UnknownKey`] if there may be a newer
    /// set that has the key.
    pub fn verify(
        &self,
        token: &str,
        algorithms: &[TokenAlgorithm],
        rules: &TokenRules,
        now: u64,
    ) -> Result<VerifiedToken, TokenFault> {
        let parsed = compact::parse(token)?;
        let named = &parsed.header.algorithm;
        let algorithm = algorithms
            .iter()
            .find(|known| !known.is_symmetric() && known.as_str() == named)
            .copied()
            .ok_or(TokenFault::Algorithm)?;
        let wanted = parsed.header.key_id.as_deref();
        let fits =
            |key: &&Key| key.fits(algorithm) && (wanted.is_none() || key.id.as_deref() == wanted);
        let mut fitting = self.keys.iter().filter(fits);
        let key = fitting.next().ok_or(TokenFault::UnknownKey)?;
        if fitting.next().is_some() {
            // Two keys of one id, or no id and several keys: whose it is can't be told.
            return Err(TokenFault::UnknownKey);
        }
        if !key.verifies(algorithm, parsed.signed, &parsed.signature) {
            return Err(TokenFault::Signature);
        }
        parsed.verified(algorithm, rules, now)
    }
}

impl Key {
    fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        let bound = self.algorithm.is_none_or(|own| own == algorithm);
        bound
            && match &self.public {
                Public::Rsa(_) => rsa_parameters(algorithm).is_some(),
                Public::Curve(own, _) => *own == algorithm,
            }
    }

    fn verifies(&self, algorithm: TokenAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::Rsa(key) => rsa_parameters(algorithm)
                .is_some_and(|parameters| key.verify(parameters, message, signature).is_ok()),
            Public::Curve(own, key) => {
                *own == algorithm && key.verify_sig(message, signature).is_ok()
            }
        }
    }
}

/// Keys of fewer than 2048 bits don't verify anything (RFC 7518, section 3.3).
fn rsa_parameters(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        TokenAlgorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        TokenAlgorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        TokenAlgorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        TokenAlgorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        TokenAlgorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        TokenAlgorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// A key that can check signatures; `None` for any other.
fn read(key: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    // A set with a private key in it is its publisher's accident, and not to be built on.
    if key.contains_key("d") || key.contains_key("k") {
        return None;
    }
    if key.get("use").is_some_and(|use_| use_ != "sig") {
        return None;
    }
    if let Some(operations) = key.get("key_ops") {
        let mut operations = operations.as_array()?.iter();
        operations.find(|operation| *operation == "verify")?;
    }
    let algorithm = match key.get("alg") {
        None => None,
        Some(named) => Some(named.as_str()?.parse::<TokenAlgorithm>().ok()?),
    };
    let id = match key.get("kid") {
        None => None,
        Some(Value::String(id)) if id.len() <= MAX_ID_BYTES => Some(id.clone()),
        Some(_) => return None,
    };
    let bytes = |name: &str| BASE64URL_NOPAD.decode(text(name)?.as_bytes()).ok();
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => rsa(bytes("n")?, bytes("e")?)?,
        ("EC", Some("P-256")) => {
            curve(TokenAlgorithm::Es256, point(bytes("x")?, bytes("y")?, 32)?)?
        }
        ("EC", Some("P-384")) => {
            curve(TokenAlgorithm::Es384, point(bytes("x")?, bytes("y")?, 48)?)?
        }
        ("EC", Some("P-521")) => {
            curve(TokenAlgorithm::Es512, point(bytes("x")?, bytes("y")?, 66)?)?
        }
        ("OKP", Some("Ed25519")) => curve(TokenAlgorithm::EdDsa, bytes("x")?)?,
        _ => return None,
    };
    let key = Key {
        id,
        algorithm,
        public,
    };
    // A key that is bound to an algorithm that it can't do is no key.
    key.algorithm.is_none_or(|own| key.fits(own)).then_some(key)
}

/// A modulus of 2048 to 8192 bits, and an exponent that is odd and at least 3: what
/// signatures are checked with says no to others one by one.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Public> {
    let bits = n
        .len()
        .checked_mul(8)?
        .checked_sub(n.first()?.leading_zeros() as usize)?;
    let is_plain = (2048..=8192).contains(&bits) && (1..=8).contains(&e.len());
    let is_odd = n.last()? & e.last()? & 1 == 1 && e != [1];
    (is_plain && is_odd && n[0] != 0 && e[0] != 0)
        .then_some(Public::Rsa(RsaPublicKeyComponents { n, e }))
}

/// An uncompressed point (SEC 1, section 2.3.3) from coordinates of full length
/// (RFC 7518, section 6.2.1.2).
fn point(x: Vec<u8>, y: Vec<u8>, length: usize) -> Option<Vec<u8>> {
    let fit = x.len() == length && y.len() == length;
    fit.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

fn curve(algorithm: TokenAlgorithm, bytes: Vec<u8>) -> Option<Public> {
    let curve = match algorithm {
        TokenAlgorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED as &'static _,
        TokenAlgorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        TokenAlgorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        _ => {
            let key = ParsedPublicKey::new(&signature::ED25519, bytes).ok()?;
            return Some(Public::Curve(algorithm, Box::new(key)));
        }
    };
    // A point that is not on the curve is refused here.
    let key = ParsedPublicKey::new(curve, bytes).ok()?;
    Some(Public::Curve(algorithm, Box::new(key)))
}
