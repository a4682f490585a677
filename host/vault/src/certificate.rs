//! A certificate's chain and its key. The chain is public; the key stands encrypted
//! in memory and is read for each signature, so that between two there is nothing to
//! find. What is signed is always made here or by TLS: no policy chooses bytes.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use minicbor::Decoder;
use x509_cert::Certificate;
use x509_cert::der::asn1::UintRef;
use x509_cert::der::{Decode, Reader, SliceReader};

use crate::client_certificate::ClientCertificate;
use crate::kind::display_as_str;
use crate::memory::burn_stack;
use crate::secret::Secret;

/// How a private key is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    Pkcs8 = 1,
    Pkcs1 = 2,
    Sec1 = 3,
}

/// What sort of key a certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// RSA of 2048 bits or more.
    Rsa,
    /// ECDSA over P-256.
    P256,
    /// ECDSA over P-384.
    P384,
    /// ECDSA over P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

impl KeyAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rsa, Self::P256, Self::P384, Self::P521, Self::Ed25519];

    /// As people write it: `P-256`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Ed25519 => "Ed25519",
        }
    }
}

display_as_str!(KeyAlgorithm);

/// How a signature is made. Its key must be of the same sort.
pub(crate) enum Signing {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
}

/// A private key in the form that computes. For as long as one signature takes: it
/// wipes itself when dropped.
enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

fn rsa(form: KeyForm, key: &[u8]) -> Option<RsaKeyPair> {
    match form {
        KeyForm::Pkcs8 => RsaKeyPair::from_pkcs8(key).ok(),
        KeyForm::Pkcs1 => RsaKeyPair::from_der(key).ok(),
        KeyForm::Sec1 => None,
    }
}

fn ecdsa(
    form: KeyForm,
    key: &[u8],
    algorithm: &'static EcdsaSigningAlgorithm,
) -> Option<EcdsaKeyPair> {
    match form {
        KeyForm::Pkcs8 => EcdsaKeyPair::from_pkcs8(algorithm, key).ok(),
        KeyForm::Sec1 => EcdsaKeyPair::from_private_key_der(algorithm, key).ok(),
        KeyForm::Pkcs1 => None,
    }
}

fn ed25519(form: KeyForm, key: &[u8]) -> Option<Ed25519KeyPair> {
    match form {
        KeyForm::Pkcs8 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok(),
        KeyForm::Pkcs1 | KeyForm::Sec1 => None,
    }
}

