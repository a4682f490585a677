//! Watches a backend's answer for the values that were sent to it.
//!
//! A backend that was given a value (class C) may hand it on to the client, by
//! accident or on purpose. The guard looks for the value as it is and in the forms
//! that other layers give to text: base64 at any alignment and in both alphabets,
//! hexadecimal, percent-encoding, escapes of JSON, HTML and XML, UTF-16. It finds
//! them across the borders of chunks and holds back only what could be the start
//! of one. It looks for what the request carried and for what was sent to that host
//! before ([`Watch`]). What it can't find is a value that a backend transforms in
//! another way or returns piece by piece; `SECURITY.md` says so.

mod matcher;
mod quarantine;
mod set;
mod sieve;
mod watch;

use std::sync::Arc;

use aho_corasick::automaton::StateID;
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use http::{StatusCode, response};
use keyward_names::GrantId;
use uuid::Uuid;

use crate::audit::{Outcome, UseEntry};
use crate::grants::WhenReflected;
use crate::headers::remove_alike;
use crate::ledger::Afterwards;
use crate::live::{LiveSecret, Version};
use crate::secret::Secret;
use crate::token::AccessToken;
use matcher::FoundValue;
pub(crate) use matcher::Matcher;
use set::{Group, Set, Value};

pub use watch::Watch;
pub(crate) use watch::Watches;

/// Values shorter than this, in bytes, are not searched for: others' texts would
/// hold them by chance, and a policy could find them out by having a backend
/// return its guesses.
pub(crate) const MIN_SEARCHED_BYTES: usize = 12;

/// The answer may not be passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend's answer {found}")]
pub struct Reflected {
    /// The grant under which the value was sent; for what can't be read, the grant
    /// of one of the values that could be in it.
    pub grant: GrantId,
    /// What was found.
    pub found: Found,
}

/// What a guard found in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// A value that was sent to the backend.
    #[error("holds a value that was sent to it")]
    Value,
    /// A content encoding that was not asked for, in which nothing can be found.
    #[error("is encoded in a way that was not asked for")]
    Encoded,
    /// A part that was not asked for: a value could come in several.
    #[error("is a part of an answer that was not asked for")]
    Partial,
}

/// Watches one answer for the values of class B and C that were sent to its
/// backend: with the request, and within the last 24 hours.
///
/// What it finds it enters into the audit trail itself, without waiting.
#[derive(Clone)]
pub struct Guard {
    /// Where values come from that are sent while the answer comes. Tests of the
    /// guard alone have none.
    watch: Option<Arc<Watch>>,
    generation: u64,
    /// `None` for nothing to look for.
    set: Option<Arc<Set>>,
    /// What the request itself carried, and the uses that wrote it.
    own: Arc<[((Uuid, u64), UseEntry)]>,
    /// Where to record a find.
    afterwards: Option<Afterwards>,
    status_only: bool,
    /// What was made for this request alone, and its tokens.
    derived: Option<Group>,
    /// What finds what the request carried: to the end of its answer, whatever is
    /// forgotten meanwhile.
    carried: Arc<[Group]>,
}

/// Something that was made or obtained with a secret and is sent with one request, and
/// is as good as the secret for a while: it is searched for in that request's answer.
pub(crate) struct Derived(Arc<Value>);

impl Derived {
    pub(crate) fn new(
        secret: Arc<LiveSecret>,
        version: Arc<Version>,
        value: Secret,
        entry: UseEntry,
    ) -> Self {
        Self(Arc::new(Value::made(&secret, version.number, value, entry)))
    }

    pub(crate) fn token(token: &Arc<AccessToken>, decode: bool, entry: &UseEntry) -> Self {
        Self(Arc::new(Value::token(token, true, decode, entry.clone())))
    }
}

impl Guard {
    fn new(watch: Arc<Watch>, afterwards: Option<Afterwards>) -> Self {
        let (generation, set) = watch.set();
        Self {
            watch: Some(watch),
            generation,
            set,
            own: Arc::new([]),
            afterwards,
            status_only: false,
            derived: None,
            carried: Arc::new([]),
        }
    }

