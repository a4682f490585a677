//! The sources of a running gateway: built from its configuration, asked on schedule,
//! and what they give put into its vault.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyward::egress::{Dialer, Refresh, SetupError};
use keyward::names::{SecretName, SourceName};
use keyward::sources::Source;
use keyward::sources::refresh::{
    Freshness, HasVault, IntoVault, Refresher, Schedule, Scheduled, WeakRefresher, tracked_in,
};
use keyward::vault::Vault;
use keyward::{Keyward, SourceDirectory};

use crate::config::SourceSection;

/// Clients can bring about that a backend refuses a value, as often as they like: a
/// secret is fetched for that once in so long a time.
const AGAIN: Duration = Duration::from_secs(5);

/// The sources of a gateway. Clones are one and the same.
#[derive(Clone)]
pub(crate) struct Sources {
    refresher: Refresher,
    vault: Keyward,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    configured: BTreeMap<SourceName, (SourceSection, Arc<dyn Source>)>,
    /// Those that an embedder brought.
    brought: Vec<Scheduled>,
}

/// Finds sources for keys that stay in theirs.
struct Directory(Arc<Mutex<Inner>>);

impl SourceDirectory for Directory {
    fn source(&self, name: &SourceName) -> Option<Arc<dyn Source>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut brought = inner.brought.iter().map(|brought| &brought.source);
        let brought = brought.find(|source| source.name() == name);
        let configured = || inner.configured.get(name).map(|(_, source)| source);
        brought.or_else(configured).cloned()
    }
}

/// Fetches again what a backend no longer accepted. Weak: egress, which has it, is
/// also behind what fetches.
struct RefreshAgain(WeakRefresher);

impl Refresh for RefreshAgain {
    fn refresh<'a>(
        &'a self,
        secret: &'a SecretName,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if let Some(refresher) = self.0.upgrade() {
                refresher.refresh_sparingly(secret, AGAIN).await;
            }
        })
    }
}

/// The vault of a gateway, for what fetches.
struct VaultOf(Keyward);

impl HasVault for VaultOf {
    fn vault(&self) -> &Vault {
        self.0.vault()
    }
}

/// A source that can't be made from its section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[sources.{name}]: {fault}")]
pub struct SourceFault {
    /// Which.
    pub name: SourceName,
    /// What is wrong, in words.
    pub fault: String,
}

impl Sources {
    pub(crate) fn new(keyward: &Keyward) -> Self {
        let receiver = IntoVault(VaultOf(keyward.clone()));
        Self {
            refresher: Refresher::new(Arc::new(receiver)),
            vault: keyward.clone(),
            inner: Arc::default(),
        }
    }

    /// The vault's gateway with these sources, for keys that stay in theirs and for
    /// requests that are sent again. Errors: a route can't be prepared.
    pub(crate) fn put_into(&self, keyward: &Keyward) -> Result<Keyward, SetupError> {
        let again = RefreshAgain(self.refresher.downgrade());
        let keyward = keyward.with_sources(Arc::new(Directory(Arc::clone(&self.inner))))?;
        keyward.egress().refresh_with(Arc::new(again));
        Ok(keyward)
    }

    /// Asks, reports.
    pub(crate) fn refresher(&self) -> &Refresher {
        &self.refresher
    }

    /// Builds what is new or has changed in these sections. Errors: one can't be made.
    pub(crate) fn build(&self, sections: &[SourceSection]) -> Result<Built, SourceFault> {
        let known = self.inner().configured.clone();
        let mut built = BTreeMap::new();
        for section in sections {
            let same = known
                .get(&section.name)
                .filter(|(before, _)| section.builds_the_same_as(before));
            let source = match same {
                Some((_, source)) => Arc::clone(source),
                None => section
                    .build(&Dialer::default())
                    .map_err(|fault| SourceFault {
                        name: section.name.clone(),
                        fault,
                    })?,
            };
            built.insert(section.name.clone(), (section.clone(), source));
        }
        Ok(Built(built))
    }

    /// Goes by what was built, and by the vault's secrets of this moment.
    pub(crate) fn put_in_force(&self, built: Built) {
        self.inner().configured = built.0;
        self.apply();
    }

    /// Another source, in the place of any of its name, to the end.
    pub(crate) fn bring(&self, source: Arc<dyn Source>, schedule: Schedule) {
        let mut inner = self.inner();
        inner
            .brought
            .retain(|brought| brought.source.name() != source.name());
        inner.brought.push(Scheduled { source, schedule });
        drop(inner);
        self.apply();
    }

    /// Goes by the vault's secrets of this moment.
    pub(crate) fn apply(&self) {
        let inner = self.inner();
        let configured = inner.configured.values();
        let configured = configured.map(|(section, source)| Scheduled {
            source: Arc::clone(source),
            schedule: section.schedule,
        });
        let all = configured.chain(inner.brought.iter().cloned()).collect();
        // Under the lock, so that of two the later one counts.
        self.refresher.apply(all, tracked_in(self.vault.vault()));
    }

    /// What is to be said of a gateway that serves without all of its secrets.
    pub(crate) fn remark(&self) -> Option<String> {
        let secrets = self.refresher.secrets();
        let count = |freshness| {
            let those = secrets
                .iter()
                .filter(|secret| secret.freshness == freshness);
            those.count()
        };
        let (waiting, unavailable) = (count(Freshness::Waiting), count(Freshness::Unavailable));
        let mut words = Vec::new();
        if waiting > 0 {
            words.push(format!("{waiting} without a value yet"));
        }
        if unavailable > 0 {
            words.push(format!(
                "{unavailable} refused, since the source does not answer"
            ));
        }
        (!words.is_empty()).then(|| format!("secrets from sources: {}", words.join(", ")))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sources that are made and not in force yet.
pub(crate) struct Built(BTreeMap<SourceName, (SourceSection, Arc<dyn Source>)>);
