//! Tokens that a key signs which stays in its source.
//!
//! The head of a token may name its key, so the source tells the key's public half
//! first, and signs with that version of the key. Its signature is verified here: a
//! source can refuse to sign, and can't have anything else sent in a signature's place.

use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    UnparsedPublicKey, VerificationAlgorithm,
};
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use super::{
    Assertion, Claims, JwsAlgorithm, KeyId, KeyNames, Token, claims_of, head_of, identifier,
    signing_text, with_signature,
};
use crate::certificate::{KeyAlgorithm, jwk_thumbprint};
use crate::grants::{JwsTerms, Terms};
use crate::ledger::Ledger;
use crate::mac::OperationError;
use crate::permit::Permit;
use crate::remote::{RemoteAnswer, RemoteCall, RemoteKey, RemoteTask, RemoteUse};
use crate::remote_certificate::RemoteCertificate;
use crate::uses;
use crate::vault::Vault;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const EDWARDS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The public half of a key that stays in its source.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    /// The contents of its subjectPublicKey.
    key: Arc<[u8]>,
    thumbprint: Arc<str>,
}

/// It is no public key that tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither RSA of 2048 bits or more, ECDSA (P-256, P-384, P-521) nor Ed25519")]
pub struct NotAPublicKey;

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in DER.
    ///
    /// Errors: it is something else, or a key of another sort.
    pub fn from_spki(der: &[u8]) -> Result<Self, NotAPublicKey> {
        Self::read(der).ok_or(NotAPublicKey)
    }

    /// That of a certificate in DER. `None`: it has none of these, or is none.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let info = certificate.tbs_certificate().subject_public_key_info();
        Self::read(&info.to_der().ok()?)
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn read(der: &[u8]) -> Option<Self> {
        let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
        let algorithm = match info.algorithm.oid {
            RSA => KeyAlgorithm::Rsa,
            EDWARDS => KeyAlgorithm::Ed25519,
            ELLIPTIC => match info.algorithm.parameters_oid().ok()? {
                P256 => KeyAlgorithm::P256,
                P384 => KeyAlgorithm::P384,
                P521 => KeyAlgorithm::P521,
                _ => return None,
            },
            _ => return None,
        };
        let key = info.subject_public_key.as_bytes()?;
        Some(Self {
            algorithm,
            thumbprint: jwk_thumbprint(algorithm, key)?.into(),
            key: key.into(),
        })
    }

    fn verifies(&self, algorithm: JwsAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let verifying: &'static dyn VerificationAlgorithm = match algorithm {
            JwsAlgorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            JwsAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            JwsAlgorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            JwsAlgorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            JwsAlgorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
            JwsAlgorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
            JwsAlgorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
            JwsAlgorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
            JwsAlgorithm::Es512 => &ECDSA_P521_SHA512_FIXED,
            JwsAlgorithm::EdDsa => &ED25519,
        };
        self.is_signed(verifying, message, signature)
    }

    /// Whether the signature is this key's, of that message.
    pub(crate) fn is_signed(
        &self,
        verifying: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let key = UnparsedPublicKey::new(verifying, &self.key);
        key.verify(message, signature).is_ok()
    }
}

/// A token that lacks its signature, and the name of its key.
pub struct TokenToSign {
    algorithm: JwsAlgorithm,
    key_id: KeyId,
    claims: Zeroizing<String>,
    /// The certificate that is here of the key.
    certificate: Option<Arc<RemoteCertificate>>,
}

crate::secret::assert_not_implemented!(TokenToSign: std::fmt::Debug, Clone, serde::Serialize);

impl TokenToSign {
    /// Of what the terms and the claims say together. `None`: the terms don't allow
    /// them, or name the key by a certificate that isn't here.
    pub(crate) fn new(
        terms: &JwsTerms,
        claims: &Claims,
        key: &RemoteKey,
        now: i64,
    ) -> Option<Self> {
        Self::of(&terms.assertion(claims)?, key, now)
    }

    /// Of an assertion. `None`: it names the key by a certificate that isn't here, or its
    /// times are out of bounds.
    pub(crate) fn of(assertion: &Assertion<'_>, key: &RemoteKey, now: i64) -> Option<Self> {
        let certificate = key.certificate.clone();
        if *assertion.key_id == KeyId::CertificateThumbprint && certificate.is_none() {
            return None;
        }
        Some(Self {
            algorithm: assertion.algorithm,
            key_id: assertion.key_id.clone(),
            claims: Zeroizing::new(claims_of(assertion, now, &identifier())?),
            certificate,
        })
    }

    /// The key that has to sign it, where its certificate is here. `None`: the newest
    /// version that the source has.
    pub fn key(&self) -> Option<&PublicKey> {
        self.certificate
            .as_ref()
            .map(|certificate| certificate.key())
    }

    /// With which algorithm it is to be signed.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// What is to be signed (RFC 7515, section 5.1, step 8), if with that key.
    /// `None`: the key is not of the algorithm's sort, or another one than the
    /// certificate's.
    pub fn text(&self, key: &PublicKey) -> Option<Zeroizing<String>> {
        if key.algorithm != self.algorithm.key() || self.key().is_some_and(|its| its != key) {
            return None;
        }
        let certificate = self.certificate.as_ref();
        let names = KeyNames {
            jwk_thumbprint: &key.thumbprint,
            certificate_thumbprint: certificate.map_or("", |certificate| certificate.thumbprint()),
        };
        let head = head_of(self.algorithm, &self.key_id, names);
        Some(signing_text(head.as_bytes(), self.claims.as_bytes()))
    }

    /// Whether it would be a token with this signature of that key's.
    pub(crate) fn is_signed(&self, key: &PublicKey, signature: &[u8]) -> bool {
        let text = self.text(key);
        text.is_some_and(|text| key.verifies(self.algorithm, text.as_bytes(), signature))
    }

    fn signed(&self, key: &PublicKey, signature: &[u8]) -> Option<Token> {
        let text = self.text(key)?;
        let is_whole = key.verifies(self.algorithm, text.as_bytes(), signature);
        is_whole.then(|| with_signature(text, signature))
    }
}

impl RemoteCall {
    /// The token that the source signed.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it didn't, or its
    /// signature is not that key's, or not of that text.
    pub fn signed(self, answer: RemoteAnswer) -> Result<Token, OperationError> {
        let token = match (&self.task, answer) {
            (RemoteTask::SignToken(token), RemoteAnswer::Signed { key, signature }) => {
                token.signed(&key, &signature)
            }
            _ => None,
        };
        token.ok_or_else(|| self.failed())
    }
}

impl Permit<uses::JwsSign> {
    /// Has a token with these claims signed by the key's source, for the policy itself.
    ///
    /// Errors: as [`sign`](Self::sign) has them, or the key is here
    /// ([`is_remote`](Self::is_remote)), or the grant names it by a certificate
    /// that isn't.
    pub fn ask(
        self,
        vault: &Vault,
        claims: &Claims,
        ledger: &Ledger,
    ) -> Result<RemoteUse, OperationError> {
        let key = self.remote_key()?;
        if !key.signs_tokens() {
            return Err(OperationError::Unavailable);
        }
        let Terms::JwsSign(terms) = self.terms() else {
            return Err(OperationError::Unavailable);
        };
        if !terms.returns || terms.assertion(claims).is_none() {
            return Err(OperationError::NotGranted);
        }
        let now = vault.live().parts.clock.now().as_second();
        let token = TokenToSign::new(terms, claims, key, now).ok_or(OperationError::Unavailable)?;
        self.asked(RemoteTask::SignToken(Box::new(token)), ledger)
    }
}
