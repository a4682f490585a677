//! Keys that never leave their sources: which source is asked, and for what.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use keyward_egress::RemoteSigner;
use keyward_engine::RemoteCode;
use keyward_names::SourceName;
use keyward_sources::refresh::Refresher;
use keyward_sources::{Source, SourceError};
use keyward_vault::{RemoteAnswer, RemoteCall};

/// Finds sources by their names, for keys that never leave them.
///
/// Asked for each use of such a key; must neither block nor panic.
pub trait SourceDirectory: Send + Sync + 'static {
    /// The source of that name; `None` if there is none.
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>>;
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
}

/// Has requests signed by the sources of a directory.
pub(crate) struct Signers(pub(crate) Arc<dyn SourceDirectory>);

impl RemoteSigner for Signers {
    fn sign<'a>(
        &'a self,
        call: &'a RemoteCall,
    ) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + 'a>> {
        Box::pin(async move {
            match ask(Some(&*self.0), call).await {
                Some(RemoteCode::Made(code)) => Some(code),
                _ => None,
            }
        })
    }
}

/// Has a source do what was permitted. `None`, whatever went wrong: why is in the log.
pub(crate) async fn ask(
    sources: Option<&dyn SourceDirectory>,
    call: &RemoteCall,
) -> Option<RemoteCode> {
    let asked = asked(sources, call).await;
    if let Err(error) = &asked {
        let source = call.reference.source().as_str();
        tracing::warn!(
            target: "keyward::sources",
            source,
            "a key that stays in its source could not be used: {error}",
        );
    }
    asked.ok()
}

async fn asked(
    sources: Option<&dyn SourceDirectory>,
    call: &RemoteCall,
) -> Result<RemoteCode, SourceError> {
    let reference = &call.reference;
    let source = sources
        .and_then(|sources| sources.source(reference.source()))
        .ok_or(SourceError::NotConfigured)?;
    let keys = source.remote_keys().ok_or(SourceError::Unsupported {
        what: "keep keys that never leave it",
    })?;
    let (key, message) = (reference.key(), &call.message[..]);
    match &call.answer {
        RemoteAnswer::Make => {
            let code = keys.hmac(key, call.algorithm, message).await?;
            Ok(RemoteCode::Made(code))
        }
        RemoteAnswer::Check(code) => {
            let checked = keys.verify_hmac(key, call.algorithm, message, code).await?;
            Ok(RemoteCode::Checked(checked))
        }
    }
}
