//! What was sent to a backend of late, and is therefore looked for in all that it
//! answers.
//!
//! A backend can keep a value and return it in a later answer, to a request that
//! carries none. So a [`Watch`] remembers for each authority (host and port) which
//! values went there, by the id and version of their secrets, for 24 hours: at
//! most 256 of them, of which the one that was used longest ago gives way, and no more
//! than 4 MiB of forms find them. What the vault no longer holds is forgotten within a
//! second.
//!
//! Of a token, of which there may be one for each client, only some bytes are looked
//! for in the answers to other requests, for as long as its life may last.
//!
//! What went where before the process started is not known. So whatever a grant
//! lets go to a route counts as sent there when the route is first watched and when
//! grants are first loaded, former versions included that were in use within those
//! 24 hours.
//!
//! A matcher holds its values in plain, in twenty forms each. It is built at the
//! first use, kept while uses follow each other, and dropped when there was none
//! for a second; the zeroing allocator then wipes it. It is built beside what is in
//! use, by the first that needs it: whoever takes note of a value waits for nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use keyward_names::{ComponentDigest, RouteName};
use uuid::Uuid;

use super::Guard;
use super::quarantine::Quarantine;
use super::set::{Set, Value, token_key};
use crate::audit::{Outcome, UseEntry, Used};
use crate::grants::{Grant, Terms};
use crate::ledger::Ledger;
use crate::live::{Live, LiveSecret, Version};
use crate::token::AccessToken;
use crate::vault::Vault;

/// A matcher that nobody used for this long is dropped.
const IDLE: Duration = Duration::from_secs(1);
/// How long a value is looked for after it was sent.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The most values that are looked for in one authority's answers.
const MAX_VALUES: usize = 256;
/// The most authorities that are remembered for nobody in particular.
const MAX_AUTHORITIES: usize = 4096;
/// The most bytes of forms that find them, about.
const MAX_PATTERN_BYTES: usize = 4 << 20;
/// So many tokens may be looked for that are not remembered any more, before what finds
/// the others is built without them.
const MAX_GONE: usize = 64;

/// Which values an authority's answers are searched for.
pub struct Watch {
    live: Arc<ArcSwap<Live>>,
    quarantine: Arc<Quarantine>,
    /// Counts the changes of what is remembered; 0 while that was never anything.
    generation: AtomicU64,
    memory: Mutex<Memory>,
    /// What finds what is remembered; built when it is needed.
    built: ArcSwapOption<Built>,
    /// Held by who builds it.
    building: Mutex<()>,
}

struct Built {
    /// Of which generation it is.
    generation: u64,
    set: Arc<Set>,
}

struct Memory {
    /// The routes whose grants have been taken as used.
    routes: Vec<RouteName>,
    values: Vec<Remembered>,
    /// What was built before that generation has what is to be found no more.
    removed: u64,
    /// How many tokens are remembered no more that may still be found.
    gone: usize,
    /// When what finds them was last asked for.
    asked: Instant,
}

