//! A certificate whose key stays in its source: the chain, which is public, and what its
//! key's signatures are verified with.

use std::sync::Arc;

use minicbor::Decoder;

use crate::certificate::{KeyAlgorithm, certificate_thumbprint, public_of};
use crate::jws::PublicKey;

/// A chain without its key.
pub(crate) struct RemoteCertificate {
    chain: Arc<[Box<[u8]>]>,
    key: PublicKey,
    thumbprint: Box<str>,
}

impl RemoteCertificate {
    /// Reads the stored form (`FORMAT.md`). `None`: it is damaged.
    pub(crate) fn prepare(stored: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(stored);
        let (Some(1), Some(length)) = (decoder.array().ok()?, decoder.array().ok()?) else {
            return None;
        };
        let mut chain: Vec<Box<[u8]>> = Vec::new();
        for _ in 0..length {
            chain.push(decoder.bytes().ok()?.into());
        }
        let leaf = chain.first()?;
        Some(Self {
            key: PublicKey::of_certificate(leaf)?,
            thumbprint: certificate_thumbprint(leaf).into(),
            chain: chain.into(),
        })
    }

    /// The certificates as DER, the leaf first.
    pub(crate) fn chain(&self) -> &Arc<[Box<[u8]>]> {
        &self.chain
    }

    /// The leaf's key.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.key.algorithm()
    }

    /// The SHA-256 of the leaf (`x5t#S256`, RFC 7515, section 4.1.8), in base64url.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// What the leaf says of itself to everyone.
    pub(crate) fn public(&self) -> Vec<(String, String)> {
        public_of(&self.chain, self.algorithm())
    }
}
