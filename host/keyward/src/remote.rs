//! Keys that never leave their sources: which source is asked, and for what.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_egress::RemoteSigner;
use keyward_names::SourceName;
use keyward_sources::refresh::Refresher;
use keyward_sources::{RemoteKeys, RemoteSealed, SignatureForm, Source, SourceError};
use keyward_vault::{
    HandshakeToSign, PublicKey, Reference, RemoteAnswer, RemoteCall, RemoteTask, TokenToSign,
};

/// A source that was given up after this time was silent, and not its caller hasty.
const SILENT_AFTER: Duration = Duration::from_millis(500);

/// Finds sources by their names, for keys that never leave them.
///
/// Asked for each use of such a key; must neither block nor panic.
pub trait SourceDirectory: Send + Sync + 'static {
    /// The source of that name; `None` if there is none.
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>>;

    /// For how much longer the source is not to be asked: then a use of a key of it is
    /// refused at once. By default it can always be asked.
    fn pause(&self, name: &SourceName) -> Option<Duration> {
        let _ = name;
        None
    }

    /// Takes what came of a use of that key. By default nobody keeps it.
    fn used(&self, reference: &Reference, outcome: Result<(), &SourceError>) {
        let _ = (reference, outcome);
    }
}

impl SourceDirectory for BTreeMap<SourceName, Arc<dyn Source>> {
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>> {
        self.get(name).cloned()
    }
}

impl SourceDirectory for Refresher {
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>> {
        Refresher::source(self, name).ok()
    }

    fn pause(&self, name: &SourceName) -> Option<Duration> {
        Refresher::pause(self, name)
    }

    fn used(&self, reference: &Reference, outcome: Result<(), &SourceError>) {
        Refresher::used(self, reference, outcome);
    }
}

/// Has requests, tokens and handshakes signed by the sources of a directory.
pub(crate) struct Signers(pub(crate) Arc<dyn SourceDirectory>);

impl RemoteSigner for Signers {
    fn sign<'a>(
        &'a self,
        call: &'a RemoteCall,
    ) -> Pin<Box<dyn Future<Output = Option<RemoteAnswer>> + Send + 'a>> {
        Box::pin(ask(Some(&*self.0), call))
    }
}

/// Has a source do what was permitted. `None`, whatever went wrong: why is in the log.
pub(crate) async fn ask(
    sources: Option<&dyn SourceDirectory>,
    call: &RemoteCall,
) -> Option<RemoteAnswer> {
    let name = call.reference.source();
    let source = name.as_str();
    if let Some(pause) = sources.and_then(|sources| sources.pause(name)) {
        let seconds = pause.as_secs_f64();
        tracing::warn!(
            target: "keyward::sources",
            source,
            seconds,
            "a key that stays in its source was not used: the source is left alone for a while",
        );
        return None;
    }
    let asked = match sources {
        Some(sources) => asked(sources, call).await,
        None => Err(SourceError::NotConfigured),
    };
    if let Err(error) = &asked {
        tracing::warn!(
            target: "keyward::sources",
            source,
            "a key that stays in its source could not be used: {error}",
        );
    }
    asked.ok()
}

async fn asked(
    sources: &dyn SourceDirectory,
    call: &RemoteCall,
) -> Result<RemoteAnswer, SourceError> {
    let name = call.reference.source();
    let source = sources.source(name).ok_or(SourceError::NotConfigured)?;
    let keys = source.remote_keys().ok_or(SourceError::Unsupported {
        what: "keep keys that never leave it",
    })?;
    let watched = Watched {
        sources,
        reference: &call.reference,
        since: Some(Instant::now()),
    };
    let done = match done(keys, call).await {
        // Named here; the vault doesn't take it either.
        Ok(answer) if call.is_forged(&answer) => Err(SourceError::Forged),
        other => other,
    };
    watched.ended(done.as_ref().map(|_| ()));
    done
}

/// A use that is under way. One that is dropped counts if the source was silent: who
/// waits for it waits for less than a second, and a client may go sooner.
struct Watched<'a> {
    sources: &'a dyn SourceDirectory,
    reference: &'a Reference,
    since: Option<Instant>,
}

impl Watched<'_> {
    fn ended(mut self, outcome: Result<(), &SourceError>) {
        self.since = None;
        self.sources.used(self.reference, outcome);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if self
            .since
            .is_some_and(|since| since.elapsed() >= SILENT_AFTER)
        {
            self.sources
                .used(self.reference, Err(&SourceError::TimedOut));
        }
    }
}

async fn done(keys: &dyn RemoteKeys, call: &RemoteCall) -> Result<RemoteAnswer, SourceError> {
    let key = call.reference.key();
    Ok(match &call.task {
        RemoteTask::MakeCode { algorithm, message } => {
            RemoteAnswer::Code(keys.hmac(key, *algorithm, message).await?)
        }
        RemoteTask::CheckCode {
            algorithm,
            message,
            code,
        } => {
            let checked = keys.verify_hmac(key, *algorithm, message, code);
            RemoteAnswer::Checked(checked.await?)
        }
        RemoteTask::SignToken(token) => sign(keys, key, token).await?,
        RemoteTask::SignHandshake(handshake) => shake_hands(keys, key, handshake).await?,
        RemoteTask::Seal { text, associated } => {
            let RemoteSealed { version, sealed } = keys.seal(key, text, associated).await?;
            RemoteAnswer::Sealed { version, sealed }
        }
        RemoteTask::Open {
            version,
            sealed,
            associated,
        } => {
            let sealed = RemoteSealed {
                version: *version,
                sealed: sealed.clone(),
            };
            RemoteAnswer::Opened(keys.open(key, &sealed, associated).await?)
        }
        _ => {
            return Err(SourceError::Unsupported {
                what: "do this with a key that stays there",
            });
        }
    })
}

async fn sign(
    keys: &dyn RemoteKeys,
    key: &str,
    token: &TokenToSign,
) -> Result<RemoteAnswer, SourceError> {
    let what = "the key is not of the sort that the grant's algorithm needs";
    let other = SourceError::Malformed { what };
    let (version, half) = match token.key() {
        Some(half) => (keys.version_of(key, half).await?, half.clone()),
        None => {
            let public = keys.public_key(key).await?;
            let half = PublicKey::from_spki(&public.spki).map_err(|_| other.clone())?;
            (public.version, half)
        }
    };
    let text = token.text(&half).ok_or(other)?;
    let terms = (token.algorithm(), SignatureForm::Jws);
    let signature = keys.sign(key, version, terms, text.as_bytes()).await?;
    Ok(RemoteAnswer::Signed {
        key: half,
        signature,
    })
}

async fn shake_hands(
    keys: &dyn RemoteKeys,
    key: &str,
    handshake: &HandshakeToSign,
) -> Result<RemoteAnswer, SourceError> {
    let half = handshake.key();
    let version = keys.version_of(key, half).await?;
    let terms = (handshake.scheme().as_jws(), SignatureForm::Asn1);
    let signature = keys.sign(key, version, terms, handshake.message()).await?;
    Ok(RemoteAnswer::Signed {
        key: half.clone(),
        signature,
    })
}
