//! RSA keys that never leave: wrapping and unwrapping, by aws-lc.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

pub(super) struct RsaKey {
    pub(super) version: String,
    private: OaepPrivateDecryptingKey,
    public: OaepPublicEncryptingKey,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    pub(super) fn generate(version: String) -> Self {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let public: PublicEncryptingKey = private.public_key();
        let der = public.as_der().unwrap();
        let (modulus, exponent) = components(der.as_ref());
        Self {
            version,
            private: OaepPrivateDecryptingKey::new(private).unwrap(),
            public: OaepPublicEncryptingKey::new(public).unwrap(),
            modulus,
            exponent,
        }
    }

    /// As a JWK (RFC 7517), with the operations that it is for.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        json!({
            "kid": kid,
            "kty": "RSA",
            "key_ops": ["wrapKey", "unwrapKey", "encrypt", "decrypt"],
            "n": BASE64URL_NOPAD.encode(&self.modulus),
            "e": BASE64URL_NOPAD.encode(&self.exponent),
        })
    }

    pub(super) fn wrap(&self, algorithm: &str, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.public.ciphertext_size()];
        let wrapped = self
            .public
            .encrypt(known(algorithm)?, plain, &mut out, None);
        Some(wrapped.ok()?.to_vec())
    }

    pub(super) fn unwrap(&self, algorithm: &str, wrapped: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; self.private.min_output_size()];
        let plain = self
            .private
            .decrypt(known(algorithm)?, wrapped, &mut out, None);
        Some(plain.ok()?.to_vec())
    }
}

fn known(algorithm: &str) -> Option<&'static OaepAlgorithm> {
    match algorithm {
        "RSA-OAEP" => Some(&OAEP_SHA1_MGF1SHA1),
        "RSA-OAEP-256" => Some(&OAEP_SHA256_MGF1SHA256),
        _ => None,
    }
}

/// Modulus and exponent out of a SubjectPublicKeyInfo (RFC 5280, 4.1; RFC 8017, A.1.1).
fn components(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (_, info, _) = element(der);
    let (_, _, after_algorithm) = element(info);
    let (_, bits, _) = element(after_algorithm);
    let (_, key, _) = element(&bits[1..]);
    let (_, modulus, rest) = element(key);
    let (_, exponent, _) = element(rest);
    let positive = |number: &[u8]| match number {
        [0, rest @ ..] => rest.to_vec(),
        all => all.to_vec(),
    };
    (positive(modulus), positive(exponent))
}

/// Tag, contents, what follows.
fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
    let first = usize::from(der[1]);
    let (length, start) = match first {
        0..0x80 => (first, 2),
        _ => {
            let end = 2 + (first & 0x7f);
            let read = |length, byte: &u8| (length << 8) | usize::from(*byte);
            (der[2..end].iter().fold(0, read), end)
        }
    };
    let (contents, rest) = der[start..].split_at(length);
    (der[0], contents, rest)
}
