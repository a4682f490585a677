//! A server that signs what it was not asked to, or never: a real one, bent.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use keyward::names::SourceName;
use keyward::sources::openbao::OpenBao;
use keyward::sources::{
    CheckStep, Fetched, RemoteKeys, RemotePublicKey, RemoteSealed, SignatureForm, Source,
    SourceError,
};
use keyward::vault::{JwsAlgorithm, MacAlgorithm, PublicKey};
use zeroize::Zeroizing;

/// What a server does that is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    No,
    /// It signs another text.
    Text,
    /// It signs with another version of the key.
    Version,
    /// It cuts the signature.
    Short,
    Nonsense,
    /// It never answers.
    Never,
}

pub(crate) struct Lying {
    pub(crate) inner: OpenBao,
    pub(crate) lies: Mutex<Lies>,
    pub(crate) asked: Arc<AtomicUsize>,
    /// How many answers were given up.
    pub(crate) dropped: Arc<AtomicUsize>,
}

struct Pending(Arc<AtomicUsize>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct Handle(pub(crate) Arc<Lying>);

impl Source for Handle {
    fn name(&self) -> &SourceName {
        self.0.inner.name()
    }

    fn kind(&self) -> &'static str {
        self.0.inner.kind()
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        self.0.inner.fetch(key)
    }

    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        self.0.inner.check(key)
    }

    fn check_key(&self, key: &str) -> Result<(), SourceError> {
        self.0.inner.check_key(key)
    }

    fn remote_keys(&self) -> Option<&dyn RemoteKeys> {
        Some(self)
    }
}

impl RemoteKeys for Handle {
    fn hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        self.0.inner.hmac(key, algorithm, message)
    }

    fn verify_hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
        code: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, SourceError>> {
        self.0.inner.verify_hmac(key, algorithm, message, code)
    }

    fn public_key<'a>(
        &'a self,
        key: &'a str,
    ) -> BoxFuture<'a, Result<RemotePublicKey, SourceError>> {
        self.0.inner.public_key(key)
    }

    fn version_of<'a>(
        &'a self,
        key: &'a str,
        public: &'a PublicKey,
    ) -> BoxFuture<'a, Result<u64, SourceError>> {
        self.0.inner.version_of(key, public)
    }

    fn sign<'a>(
        &'a self,
        key: &'a str,
        version: u64,
        terms: (JwsAlgorithm, SignatureForm),
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        let inner = &self.0.inner;
        let lies = *self.0.lies.lock().unwrap();
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            match lies {
                Lies::No => inner.sign(key, version, terms, message).await,
                Lies::Text => inner.sign(key, version, terms, b"another text").await,
                Lies::Version => inner.sign(key, 3 - version, terms, message).await,
                Lies::Short => {
                    let mut signature = inner.sign(key, version, terms, message).await?;
                    signature.pop();
                    Ok(signature)
                }
                Lies::Nonsense => Ok(vec![7; 70]),
                Lies::Never => {
                    let _pending = Pending(Arc::clone(&self.0.dropped));
                    std::future::pending().await
                }
            }
        })
    }

    fn seal<'a>(
        &'a self,
        key: &'a str,
        text: &'a [u8],
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<RemoteSealed, SourceError>> {
        self.0.inner.seal(key, text, associated)
    }

    fn open<'a>(
        &'a self,
        key: &'a str,
        sealed: &'a RemoteSealed,
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Zeroizing<Vec<u8>>>, SourceError>> {
        self.0.inner.open(key, sealed, associated)
    }
}
