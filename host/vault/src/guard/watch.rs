//! What was sent to a backend of late, and is therefore looked for in all that it
//! answers.
//!
//! A backend can keep a value and return it in a later answer, to a request that
//! carries none. So a [`Watch`] remembers for each authority (host and port) which
//! values went there, by the id and version of their secrets, for 24 hours: at
//! most 256 of them, of which the one that was used longest ago gives way. What the
//! vault no longer holds is forgotten within a second.
//!
//! What went where before the process started is not known. So whatever a grant
//! lets go to a route counts as sent there when the route is first watched and when
//! grants are first loaded, former versions included that were in use within those
//! 24 hours.
//!
//! A matcher holds its values in plain, in twenty forms each. It is built at the
//! first use, kept while uses follow each other, and dropped when there was none
//! for a second; the zeroing allocator then wipes it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use keyward_names::{ComponentDigest, RouteName};
use uuid::Uuid;

use super::Guard;
use super::matcher::Matcher;
use super::quarantine::Quarantine;
use crate::audit::{Outcome, UseEntry, Used};
use crate::grants::{Grant, Terms};
use crate::ledger::Ledger;
use crate::live::{Live, LiveSecret, Version};
use crate::secret::Secret;
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
/// Each group of a set costs a pass over a body; with more of them, they are made
/// one.
const MAX_GROUPS: usize = 4;

/// Which values an authority's answers are searched for.
pub struct Watch {
    live: Arc<ArcSwap<Live>>,
    quarantine: Arc<Quarantine>,
    /// Counts the changes of what is remembered; 0 while that was never anything.
    generation: AtomicU64,
    memory: Mutex<Memory>,
}

struct Memory {
    /// The routes whose grants have been taken as used.
    routes: Vec<RouteName>,
    values: Vec<Remembered>,
    /// What finds `values`; built when it is needed.
    set: Option<Arc<Set>>,
    /// When it was last asked for.
    asked: Instant,
}

struct Remembered {
    value: Arc<Value>,
    used: Instant,
}

/// What is sent: a version of a secret, or a token that was obtained with it.
struct Sent<'a> {
    secret: &'a Arc<LiveSecret>,
    version: &'a Arc<Version>,
    token: Option<&'a Arc<AccessToken>>,
    decode: bool,
}

impl Sent<'_> {
    fn key(&self) -> (Uuid, u64) {
        match self.token {
            Some(token) => (token.id(), 0),
            None => (self.secret.info.id, self.version.number),
        }
    }
}

/// One version of a secret that was sent, or a token that was obtained with one.
pub(super) struct Value {
    secret: Arc<LiveSecret>,
    version: Arc<Version>,
    /// The token that was sent, if that is what was obtained with the secret.
    token: Option<Arc<AccessToken>>,
    /// The use that sent it first, as it was recorded then.
    pub(super) entry: UseEntry,
    /// Whether the grant has encoded answers decoded, at its last use.
    decode: AtomicBool,
    /// What was made with it, where that was sent and not the value.
    derived: Option<Secret>,
}

impl Value {
    /// Something that was made with a version.
    pub(super) fn derived(
        secret: Arc<LiveSecret>,
        version: Arc<Version>,
        value: Secret,
        entry: UseEntry,
    ) -> Self {
        Self {
            secret,
            version,
            token: None,
            entry,
            decode: AtomicBool::new(false),
            derived: Some(value),
        }
    }

    /// What tells it apart.
    pub(super) fn key(&self) -> (Uuid, u64) {
        match &self.token {
            Some(token) => (token.id(), 0),
            None => (self.secret.info.id, self.version.number),
        }
    }

    /// What is searched for: what was made of the secret or obtained with it, or else its
    /// own texts.
    fn searched(&self) -> impl Iterator<Item = &Secret> {
        let token = self.token.as_ref().map(|token| token.value());
        let made = self.derived.as_ref().or(token);
        let own = self.version.searched_values();
        let own = own.filter(move |_| made.is_none());
        made.into_iter().chain(own)
    }

    /// Whether the vault still holds it.
    fn is_held(&self, live: &Live) -> bool {
        if let Some(token) = &self.token
            && token.is_expired(live.parts.clock.now())
        {
            return false;
        }
        let held = live.parts.secrets.get(&self.secret.info.name);
        held.is_some_and(|held| {
            held.info.id == self.secret.info.id
                && held
                    .info
                    .versions
                    .iter()
                    .any(|version| version.number == self.version.number)
        })
    }
}

/// Some values and what finds them.
#[derive(Clone, Default)]
pub(super) struct Set {
    pub(super) groups: Vec<Group>,
}

/// Values that are found in one pass.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) matcher: Arc<Matcher>,
    pub(super) values: Arc<[Arc<Value>]>,
}

impl Group {
    pub(super) fn of(values: Vec<Arc<Value>>) -> Self {
        Self {
            matcher: Arc::new(Matcher::new(
                values
                    .iter()
                    .enumerate()
                    .flat_map(|(index, value)| value.searched().map(move |one| (index, one))),
            )),
            values: values.into(),
        }
    }
}

impl Set {
    /// Whether encoded answers may be decoded for the search.
    pub(super) fn decodes(&self) -> bool {
        let mut values = self.groups.iter().flat_map(|group| group.values.iter());
        values.all(|value| value.decode.load(Ordering::Relaxed))
    }