    /// Searches for these, too.
    pub(crate) fn with_derived(mut self, derived: Vec<Derived>) -> Self {
        if !derived.is_empty() {
            let values = derived.into_iter().map(|derived| derived.0).collect();
            self.derived = Some(Group::of(values));
            self.add_own();
        }
        self
    }

    /// Adds what finds what the request carried, where the set doesn't.
    fn add_own(&mut self) {
        let set = self.set.as_deref();
        let is_there = |key: &(Uuid, u64)| set.is_some_and(|set| set.has(*key));
        let carried = self.carried.iter().filter(|group| {
            let mut keys = self.own.iter().map(|(key, _)| key);
            keys.any(|key| group.has(*key) && !is_there(key))
        });
        let added: Vec<Group> = carried.chain(&self.derived).cloned().collect();
        if !added.is_empty() {
            let mut set = set.cloned().unwrap_or_default();
            set.groups.extend(added);
            self.set = Some(Arc::new(set));
        }
    }

    /// The guard of an answer to a request onto which values were written.
    pub(crate) fn of_written(
        watch: Arc<Watch>,
        own: Vec<((Uuid, u64), UseEntry)>,
        afterwards: Afterwards,
        status_only: bool,
    ) -> Self {
        let guard = Self::new(watch, Some(afterwards));
        let carried = guard.groups().iter();
        let carried = carried.filter(|group| own.iter().any(|(key, _)| group.has(*key)));
        Self {
            carried: carried.cloned().collect(),
            own: own.into(),
            status_only,
            ..guard
        }
    }

    /// Whether no value was sent to the backend, so that there is nothing to look
    /// for as yet.
    pub fn is_empty(&self) -> bool {
        self.set.is_none()
    }

    /// Whether the grant lets nothing of the answer pass but its status: neither
    /// headers nor a body nor trailers.
    pub fn is_status_only(&self) -> bool {
        self.status_only
    }

    /// Whether an answer in a content encoding may be passed on, if a decoded copy
    /// of it is searched, too.
    pub fn decodes(&self) -> bool {
        self.set.as_ref().is_some_and(|set| set.decodes())
    }

    /// Makes a request ask for an answer that can be searched: the whole of it, and
    /// in no encoding, or one of gzip, deflate, br and zstd if the grants have them
    /// decoded. Does nothing where there is nothing to look for.
    pub fn ask_for_readable(&self, headers: &mut HeaderMap) {
        if self.is_empty() {
            return;
        }
        remove_alike(headers, &RANGE);
        remove_alike(headers, &IF_RANGE);
        let accepted = match self.decodes() {
            true => decodable(headers),
            false => HeaderValue::from_static("identity"),
        };
        remove_alike(headers, &ACCEPT_ENCODING);
        headers.insert(ACCEPT_ENCODING, accepted);
    }

    /// Whether an answer's head may be passed on: its headers hold no value that
    /// was sent, and its body will be readable. The request asked for the whole
    /// answer and for no encoding ([`ask_for_readable`](Self::ask_for_readable)), so
    /// an answer in parts, or in an encoding that isn't decoded, is refused.
    ///
    /// The reason phrase is not in `head`: who passes that on has to drop it.
    pub fn check_head(&mut self, head: &response::Parts) -> Result<(), Reflected> {
        self.renew();
        if self.is_empty() {
            return Ok(());
        }
        if head.status == StatusCode::PARTIAL_CONTENT {
            return Err(self.unreadable(Found::Partial));
        }
        if is_encoded(&head.headers) && !self.decodes() {
            return Err(self.unreadable(Found::Encoded));
        }
        self.check_headers(&head.headers)
    }

    /// Whether headers hold no value that was sent. For trailers; a head has
    /// [`check_head`](Self::check_head).
    pub fn check_headers(&self, headers: &HeaderMap) -> Result<(), Reflected> {
        for group in self.groups() {
            for (name, value) in headers {
                let matcher = &group.matcher;
                let passes = matcher
                    .passes(value.as_bytes())
                    .and_then(|()| matcher.passes(name.as_str().as_bytes()));
                passes.map_err(|found| self.found(group, found))?;
            }
        }
        Ok(())
    }

