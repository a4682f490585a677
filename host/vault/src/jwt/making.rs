//! Tokens as an issuer makes them: for tests that stand for one.

use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaEncoding, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

use super::TokenAlgorithm;
use crate::kind::MacAlgorithm;
use crate::primitives::fill_random;

/// A key that makes tokens. It belongs to a test: nothing that is in a vault becomes one.
#[derive(Clone)]
pub struct TokenMaker {
    algorithm: TokenAlgorithm,
    pair: Arc<Pair>,
}

enum Pair {
    Mac(hmac::Key),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Curve(&'static str, EcdsaKeyPair),
    Edwards(Ed25519KeyPair),
}

impl TokenMaker {
    /// A new key; of RSA, one with 2048 bits. `None` where the machine has no randomness
    /// to give.
    pub fn generate(algorithm: TokenAlgorithm) -> Option<Self> {
        use TokenAlgorithm as Of;
        let rsa = |encoding| {
            let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).ok()?;
            Some(Pair::Rsa(pair, encoding))
        };
        let curve = |name, algorithm| {
            let pair = EcdsaKeyPair::generate(algorithm).ok()?;
            Some(Pair::Curve(name, pair))
        };
        let pair = match algorithm {
            Of::Hs256 | Of::Hs384 | Of::Hs512 => {
                let mut key = [0; 64];
                fill_random(&mut key);
                Some(Pair::Mac(mac(algorithm, &key)))
            }
            Of::Rs256 => rsa(&RSA_PKCS1_SHA256),
            Of::Rs384 => rsa(&RSA_PKCS1_SHA384),
            Of::Rs512 => rsa(&RSA_PKCS1_SHA512),
            Of::Ps256 => rsa(&RSA_PSS_SHA256),
            Of::Ps384 => rsa(&RSA_PSS_SHA384),
            Of::Ps512 => rsa(&RSA_PSS_SHA512),
            Of::Es256 => curve("P-256", &ECDSA_P256_SHA256_FIXED_SIGNING),
            Of::Es384 => curve("P-384", &ECDSA_P384_SHA384_FIXED_SIGNING),
            Of::Es512 => curve("P-521", &ECDSA_P521_SHA512_FIXED_SIGNING),
            Of::EdDsa => Ed25519KeyPair::generate().ok().map(Pair::Edwards),
        };
        Some(Self {
            algorithm,
            pair: Arc::new(pair?),
        })
    }

    /// A key that checks tokens as well as it makes them.
    pub fn of_mac(algorithm: MacAlgorithm, key: &[u8]) -> Self {
        let algorithm = TokenAlgorithm::of_mac(algorithm);
        Self {
            algorithm,
            pair: Arc::new(Pair::Mac(mac(algorithm, key))),
        }
    }

    /// What its tokens are signed with.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Its public half, as an issuer publishes it (RFC 7517). `None`: it has none.
    pub fn published(&self, id: &str) -> Option<Value> {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let mut key = match &*self.pair {
            Pair::Mac(_) => return None,
            Pair::Rsa(pair, _) => {
                let mut reader = SliceReader::new(pair.public_key().as_ref()).ok()?;
                let numbers: Result<_, x509_cert::der::Error> = reader
                    .sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)));
                let (n, e) = numbers.ok()?;
                json!({ "kty": "RSA", "n": text(n.as_bytes()), "e": text(e.as_bytes()) })
            }
            Pair::Curve(name, pair) => {
                let point = pair.public_key().as_ref().get(1..)?;
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": name, "x": text(x), "y": text(y) })
            }
            Pair::Edwards(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        let members = key.as_object_mut()?;
        members.insert("kid".to_owned(), id.into());
        members.insert("use".to_owned(), "sig".into());
        members.insert("alg".to_owned(), self.algorithm.as_str().into());
        Some(key)
    }

    /// A token in compact form (RFC 7515, 7.1) of a header and claims as they are: the
    /// header need not say the truth. `None` where the key can't sign.
    pub fn token(&self, header: &Value, claims: &Value) -> Option<String> {
        let text = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", text(header), text(claims));
        let message = signed.as_bytes();
        let random = SystemRandom::new();
        let signature = match &*self.pair {
            Pair::Mac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .ok()?;
                signature
            }
            Pair::Curve(_, pair) => pair.sign(&random, message).ok()?.as_ref().to_vec(),
            Pair::Edwards(pair) => pair.sign(message).as_ref().to_vec(),
        };
        Some(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

fn mac(algorithm: TokenAlgorithm, key: &[u8]) -> hmac::Key {
    let algorithm = match algorithm {
        TokenAlgorithm::Hs384 => hmac::HMAC_SHA384,
        TokenAlgorithm::Hs512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::Key::new(algorithm, key)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::super::{KeySet, TokenFault, TokenRules};
    use super::*;

    #[test]
    fn what_it_makes_is_right_by_what_it_publishes_and_by_nothing_else() {
        let rules = TokenRules {
            issuer: None,
            audiences: Vec::new(),
            clock_skew_seconds: 0,
        };
        for algorithm in TokenAlgorithm::ALL {
            if algorithm.is_symmetric() {
                let key = TokenMaker::generate(algorithm).unwrap();
                assert_eq!(key.published("one"), None, "{algorithm}");
                continue;
            }
            let [one, other] = [0, 1].map(|_| TokenMaker::generate(algorithm).unwrap());
            let set = json!({ "keys": [one.published("one").unwrap()] });
            let set = KeySet::parse(set.to_string().as_bytes()).unwrap();
            let header = json!({ "alg": algorithm.as_str(), "kid": "one" });
            let claims = json!({ "exp": 300, "sub": "alice" });
            let found = |maker: &TokenMaker| {
                let token = maker.token(&header, &claims).unwrap();
                let found = set.verify(&token, &[algorithm], &rules, 200_000);
                found.map(|verified| verified.claims.parse::<Value>().unwrap())
            };
            assert_eq!(found(&one), Ok(claims.clone()), "{algorithm}");
            assert_eq!(found(&other), Err(TokenFault::Signature), "{algorithm}");
        }
    }
}