    fn with(&self, value: &Arc<Value>) -> Self {
        let mut groups = self.groups.clone();
        if groups.len() < MAX_GROUPS {
            groups.push(Group::of(vec![Arc::clone(value)]));
        } else {
            let values = groups.iter().flat_map(|group| group.values.iter());
            let values = values.chain([value]).cloned().collect();
            groups = vec![Group::of(values)];
        }
        Self { groups }
    }
}

#[cfg(any(test, feature = "bench"))]
impl Set {
    /// Of values that stand in no vault, in one group.
    pub(super) fn of_values(values: &[&[u8]]) -> Self {
        let value = |(index, value): (usize, &&[u8])| {
            let (secret, version) = LiveSecret::of_value(index, value);
            let grant = keyward_names::GrantId::parse(&format!("grant-{index}"));
            let policy = keyward_names::PolicyName::parse("policy");
            let entry = UseEntry {
                grants: [0; 32],
                used: Used {
                    policy: policy.expect("a word is a name"),
                    component: ComponentDigest::from_bytes([0; 32]),
                    use_: crate::Use::Attach,
                    alias: None,
                    grant: grant.ok(),
                    secret: Some((secret.info.id, version.number)),
                    route: None,
                    outcome: Outcome::Allowed,
                },
            };
            Arc::new(Value {
                secret,
                version,
                token: None,
                entry,
                decode: AtomicBool::new(false),
                derived: None,
            })
        };
        let values = values.iter().enumerate().map(value).collect();
        Self {
            groups: vec![Group::of(values)],
        }
    }
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
                set: None,
                asked: Instant::now(),
            }),
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
        let mut memory = self.lock();
        memory.asked = Instant::now();
        let set = memory.set();
        (self.generation(), set)
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
            let mut memory = self.lock();
            let sent = Sent {
                secret,
                version,
                token: None,
                decode,
            };
            self.remember(&mut memory, &sent, || entry.clone());
        }
    }

    /// Takes note that a token was sent, which was obtained with a secret. It is looked
    /// for until it expires.
    pub(crate) fn sent_token(
        &self,
        token: &Arc<AccessToken>,
        secret: &Arc<LiveSecret>,
        decode: bool,
        entry: &UseEntry,
    ) {
        let Some(version) = &secret.current else {
            return;
        };
        let mut memory = self.lock();
        let sent = Sent {
            secret,
            version,
            token: Some(token),
            decode,
        };
        self.remember(&mut memory, &sent, || entry.clone());
    }

    fn remember(&self, memory: &mut Memory, sent: &Sent<'_>, entry: impl FnOnce() -> UseEntry) {
        let (now, key) = (Instant::now(), sent.key());
        let mut known = memory.values.iter_mut();
        if let Some(known) = known.find(|known| known.value.key() == key) {
            known.used = now;
            known.value.decode.store(sent.decode, Ordering::Relaxed);
            return;
        }
        if memory.values.len() >= MAX_VALUES {
            // A token before another value: it lives for a while only, and there may be
            // one for each client.
            let oldest = memory.values.iter().enumerate();
            let oldest = oldest.min_by_key(|(_, known)| (known.value.token.is_none(), known.used));
            if let Some(index) = oldest.map(|(index, _)| index) {
                memory.values.swap_remove(index);
                memory.set = None;
            }
        }
        let value = Arc::new(Value {
            secret: Arc::clone(sent.secret),
            version: Arc::clone(sent.version),
            token: sent.token.cloned(),
            entry: entry(),
            decode: AtomicBool::new(sent.decode),
            derived: None,
        });
        memory.set = memory.set.take().map(|set| Arc::new(set.with(&value)));
        memory.values.push(Remembered { value, used: now });
        self.generation.fetch_add(1, Ordering::Release);
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
                    let sent = Sent {
                        secret,
                        version,
                        token: None,
                        decode,
                    };
                    self.remember(&mut memory, &sent, || {
                        presumed(live, &bound.grant, secret, version, &route)
                    });
                }
            }
        }
    }

    /// Forgets what is too old or gone from the vault, and drops what was built and
    /// is not being used since `before`.
    fn tidy(&self, live: &Live, before: Instant, oldest: Option<Instant>) {
        let mut memory = self.lock();
        let count = memory.values.len();
        memory.values.retain(|known| {
            oldest.is_none_or(|oldest| known.used >= oldest) && known.value.is_held(live)
        });
        let changed = memory.values.len() != count;
        if changed {
            self.generation.fetch_add(1, Ordering::Release);
        }
        let idle = memory.asked <= before
            && memory
                .set
                .as_ref()
                .is_some_and(|set| Arc::strong_count(set) == 1);
        let dropped = memory.set.take_if(|_| changed || idle);
        drop(memory);
        // Wiping takes a while, and needs no lock.
        drop(dropped);
    }

    fn is_forgotten(&self) -> bool {
        self.lock().values.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

impl Memory {
    fn set(&mut self) -> Option<Arc<Set>> {
        if self.values.is_empty() {
            return None;
        }
        if self.set.is_none() {
            let values = self.values.iter();
            let values = values.map(|known| Arc::clone(&known.value)).collect();
            self.set = Some(Arc::new(Set {
                groups: vec![Group::of(values)],
            }));
        }
        self.set.clone()
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