    /// Watches the body. `readable` says whether what will be pushed is what a
    /// client reads: not encoded, and not a part.
    pub fn stream(&self, readable: bool) -> GuardStream {
        let mut stream = GuardStream {
            guard: self.clone(),
            states: Vec::new(),
            held: Bytes::new(),
            readable,
            stopped: None,
        };
        stream.restart();
        stream
    }

    fn groups(&self) -> &[Group] {
        self.set.as_ref().map_or(&[], |set| &set.groups)
    }

    /// Takes what has been sent to the backend since. Returns whether there is
    /// anything new.
    fn renew(&mut self) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        if watch.generation() == self.generation {
            return false;
        }
        (self.generation, self.set) = watch.set();
        self.add_own();
        true
    }

    fn unreadable(&self, found: Found) -> Reflected {
        let mut values = self.groups().iter().flat_map(|group| group.values.iter());
        let own = self.own.first().map(|(_, entry)| entry);
        let entry = own.or_else(|| values.next().map(|value| &value.entry));
        Reflected {
            grant: grant_of(entry),
            found,
        }
    }

    /// A value was found: says so to the audit trail and to the caller.
    fn found(&self, group: &Group, FoundValue(index): FoundValue) -> Reflected {
        let value = group.values.get(index);
        let own = value.and_then(|value| self.own.iter().find(|(key, _)| *key == value.key()));
        let entry = own
            .map(|(_, entry)| entry)
            .or_else(|| value.map(|value| &value.entry));
        let grant = grant_of(entry);
        if let (Some(entry), Some(afterwards)) = (entry, &self.afterwards) {
            let mut entry = entry.clone();
            entry.used.outcome = Outcome::Reflected;
            afterwards.record(entry);
        }
        if let Some(watch) = &self.watch {
            let live = watch.live();
            let answers = live
                .grants
                .get(&grant)
                .and_then(|grant| grant.terms.answers());
            if answers.is_some_and(|answers| answers.reflected == WhenReflected::Revoke) {
                watch.quarantine().count(&grant);
            }
        }
        Reflected {
            grant,
            found: Found::Value,
        }
    }
}

fn grant_of(entry: Option<&UseEntry>) -> GrantId {
    let grant = entry.and_then(|entry| entry.used.grant.clone());
    grant.unwrap_or_else(|| {
        GrantId::parse("unknown").expect("a word of lower-case letters is an id")
    })
}

/// Whether an answer has a content encoding.
fn is_encoded(headers: &HeaderMap) -> bool {
    let identity = |value: &HeaderValue| {
        let value = value.as_bytes().trim_ascii();
        value.eq_ignore_ascii_case(b"identity")
    };
    !headers.get_all(CONTENT_ENCODING).iter().all(identity)
}

/// Of what a client accepts, what can be decoded.
fn decodable(headers: &HeaderMap) -> HeaderValue {
    let accepted = headers.get_all(ACCEPT_ENCODING);
    let accepted: Vec<&str> = accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter(|one| {
            let coding = one.split(';').next().unwrap_or_default().trim();
            let known = ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"];
            known.iter().any(|known| coding.eq_ignore_ascii_case(known))
        })
        .map(str::trim)
        .collect();
    let accepted = HeaderValue::from_str(&accepted.join(", ")).ok();
    accepted
        .filter(|accepted| !accepted.is_empty())
        .unwrap_or(HeaderValue::from_static("identity"))
}

/// Watches a body chunk by chunk.
pub struct GuardStream {
    guard: Guard,
    /// How much of a value the body's end could be, for each group.
    states: Vec<StateID>,
    /// The end of what came in that could be the start of a value.
    held: Bytes,
    readable: bool,
    /// Why nothing more passes.
    stopped: Option<Reflected>,
}

