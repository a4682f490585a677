//! Handshakes that are signed with a key which stays in its source.
//!
//! The signature is verified here with the certificate's public key before TLS has it:
//! a source can refuse to sign, and can't have anything else sent in a signature's place.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};

use super::{NotSignedHere, TlsIdentity, TlsScheme};
use crate::audit::UseEntry;
use crate::jws::PublicKey;
use crate::ledger::Afterwards;
use crate::mac::{MAX_MESSAGE_BYTES, OperationError};
use crate::remote::{RemoteAnswer, RemoteCall, RemoteTask};
use crate::remote_certificate::RemoteCertificate;

/// What may be signed for one connection with a key that stays in its source: the use is
/// permitted and in the audit trail. Whoever asks sees to it that it still may.
pub struct RemoteHandshakes {
    identity: TlsIdentity,
    entry: UseEntry,
    afterwards: Afterwards,
}

/// A client's part of a handshake that is to be signed, whole.
pub struct HandshakeToSign {
    scheme: TlsScheme,
    message: Vec<u8>,
    certificate: Arc<RemoteCertificate>,
}

crate::secret::assert_not_implemented!(RemoteHandshakes: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(HandshakeToSign: Clone, serde::Serialize);

impl RemoteHandshakes {
    /// Of a use that is on record. `None`: the key is here.
    pub(crate) fn new(
        identity: &TlsIdentity,
        entry: &UseEntry,
        afterwards: &Afterwards,
    ) -> Option<Self> {
        identity.is_remote().then(|| Self {
            identity: identity.clone(),
            entry: entry.clone(),
            afterwards: afterwards.clone(),
        })
    }

    /// What to ask of the key's source. Bounds are those of
    /// [`TlsIdentity::sign`](TlsIdentity::sign).
    ///
    /// Errors: the key is of another sort than the scheme, what is to be signed is no
    /// client's handshake, or it has more than [`MAX_MESSAGE_BYTES`].
    pub fn to_sign(
        &self,
        scheme: TlsScheme,
        handshake: &[u8],
    ) -> Result<RemoteCall, NotSignedHere> {
        let (key, certificate) = self.identity.remote().ok_or(NotSignedHere)?;
        if !self.identity.signs(scheme, handshake) || handshake.len() > MAX_MESSAGE_BYTES {
            return Err(NotSignedHere);
        }
        Ok(RemoteCall {
            reference: key.reference.clone(),
            task: RemoteTask::SignHandshake(Box::new(HandshakeToSign {
                scheme,
                message: handshake.to_vec(),
                certificate: Arc::clone(certificate),
            })),
            entry: self.entry.clone(),
            afterwards: self.afterwards.clone(),
        })
    }
}

impl HandshakeToSign {
    /// How it is to be signed. ECDSA's two numbers are in DER (RFC 8446, section 4.2.3).
    pub fn scheme(&self) -> TlsScheme {
        self.scheme
    }

    /// What is to be signed.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The key that has to sign it: the certificate's.
    pub fn key(&self) -> &PublicKey {
        self.certificate.key()
    }

    /// Whether that is its signature.
    pub(crate) fn is_signed(&self, signature: &[u8]) -> bool {
        self.key()
            .is_signed(verifying(self.scheme), &self.message, signature)
    }
}

/// How a signature by that scheme is verified.
pub(crate) fn verifying(scheme: TlsScheme) -> &'static dyn VerificationAlgorithm {
    match scheme {
        TlsScheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        TlsScheme::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        TlsScheme::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        TlsScheme::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        TlsScheme::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
        TlsScheme::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        TlsScheme::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        TlsScheme::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        TlsScheme::EcdsaP521Sha512 => &ECDSA_P521_SHA512_ASN1,
        TlsScheme::Ed25519 => &ED25519,
    }
}

impl RemoteCall {
    /// The handshake's signature that the source made.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it made none, or its
    /// signature is not the certificate's, or not of that handshake.
    pub fn handshake_signed(self, answer: RemoteAnswer) -> Result<Vec<u8>, OperationError> {
        match (&self.task, answer) {
            (RemoteTask::SignHandshake(handshake), RemoteAnswer::Signed { signature, .. })
                if handshake.is_signed(&signature) =>
            {
                Ok(signature)
            }
            _ => Err(self.failed()),
        }
    }
}
