//! Issuers: whose tokens are checked with the keys that they publish.
//!
//! What is promised:
//!
//! - keys are fetched over a route that the operator named, and from nowhere else:
//!   neither a token nor a policy has a say in it. A discovery document (OpenID Connect
//!   Discovery 1.0) is read only when keys are fetched, has to name the issuer, and its
//!   `jwks_uri` has to lie on that route;
//! - one fetch at a time for each issuer, whoever waits for it, and no more often than
//!   the operator's floor, however many tokens name keys that nobody knows;
//! - keys that could not be fetched again for longer than `max_age` are not believed any
//!   more: every token is then refused as unavailable.

mod fetch;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::uri::PathAndQuery;
use keyward_egress::Egress;
use keyward_engine::IssuedTokenFault;
use keyward_names::{IssuerName, RouteName};
use keyward_vault::{KeySet, TokenAlgorithm, TokenFault, TokenRules, Vault, VerifiedToken};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long after a fetch that failed the next may begin, where there are no keys.
const RETRY: Duration = Duration::from_secs(5);

/// An issuer, as the operator described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What policies call it.
    pub name: IssuerName,
    /// The route to it.
    pub route: RouteName,
    /// Where on that route its keys are.
    pub keys: KeysAt,
    /// The algorithms that count. Symmetric ones never do.
    pub algorithms: Vec<TokenAlgorithm>,
    /// What the claims of its tokens have to be.
    pub rules: TokenRules,
    /// How old keys may be before they are fetched again.
    pub refresh: Duration,
    /// How often at most they are fetched because a token names a key that is not
    /// among them.
    pub unknown_key_floor: Duration,
    /// How old they may be and still count.
    pub max_age: Duration,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// At this path.
    Path(PathAndQuery),
    /// Where the document at this path says (`jwks_uri`), on the same route.
    Discovery(PathAndQuery),
}

/// The issuers of a [`Keyward`](crate::Keyward), with the keys that they have published.
pub(crate) struct Issuers {
    known: BTreeMap<IssuerName, Arc<Kept>>,
    egress: Arc<Egress>,
    vault: Arc<Vault>,
}

/// An issuer and its keys.
struct Kept {
    issuer: Issuer,
    fetched: ArcSwapOption<Fetched>,
    flight: Mutex<Flight>,
}

struct Fetched {
    keys: KeySet,
    at: Instant,
}

/// The fetch that is under way, or was last.
#[derive(Default)]
struct Flight {
    /// Closed when it is over.
    running: Option<watch::Receiver<()>>,
    began: Option<Instant>,
}

impl Issuers {
    /// These issuers; one that is equal to one of `before`, over a route that leads to
    /// the same place, keeps its keys.
    pub(crate) fn new(
        issuers: impl IntoIterator<Item = Issuer>,
        egress: Arc<Egress>,
        vault: Arc<Vault>,
        before: Option<&Self>,
    ) -> Self {
        let kept = |issuer: Issuer| {
            let known = before.and_then(|before| {
                let known = before.known.get(&issuer.name)?;
                let leads_to = |egress: &Egress| Some(egress.route(&issuer.route)?.leads_to());
                let same = leads_to(&before.egress) == leads_to(&egress);
                (known.issuer == issuer && same).then(|| Arc::clone(known))
            });
            let kept = known.unwrap_or_else(|| {
                Arc::new(Kept {
                    issuer,
                    fetched: ArcSwapOption::empty(),
                    flight: Mutex::default(),
                })
            });
            (kept.issuer.name.clone(), kept)
        };
        Self {
            known: issuers.into_iter().map(kept).collect(),
            egress,
            vault,
        }
    }

    /// The same issuers over another egress.
    pub(crate) fn over(&self, egress: Arc<Egress>) -> Self {
        let issuers = self.known.values().map(|kept| kept.issuer.clone());
        Self::new(issuers, egress, Arc::clone(&self.vault), Some(self))
    }

    /// Checks a token. Waits for keys where there are none, or none that count, and
    /// where the token names one that may be new. `now` is in milliseconds since 1970.
    ///
    /// Cancel safety: a fetch that was begun goes on.
    pub(crate) async fn verify(
        &self,
        name: &IssuerName,
        token: &str,
        now: u64,
    ) -> Result<VerifiedToken, IssuedTokenFault> {
        let kept = self.known.get(name).ok_or(IssuedTokenFault::NoIssuer)?;
        let issuer = &kept.issuer;
        let current = match kept.current() {
            Some(current) => current,
            None => {
                self.fetched(kept, RETRY).await;
                kept.current().ok_or(IssuedTokenFault::Unavailable)?
            }
        };
        if current.at.elapsed() >= issuer.refresh {
            // Whoever comes meanwhile is answered with the keys that are there.
            drop(self.start(kept, RETRY));
        }
        let check = |keys: &KeySet| keys.verify(token, &issuer.algorithms, &issuer.rules, now);
        let checked = match check(&current.keys) {
            Err(TokenFault::UnknownKey) if self.fetched(kept, issuer.unknown_key_floor).await => {
                let newer = kept.current().ok_or(IssuedTokenFault::Unavailable)?;
                check(&newer.keys)
            }
            checked => checked,
        };
        checked.map_err(IssuedTokenFault::Token)
    }

    /// Waits for a fetch, if one may begin or is under way. Whether it did.
    async fn fetched(&self, kept: &Arc<Kept>, floor: Duration) -> bool {
        let Some(mut running) = self.start(kept, floor) else {
            return false;
        };
        // It is over when its sender is gone, however it ended.
        while running.changed().await.is_ok() {}
        true
    }

    /// The fetch that is under way; else one that begins now, unless the last one began
    /// less than `floor` ago.
    fn start(&self, kept: &Arc<Kept>, floor: Duration) -> Option<watch::Receiver<()>> {
        let mut flight = kept.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &flight.running
            && running.has_changed().is_ok()
        {
            return Some(running.clone());
        }
        if flight.began.is_some_and(|began| began.elapsed() < floor) {
            return None;
        }
        let (over, running) = watch::channel(());
        flight.began = Some(Instant::now());
        flight.running = Some(running.clone());
        drop(flight);
        let (kept, egress) = (Arc::clone(kept), Arc::clone(&self.egress));
        let vault = Arc::clone(&self.vault);
        tokio::spawn(async move {
            kept.fetch(&egress, &vault).await;
            drop(over);
        });
        Some(running)
    }
}

impl Kept {
    /// The keys, if they are young enough to count.
    fn current(&self) -> Option<Arc<Fetched>> {
        let fetched = self.fetched.load_full()?;
        (fetched.at.elapsed() < self.issuer.max_age).then_some(fetched)
    }

    async fn fetch(&self, egress: &Egress, vault: &Vault) {
        let issuer = self.issuer.name.as_str();
        // As old as the question, not as the answer.
        let at = Instant::now();
        match fetch::keys(&self.issuer, egress, vault).await {
            Ok(keys) => {
                tracing::debug!(
                    target: "keyward::issuers", issuer, keys = keys.len(), "keys fetched",
                );
                self.fetched.store(Some(Arc::new(Fetched { keys, at })));
            }
            Err(error) => {
                tracing::warn!(
                    target: "keyward::issuers", issuer, "the issuer's keys can't be fetched: {error}",
                );
            }
        }
    }
}