impl GuardStream {
    /// Takes a chunk and returns what may be passed on: all that has come in and
    /// can't be the start of a value that was sent. Empty if nothing may yet.
    ///
    /// Errors: a value that was sent is there, or one was sent to the backend since
    /// the body began and the body can't be searched for it. What was held back is
    /// dropped, and every later call fails likewise.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Reflected> {
        let live = self.look(&chunk)?;
        let mut text = if self.held.is_empty() {
            chunk
        } else {
            let length = self.held.len().saturating_add(chunk.len());
            let mut joined = BytesMut::with_capacity(length);
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        self.held = text.split_off(text.len().saturating_sub(live));
        Ok(text)
    }

    /// Searches a chunk of a text of which nothing is passed on: the decoded copy of
    /// a body. Returns how many of the last bytes of all that came could be the
    /// start of a value.
    ///
    /// Errors: those of [`push`](Self::push). Either is called for one stream, not
    /// both.
    pub fn search(&mut self, chunk: &[u8]) -> Result<usize, Reflected> {
        let live = self.look(chunk)?;
        self.held = match chunk.len().checked_sub(live) {
            Some(from) => Bytes::copy_from_slice(chunk.get(from..).unwrap_or_default()),
            None => {
                let mut held = BytesMut::with_capacity(live);
                let before = self.held.len().saturating_sub(live - chunk.len());
                held.extend_from_slice(self.held.get(before..).unwrap_or_default());
                held.extend_from_slice(chunk);
                held.freeze()
            }
        };
        Ok(live)
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Ends the body and returns what was held back: it did not become a value.
    /// Empty after an error.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// Whether headers that follow on the body hold no value that was sent.
    ///
    /// Errors: one is there; every later call fails likewise.
    pub fn check_trailers(&mut self, trailers: &HeaderMap) -> Result<(), Reflected> {
        if let Some(reflected) = &self.stopped {
            return Err(reflected.clone());
        }
        self.guard.renew();
        let checked = self.guard.check_headers(trailers);
        self.restart();
        checked.map_err(|reflected| self.stop(reflected))
    }

    /// Searches a chunk that follows on what came before.
    fn look(&mut self, chunk: &[u8]) -> Result<usize, Reflected> {
        if let Some(reflected) = &self.stopped {
            return Err(reflected.clone());
        }
        if self.guard.renew() {
            // What is held could be the start of a value that was looked for
            // before; a new one can't have begun before it was sent.
            self.restart();
            if !self.readable && !self.guard.is_empty() {
                let reflected = self.guard.unreadable(Found::Encoded);
                return Err(self.stop(reflected));
            }
            let held = self.held.clone();
            self.follow(&held)?;
        }
        self.follow(chunk)
    }

    fn follow(&mut self, text: &[u8]) -> Result<usize, Reflected> {
        let mut live = 0;
        let mut stopped = None;
        for (group, state) in self.guard.groups().iter().zip(&mut self.states) {
            match group.matcher.follow(*state, text) {
                Ok(next) => {
                    *state = next;
                    live = live.max(group.matcher.live_bytes(next));
                }
                Err(found) => {
                    stopped = Some(self.guard.found(group, found));
                    break;
                }
            }
        }
        match stopped {
            None => Ok(live),
            Some(reflected) => Err(self.stop(reflected)),
        }
    }

    fn restart(&mut self) {
        let groups = self.guard.groups().iter();
        self.states = groups.map(|group| group.matcher.start()).collect();
    }

    fn stop(&mut self, reflected: Reflected) -> Reflected {
        self.stopped = Some(reflected.clone());
        self.held = Bytes::new();
        reflected
    }
}

/// Headers by which a client could have a request taken for another than the one
/// that was checked. No grant can name one as the place of a value.
pub(crate) const OVERRIDES: [HeaderName; 4] = [
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
];

#[cfg(any(test, feature = "bench"))]
impl Guard {
    /// A guard that looks for these values and reports to nobody: for tests,
    /// benchmarks and fuzzing. The grant of the value with index `n` is `grant-n`.
    pub fn of_values(values: &[&[u8]]) -> Self {
        let set = Set::of_values(values);
        Self {
            watch: None,
            generation: 0,
            set: (!values.is_empty()).then(|| Arc::new(set)),
            own: Arc::new([]),
            afterwards: None,
            status_only: false,
            derived: None,
            carried: Arc::new([]),
        }
    }
}

#[cfg(test)]
mod tests;
