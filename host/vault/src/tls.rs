//! A certificate that the host shows in TLS. What leaves the vault is a handle: the
//! chain, which is public, and a way to have a handshake signed. The key stays, here or
//! in its source.

mod remote;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512,
};
use uuid::Uuid;

use crate::certificate::{CertificateKey, KeyAlgorithm, Signing};
use crate::jws::JwsAlgorithm;
use crate::live::{LiveSecret, Material, Version};
use crate::remote::RemoteKey;
use crate::remote_certificate::RemoteCertificate;

#[cfg(test)]
pub(crate) use remote::verifying;
pub use remote::{HandshakeToSign, RemoteHandshakes};

/// How a handshake is signed: the code points of RFC 8446, section 4.2.3, that are
/// neither broken nor about other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 8446")]
pub enum TlsScheme {
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    Ed25519,
}

impl TlsScheme {
    /// Its number in the protocol.
    pub const fn code(&self) -> u16 {
        match self {
            Self::RsaPkcs1Sha256 => 0x0401,
            Self::RsaPkcs1Sha384 => 0x0501,
            Self::RsaPkcs1Sha512 => 0x0601,
            Self::EcdsaP256Sha256 => 0x0403,
            Self::EcdsaP384Sha384 => 0x0503,
            Self::EcdsaP521Sha512 => 0x0603,
            Self::RsaPssSha256 => 0x0804,
            Self::RsaPssSha384 => 0x0805,
            Self::RsaPssSha512 => 0x0806,
            Self::Ed25519 => 0x0807,
        }
    }

    /// As tokens have it: the same hash and padding, of the same sort of key.
    pub const fn as_jws(&self) -> JwsAlgorithm {
        match self {
            Self::RsaPkcs1Sha256 => JwsAlgorithm::Rs256,
            Self::RsaPkcs1Sha384 => JwsAlgorithm::Rs384,
            Self::RsaPkcs1Sha512 => JwsAlgorithm::Rs512,
            Self::EcdsaP256Sha256 => JwsAlgorithm::Es256,
            Self::EcdsaP384Sha384 => JwsAlgorithm::Es384,
            Self::EcdsaP521Sha512 => JwsAlgorithm::Es512,
            Self::RsaPssSha256 => JwsAlgorithm::Ps256,
            Self::RsaPssSha384 => JwsAlgorithm::Ps384,
            Self::RsaPssSha512 => JwsAlgorithm::Ps512,
            Self::Ed25519 => JwsAlgorithm::EdDsa,
        }
    }

    fn signing(self) -> Signing {
        match self {
            Self::RsaPkcs1Sha256 => Signing::Rsa(&RSA_PKCS1_SHA256),
            Self::RsaPkcs1Sha384 => Signing::Rsa(&RSA_PKCS1_SHA384),
            Self::RsaPkcs1Sha512 => Signing::Rsa(&RSA_PKCS1_SHA512),
            Self::EcdsaP256Sha256 => Signing::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            Self::EcdsaP384Sha384 => Signing::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            Self::EcdsaP521Sha512 => Signing::Ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            Self::RsaPssSha256 => Signing::Rsa(&RSA_PSS_SHA256),
            Self::RsaPssSha384 => Signing::Rsa(&RSA_PSS_SHA384),
            Self::RsaPssSha512 => Signing::Rsa(&RSA_PSS_SHA512),
            Self::Ed25519 => Signing::Ed25519,
        }
    }
}

/// Which certificate, in which version: what a connection on which it was shown
/// belongs to. It says nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentityId {
    pub(crate) secret: Uuid,
    pub(crate) version: u64,
}

impl IdentityId {
    /// Whether both are versions of one certificate.
    pub fn is_of_same_secret(&self, other: &Self) -> bool {
        self.secret == other.secret
    }

    pub(crate) fn of(secret: &LiveSecret) -> Self {
        Self {
            secret: secret.info.id,
            version: secret.info.version,
        }
    }
}

/// A certificate to show in TLS. Cheap to clone; the key that it signs with is in the
/// vault's memory, encrypted while it does not.
#[derive(Clone)]
pub struct TlsIdentity {
    id: IdentityId,
    version: Arc<Version>,
}

