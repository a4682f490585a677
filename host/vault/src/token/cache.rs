//! The tokens at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{AccessToken, TokenKey};
use crate::grants::Grant;
use crate::live::{Live, LiveSecret};

/// The most tokens that are kept. Each client's token is exchanged for one of its own.
const MAX_TOKENS: usize = 4096;
/// How long after one request was answered 401 no other one has a token replaced for
/// that, in milliseconds: any client of a backend can bring a 401 about.
const REPLACED_EVERY: i64 = 5_000;

/// The tokens at hand, by what they are for.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    tokens: HashMap<TokenKey, Arc<AccessToken>>,
    /// When a token was last given up because of a 401.
    replaced: HashMap<TokenKey, Timestamp>,
}

impl Tokens {
    /// A token that is good for this and needs no other one yet.
    pub(super) fn get(
        &self,
        key: &TokenKey,
        grant: &Grant,
        secret: &LiveSecret,
        now: Timestamp,
    ) -> Option<Arc<AccessToken>> {
        let kept = self.lock();
        let token = kept.tokens.get(key)?;
        (now < token.fresh && token.is_for(grant, secret)).then(|| Arc::clone(token))
    }

    /// Keeps a token. Of too many, the one that expires first gives way.
    pub(super) fn put(&self, token: &Arc<AccessToken>) {
        let mut kept = self.lock();
        if kept.tokens.len() >= MAX_TOKENS && !kept.tokens.contains_key(&token.key) {
            let first = kept.tokens.values().min_by_key(|token| token.expires);
            if let Some(key) = first.map(|token| token.key.clone()) {
                kept.tokens.remove(&key);
            }
        }
        kept.tokens.insert(token.key.clone(), Arc::clone(token));
    }

    /// Gives a token up that a backend has answered 401 to. `false` if that was done
    /// for the same a moment ago: then it stays, and there is no other one to try.
    pub(crate) fn give_up(&self, token: &AccessToken, now: Timestamp) -> bool {
        let mut kept = self.lock();
        let is_kept = kept
            .tokens
            .get(&token.key)
            .is_some_and(|other| other.id == token.id);
        if !is_kept {
            // Another one was had since.
            return true;
        }
        let since = |last: &Timestamp| now.as_millisecond() - last.as_millisecond();
        let recent = kept.replaced.get(&token.key).map(since);
        if recent.is_some_and(|since| (0..REPLACED_EVERY).contains(&since)) {
            return false;
        }
        kept.tokens.remove(&token.key);
        kept.replaced.insert(token.key.clone(), now);
        true
    }

    /// Drops what is expired, and what no grant in force is for any more.
    pub(crate) fn tidy(&self, live: &Live) {
        let mut kept = self.lock();
        if kept.tokens.is_empty() && kept.replaced.is_empty() {
            return;
        }
        let now = live.parts.clock.now();
        let (mut gone, mut stay) = (Vec::new(), HashMap::new());
        for (key, token) in kept.tokens.drain() {
            match !token.is_expired(now) && is_in_force(live, &token.grant, &key) {
                true => drop(stay.insert(key, token)),
                false => gone.push(token),
            }
        }
        kept.tokens = stay;
        kept.replaced.retain(|_, last| {
            let since = now.as_millisecond() - last.as_millisecond();
            (0..REPLACED_EVERY).contains(&since)
        });
        drop(kept);
        // Wiping takes a while, and needs no lock.
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the grant is in force as it was, the version of its secret in use, and the
/// endpoint where it was.
fn is_in_force(live: &Live, grant: &Grant, key: &TokenKey) -> bool {
    let endpoint = grant.terms.endpoint().zip(key.address.as_deref());
    let moved = endpoint
        .is_some_and(|(endpoint, address)| !live.parts.reach.is_now(&endpoint.route, address));
    if moved {
        return false;
    }
    let now = live.grants.get(&grant.id);
    now.is_some_and(|now| now.terms == grant.terms && now.policy == grant.policy)
        && live
            .usable(grant)
            .is_some_and(|secret| (secret.info.id, secret.info.version) == key.secret)
}