struct Remembered {
    value: Arc<Value>,
    used: Instant,
    /// With which generation it came.
    since: u64,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Watch {
    fn new(live: &Arc<ArcSwap<Live>>, quarantine: &Arc<Quarantine>) -> Self {
        Self {
            live: Arc::clone(live),
            quarantine: Arc::clone(quarantine),
            generation: AtomicU64::new(0),
            memory: Mutex::new(Memory {
                routes: Vec::new(),
                values: Vec::new(),
                removed: 0,
                gone: 0,
                asked: Instant::now(),
            }),
            built: ArcSwapOption::empty(),
            building: Mutex::new(()),
        }
    }

    /// Watches an answer that is to come, for all that was sent there so far; for
    /// what is sent there while it comes, too. `ledger` is that of the exchange,
    /// under which a find is recorded.
    pub fn guard(self: &Arc<Self>, ledger: &Ledger) -> Guard {
        Guard::new(Arc::clone(self), Some(ledger.afterwards()))
    }

    pub(super) fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// What is in force now.
    pub(super) fn live(&self) -> arc_swap::Guard<Arc<Live>> {
        self.live.load()
    }

    /// How often what is remembered has changed.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What finds all that is remembered, and the generation that this is; `None`
    /// if that is nothing.
    pub(super) fn set(&self) -> (u64, Option<Arc<Set>>) {
        if self.generation() == 0 {
            return (0, None);
        }
        self.lock().asked = Instant::now();
        if let Some(built) = self.current() {
            return (built.generation, Some(Arc::clone(&built.set)));
        }
        // Once, for all who need it now.
        let _one = lock(&self.building);
        match self.current() {
            Some(built) => (built.generation, Some(Arc::clone(&built.set))),
            None => self.build(),
        }
    }

    /// What was built, if nothing has changed since.
    fn current(&self) -> Option<Arc<Built>> {
        let built = self.built.load_full();
        built.filter(|built| built.generation == self.generation())
    }

    fn build(&self) -> (u64, Option<Arc<Set>>) {
        let before = self.built.load_full();
        let mut memory = self.lock();
        let generation = self.generation();
        if memory.values.is_empty() {
            memory.gone = 0;
            drop(memory);
            self.built.store(None);
            return (generation, None);
        }
        let is_of_use =
            |built: &Arc<Built>| built.generation >= memory.removed && memory.gone <= MAX_GONE;
        let before = before.filter(is_of_use);
        let after = before.as_ref().map_or(0, |before| before.generation);
        let values = |after: u64| -> Vec<Arc<Value>> {
            let values = memory.values.iter().filter(|known| known.since > after);
            values.map(|known| Arc::clone(&known.value)).collect()
        };
        let (new, all) = (values(after), values(0));
        if before.is_none() {
            memory.gone = 0;
        }
        drop(memory);
        let set = Arc::new(match before {
            Some(before) => before.set.with(new, all),
            None => Set::of(all),
        });
        let built = Built {
            generation,
            set: Arc::clone(&set),
        };
        self.built.store(Some(Arc::new(built)));
        (generation, Some(set))
    }

    /// Takes note that a version was sent, by a use that is on record. Values that
    /// are too short to be searched for are not remembered.
    pub(crate) fn sent(
        &self,
        secret: &Arc<LiveSecret>,
        version: &Arc<Version>,
        decode: bool,
        entry: &UseEntry,
    ) {
        if is_searched(version) {
            let key = (secret.info.id, version.number);
            self.remember(&mut self.lock(), key, decode, || {
                Value::version(secret, version, decode, entry.clone())
            });
        }
    }

    /// Takes note that a token was sent, which was obtained with a secret. It is looked
    /// for as long as it may be good for whoever has it, at most for 24 hours.
    pub(crate) fn sent_token(&self, token: &Arc<AccessToken>, decode: bool, entry: &UseEntry) {
        self.remember(&mut self.lock(), token_key(token), decode, || {
            Value::token(token, false, decode, entry.clone())
        });
    }

    fn remember(
        &self,
        memory: &mut Memory,
        key: (Uuid, u64),
        decode: bool,
        value: impl FnOnce() -> Value,
    ) {
        let now = Instant::now();
        let mut known = memory.values.iter_mut();
        if let Some(known) = known.find(|known| known.value.key() == key) {
            known.used = now;
            known.value.decode.store(decode, Ordering::Relaxed);
            return;
        }
        let since = self.generation.load(Ordering::Acquire) + 1;
        let value = Arc::new(value());
        while memory.is_full_with(&value) {
            // A token before another value: it lives for a while only, and there may be
            // one for each client.
            let oldest = memory.values.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, known)| (!known.value.is_token(), known.used));
            let Some(index) = oldest.map(|(index, _)| index) else {
                break;
            };
            if memory.values.swap_remove(index).value.is_token() {
                memory.gone += 1;
            } else {
                memory.removed = since;
            }
        }
        memory.values.push(Remembered {
            value,
            used: now,
            since,
        });
        self.generation.store(since, Ordering::Release);
    }

    /// Takes what the grants in force let go to the routes as sent there.
    fn seed(&self, live: &Live, routes: Option<&RouteName>) {
        let mut memory = self.lock();
        for bound in live.bounds_of_all() {
            let Some(secret) = &bound.secret else {
                continue;
            };
            // Which routes are sent the value itself.
            let (to, decode): (Vec<&RouteName>, bool) = match &bound.grant.terms {
                Terms::Attach(placement) => (
                    bound.grant.to.iter().map(|to| &to.route).collect(),
                    placement.decode,
                ),
                Terms::Token(terms) if terms.auth.sends_secret() => {
                    (vec![&terms.endpoint.route], false)
                }
                _ => continue,
            };
            let route = to.into_iter().find(|route| match routes {
                Some(one) => one == *route,
                None => memory.routes.contains(route),
            });
            let Some(route) = route.cloned() else {
                continue;
            };
            for version in secret.versions_in_use_since_a_day() {
                if is_searched(version) {
                    let key = (secret.info.id, version.number);
                    self.remember(&mut memory, key, decode, || {
                        let entry = presumed(live, &bound.grant, secret, version, &route);
                        Value::version(secret, version, decode, entry)
                    });
                }
            }
        }
    }

    /// Forgets what is too old or gone from the vault, and drops what was built and
    /// is not being used since `before`.
    fn tidy(&self, live: &Live, before: Instant, oldest: Option<Instant>) {
        let mut memory = self.lock();
        let (mut tokens, mut others) = (0, 0);
        memory.values.retain(|known| {
            let is_young = oldest.is_none_or(|oldest| known.used >= oldest);
            let stays = is_young && known.value.is_held(live);
            match (stays, known.value.is_token()) {
                (true, _) => {}
                (false, true) => tokens += 1,
                (false, false) => others += 1,
            }
            stays
        });
        memory.gone += tokens;
        let changed = others > 0 || (tokens > 0 && memory.values.is_empty());
        if changed {
            memory.removed = self.generation.fetch_add(1, Ordering::Release) + 1;
        }
        let is_asked = memory.asked > before;
        drop(memory);
        let built = self.built.load_full();
        let idle = !is_asked
            && built
                .as_ref()
                .is_some_and(|built| Arc::strong_count(&built.set) == 1);
        drop(built);
        if changed || idle {
            // Wiping takes a while, and needs no lock.
            self.built.store(None);
        }
    }

    fn is_forgotten(&self) -> bool {
        self.lock().values.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

impl Memory {
    /// Whether there is no room for that value.
    fn is_full_with(&self, value: &Value) -> bool {
        let known = self.values.iter().map(|known| known.value.pattern_bytes());
        let bytes = known.sum::<usize>().saturating_add(value.pattern_bytes());
        self.values.len() >= MAX_VALUES || bytes > MAX_PATTERN_BYTES
    }
}

fn is_searched(version: &Version) -> bool {
    version.is_searched()
}

/// What would be on record of a use before this process started.
fn presumed(
    live: &Live,
    grant: &Grant,
    secret: &LiveSecret,
    version: &Version,
    route: &RouteName,
) -> UseEntry {
    let unknown = ComponentDigest::from_bytes([0; 32]);
    UseEntry {
        grants: live.digest,
        used: Used {
            policy: grant.policy.clone(),
            component: grant.component.unwrap_or(unknown),
            use_: grant.use_(),
            alias: Some(grant.alias.clone()),
            grant: Some(grant.id.clone()),
            secret: Some((secret.info.id, version.number)),
            route: Some(route.clone()),
            outcome: Outcome::Allowed,
            statement: None,
        },
    }
}

/// The watches of a vault.
pub(crate) struct Watches {
    quarantine: Arc<Quarantine>,
    by_authority: Mutex<HashMap<Box<str>, Arc<Watch>>>,
}

impl Watches {
    pub(crate) fn new() -> Self {
        Self {
            quarantine: Arc::default(),
            by_authority: Mutex::default(),
        }
    }

    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// The watch of an authority to which a route leads.
    pub(crate) fn of(
        &self,
        live: &Arc<ArcSwap<Live>>,
        route: &RouteName,
        authority: &str,
    ) -> Arc<Watch> {
        let authority = authority.to_ascii_lowercase();
        let mut watches = lock(&self.by_authority);
        let watch = match watches.get(authority.as_str()) {
            Some(watch) => Arc::clone(watch),
            None => {
                if watches.len() >= MAX_AUTHORITIES {
                    forget_one(&mut watches);
                }
                let watch = Arc::new(Watch::new(live, &self.quarantine));
                watches.insert(authority.into(), Arc::clone(&watch));
                watch
            }
        };
        drop(watches);
        let mut memory = watch.lock();
        if !memory.routes.contains(route) {
            memory.routes.push(route.clone());
            drop(memory);
            watch.seed(&live.load(), Some(route));
        } else {
            drop(memory);
        }
        watch
    }

    /// Takes what grants let go to routes as sent there: they are the first ones.
    pub(crate) fn seed(&self, live: &Live) {
        for watch in self.all() {
            watch.seed(live, None);
        }
    }

    fn all(&self) -> Vec<Arc<Watch>> {
        lock(&self.by_authority).values().cloned().collect()
    }

    fn tidy(&self, live: &Live, before: Instant) {
        let oldest = Instant::now().checked_sub(REMEMBERED_FOR);
        for watch in self.all() {
            watch.tidy(live, before, oldest);
        }
    }
}

/// Forgets an authority that nobody holds, an empty one rather than another.
fn forget_one(watches: &mut HashMap<Box<str>, Arc<Watch>>) {
    let free = watches
        .iter()
        .filter(|(_, watch)| Arc::strong_count(watch) == 1);
    let key = free.min_by_key(|(_, watch)| (!watch.is_forgotten(), watch.lock().asked));
    if let Some(key) = key.map(|(key, _)| key.clone()) {
        watches.remove(&key);
    }
}

impl Vault {
    /// The watch over what is sent to an authority (a host, and the port where it
    /// isn't the scheme's own) to which a route leads: the same one at each call.
    ///
    /// To be kept by whoever sends requests there, so that it isn't forgotten: of
    /// those that nobody keeps, 4,096 are remembered.
    pub fn watch(&self, route: &RouteName, authority: &str) -> Arc<Watch> {
        self.watches.of(&self.live, route, authority)
    }

    /// Takes out of memory what was built for uses that are over: what finds values
    /// in answers, a second after it was last needed; and tokens that were obtained for
    /// a grant or with a version of a secret that is no longer in force.
    ///
    /// To be called about once a second for as long as the vault is open; the crate
    /// `keyward` does so on its own. Cheap when there is nothing to do. That freed
    /// memory is wiped as well is up to the process's allocator; the crate `keyward`
    /// has one that does.
    pub fn shield_idle(&self) {
        if let Some(before) = Instant::now().checked_sub(IDLE) {
            self.watches.tidy(&self.live(), before);
        }
        self.tokens.tidy(&self.live());
    }
}

/// What is locked is usable whatever happened to its last holder.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