/// A handshake was not signed: the key is of another sort than the scheme, or what
/// was to be signed is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate's key does not sign this")]
pub struct NotSignedHere;

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl TlsIdentity {
    /// The secret's version in use, as an identity. `None`: it is no certificate.
    pub(crate) fn of(secret: &LiveSecret) -> Option<Self> {
        let version = secret.current.as_ref()?;
        let identity = Self {
            id: IdentityId::of(secret),
            version: Arc::clone(version),
        };
        let has_chain = identity.key().is_some() || identity.remote().is_some();
        has_chain.then_some(identity)
    }

    fn key(&self) -> Option<&CertificateKey> {
        match &self.version.material {
            Material::Certificate(key) => Some(key),
            _ => None,
        }
    }

    /// Its key and its certificate, if the key stays in its source.
    fn remote(&self) -> Option<(&RemoteKey, &Arc<RemoteCertificate>)> {
        match &self.version.material {
            Material::Remote(key) => Some((key, key.certificate.as_ref()?)),
            _ => None,
        }
    }

    /// Whether its key stays in its source, so that [`RemoteHandshakes`] are what it
    /// signs.
    pub fn is_remote(&self) -> bool {
        self.remote().is_some()
    }

    /// Which certificate it is.
    pub fn id(&self) -> IdentityId {
        self.id
    }

    /// The certificates as DER, the leaf first. Never empty.
    pub fn chain(&self) -> &[Box<[u8]>] {
        match (self.key(), self.remote()) {
            (Some(key), _) => key.chain(),
            (_, Some((_, certificate))) => certificate.chain(),
            _ => &[],
        }
    }

    /// What sort of key it has.
    pub fn algorithm(&self) -> KeyAlgorithm {
        match (self.key(), self.remote()) {
            (Some(key), _) => key.algorithm(),
            (_, Some((_, certificate))) => certificate.algorithm(),
            _ => KeyAlgorithm::Ed25519,
        }
    }

    /// How its key can sign, the best first.
    pub fn schemes(&self) -> &'static [TlsScheme] {
        use TlsScheme::{
            EcdsaP256Sha256, EcdsaP384Sha384, EcdsaP521Sha512, Ed25519, RsaPkcs1Sha256,
            RsaPkcs1Sha384, RsaPkcs1Sha512, RsaPssSha256, RsaPssSha384, RsaPssSha512,
        };
        match self.algorithm() {
            KeyAlgorithm::Rsa => &[
                RsaPssSha256,
                RsaPssSha384,
                RsaPssSha512,
                RsaPkcs1Sha256,
                RsaPkcs1Sha384,
                RsaPkcs1Sha512,
            ],
            KeyAlgorithm::P256 => &[EcdsaP256Sha256],
            KeyAlgorithm::P384 => &[EcdsaP384Sha384],
            KeyAlgorithm::P521 => &[EcdsaP521Sha512],
            KeyAlgorithm::Ed25519 => &[Ed25519],
        }
    }

    fn signs(&self, scheme: TlsScheme, handshake: &[u8]) -> bool {
        is_handshake(handshake) && self.schemes().contains(&scheme)
    }

    /// Signs a client's part of a handshake with a key that is here: what CertificateVerify is over, in TLS 1.3
    /// (RFC 8446, section 4.4.3) or TLS 1.2 (RFC 5246, section 7.4.8). Nothing else is
    /// signed, so that no handshake's signature is one of a token.
    pub fn sign(&self, scheme: TlsScheme, handshake: &[u8]) -> Result<Vec<u8>, NotSignedHere> {
        if !self.signs(scheme, handshake) {
            return Err(NotSignedHere);
        }
        let key = self.key().ok_or(NotSignedHere)?;
        key.sign(scheme.signing(), handshake).ok_or(NotSignedHere)
    }
}

fn is_handshake(message: &[u8]) -> bool {
    const TLS_1_3: &[u8] = b"TLS 1.3, client CertificateVerify\0";
    /// ClientHello, with which a handshake of TLS 1.2 begins.
    const CLIENT_HELLO: u8 = 1;
    let spaces = message.iter().take_while(|byte| **byte == b' ').count();
    let after = message.get(64..).unwrap_or_default();
    (spaces == 64 && after.starts_with(TLS_1_3)) || message.first() == Some(&CLIENT_HELLO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handshakes_of_clients_are_signed() {
        let with = |context: &str| [&[b' '; 64][..], context.as_bytes(), &[0; 33]].concat();
        assert!(is_handshake(&with("TLS 1.3, client CertificateVerify")));
        assert!(is_handshake(&[1, 0, 1, 252, 3, 3]));
        assert!(!is_handshake(&with("TLS 1.3, server CertificateVerify")));
        assert!(!is_handshake(b"eyJhbGciOiJFUzI1NiJ9.e30"));
        assert!(!is_handshake(b""));
        assert!(!is_handshake(&[b' '; 64]));
    }
}