/// What sort of key it is, if its public half is `public`, the contents of a
/// certificate's subjectPublicKey.
pub(crate) fn algorithm_of(form: KeyForm, key: &[u8], public: &[u8]) -> Option<KeyAlgorithm> {
    let curves = [
        (KeyAlgorithm::P256, &ECDSA_P256_SHA256_ASN1_SIGNING),
        (KeyAlgorithm::P384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        (KeyAlgorithm::P521, &ECDSA_P521_SHA512_ASN1_SIGNING),
    ];
    let found = if rsa(form, key).is_some_and(|pair| pair.public_key().as_ref() == public) {
        Some(KeyAlgorithm::Rsa)
    } else if ed25519(form, key).is_some_and(|pair| pair.public_key().as_ref() == public) {
        Some(KeyAlgorithm::Ed25519)
    } else {
        let is = |curve| {
            ecdsa(form, key, curve).is_some_and(|pair| pair.public_key().as_ref() == public)
        };
        let mut curves = curves.into_iter();
        curves
            .find(|(_, curve)| is(curve))
            .map(|(algorithm, _)| algorithm)
    };
    burn_stack();
    found
}

/// A time in RFC 3339, to the second; empty if no calendar has it.
fn time_text(milliseconds: u64) -> String {
    let seconds = i64::try_from(milliseconds / 1000).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// A chain and its leaf's key.
pub(crate) struct CertificateKey {
    chain: Arc<[Box<[u8]>]>,
    form: KeyForm,
    algorithm: KeyAlgorithm,
    key: Secret,
    jwk_thumbprint: Box<str>,
    certificate_thumbprint: Box<str>,
}

crate::secret::assert_not_implemented!(
    CertificateKey: std::fmt::Debug, Clone, serde::Serialize,
);

impl CertificateKey {
    /// Reads the stored form (`FORMAT.md`). `None`: it is damaged.
    pub(crate) fn prepare(stored: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(stored);
        let (Some(3), Some(length)) = (decoder.array().ok()?, decoder.array().ok()?) else {
            return None;
        };
        let mut chain: Vec<Box<[u8]>> = Vec::new();
        for _ in 0..length {
            chain.push(decoder.bytes().ok()?.into());
        }
        let form = match decoder.u8().ok()? {
            1 => KeyForm::Pkcs8,
            2 => KeyForm::Pkcs1,
            3 => KeyForm::Sec1,
            _ => return None,
        };
        let key = decoder.bytes().ok()?;
        let leaf = chain.first()?;
        let certificate = Certificate::from_der(leaf).ok()?;
        let public = certificate
            .tbs_certificate()
            .subject_public_key_info()
            .subject_public_key
            .raw_bytes();
        Some(Self {
            certificate_thumbprint: certificate_thumbprint(leaf).into(),
            chain: chain.into(),
            ..Self::of_key(form, key, public)?
        })
    }

    /// A key without a certificate. `None`: it is not the public one's.
    pub(crate) fn of_key(form: KeyForm, key: &[u8], public: &[u8]) -> Option<Self> {
        let algorithm = algorithm_of(form, key, public)?;
        Some(Self {
            form,
            algorithm,
            key: Secret::copy_of(key),
            jwk_thumbprint: jwk_thumbprint(algorithm, public)?.into(),
            certificate_thumbprint: Box::default(),
            chain: Arc::default(),
        })
    }

    /// What the leaf says of itself to everyone.
    pub(crate) fn public(&self) -> Vec<(String, String)> {
        public_of(&self.chain, self.algorithm)
    }

    /// The certificates as DER, the leaf first.
    pub(crate) fn chain(&self) -> &Arc<[Box<[u8]>]> {
        &self.chain
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The thumbprint of its public key as a JWK (RFC 7638), in base64url.
    pub(crate) fn jwk_thumbprint(&self) -> &str {
        &self.jwk_thumbprint
    }

    /// The SHA-256 of the leaf (`x5t#S256`, RFC 7515, section 4.1.8), in base64url.
    pub(crate) fn certificate_thumbprint(&self) -> &str {
        &self.certificate_thumbprint
    }

    /// A signature of the message. `None`: the key is of another sort.
    pub(crate) fn sign(&self, signing: Signing, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair(&signing).and_then(|pair| match (pair, signing) {
            (Pair::Rsa(pair), Signing::Rsa(encoding)) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                let signed = pair.sign(encoding, &random, message, &mut signature);
                signed.ok().map(|()| signature)
            }
            (Pair::Ecdsa(pair), _) => {
                let signed = pair.sign(&SystemRandom::new(), message);
                signed.ok().map(|signature| signature.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), _) => Some(pair.sign(message).as_ref().to_vec()),
            _ => None,
        });
        burn_stack();
        signature
    }

    fn pair(&self, signing: &Signing) -> Option<Pair> {
        let key = self.key.expose();
        match signing {
            Signing::Rsa(_) => rsa(self.form, &key).map(Pair::Rsa),
            Signing::Ecdsa(algorithm) => ecdsa(self.form, &key, algorithm).map(Pair::Ecdsa),
            Signing::Ed25519 => ed25519(self.form, &key).map(Pair::Ed25519),
        }
    }
}

/// What a chain's leaf says of itself to everyone: whose it is, who vouches for it, its
/// sort of key, its time (RFC 3339), and its SHA-256 in hexadecimal.
pub(crate) fn public_of(chain: &[Box<[u8]>], key: KeyAlgorithm) -> Vec<(String, String)> {
    let leaf = chain.first();
    let read = leaf.and_then(|leaf| ClientCertificate::from_der(leaf).ok());
    let Some(said) = read else {
        return Vec::new();
    };
    let parts = [
        ("subject", said.subject),
        ("issuer", said.issuer),
        ("serial", said.serial),
        ("key", key.to_string()),
        ("not-before", time_text(said.not_before)),
        ("not-after", time_text(said.not_after)),
        ("sha256", said.sha256),
    ];
    let parts = parts.into_iter();
    parts.map(|(name, text)| (name.to_owned(), text)).collect()
}

/// The SHA-256 of a certificate (`x5t#S256`, RFC 7515, section 4.1.8), in base64url.
pub(crate) fn certificate_thumbprint(der: &[u8]) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, der).as_ref())
}

/// RFC 7638, section 3, with the members of RFC 7518, section 6, and RFC 8037,
/// section 2. `public` is the contents of a subjectPublicKey.
pub(crate) fn jwk_thumbprint(algorithm: KeyAlgorithm, public: &[u8]) -> Option<String> {
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let elliptic = |curve: &str| {
        let (x, y) = match public {
            // Not compressed (SEC 1, section 2.3.3).
            [4, point @ ..] if point.len() % 2 == 0 => point.split_at(point.len() / 2),
            _ => return None,
        };
        Some(format!(
            r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
            text(x),
            text(y)
        ))
    };
    let json = match algorithm {
        KeyAlgorithm::Rsa => {
            let mut reader = SliceReader::new(public).ok()?;
            let numbers: Result<_, x509_cert::der::Error> =
                reader.sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)));
            let (n, e) = numbers.ok()?;
            let (n, e) = (text(n.as_bytes()), text(e.as_bytes()));
            format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
        }
        KeyAlgorithm::P256 => elliptic("P-256")?,
        KeyAlgorithm::P384 => elliptic("P-384")?,
        KeyAlgorithm::P521 => elliptic("P-521")?,
        KeyAlgorithm::Ed25519 => {
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(public))
        }
    };
    Some(text(digest(&SHA256, json.as_bytes()).as_ref()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    /// RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_of_an_rsa_key_is_that_of_rfc_7638() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let n = BASE64URL_NOPAD.decode(n.as_bytes()).unwrap();
        let e = [1, 0, 1];
        // RSAPublicKey (RFC 8017, A.1.1): two positive integers.
        let mut public = vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00];
        public.extend_from_slice(&n);
        public.extend_from_slice(&[0x02, 0x03]);
        public.extend_from_slice(&e);
        assert_eq!(
            jwk_thumbprint(KeyAlgorithm::Rsa, &public).unwrap(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    /// RFC 8037, A.3.
    #[test]
    fn the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037() {
        let public = BASE64URL_NOPAD
            .decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            jwk_thumbprint(KeyAlgorithm::Ed25519, &public).unwrap(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
