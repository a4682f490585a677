//! Watches a backend's answer for the values that were sent to it.
//!
//! A backend that was given a value (class C) may hand it on to the client, by
//! accident or on purpose. The guard looks for the value as it is and in the forms
//! that other layers give to text: base64 at any alignment and in both alphabets,
//! hexadecimal, percent-encoding, escapes of JSON, HTML and XML, UTF-16. It finds
//! them across the borders of chunks and holds back only what could be the start
//! of one. What it can't find is a value that a backend transforms in another way
//! or returns piece by piece; `SECURITY.md` says so.

mod kept;

use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, Input, MatchKind};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{StatusCode, response};
use keyward_names::GrantId;
use zeroize::Zeroizing;

use crate::audit::{Outcome, UseEntry};
use crate::forms::forms;
use crate::ledger::Afterwards;
use crate::secret::Secret;

pub(crate) use kept::KeptMatcher;

/// The answer may not be passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend's answer {found}")]
pub struct Reflected {
    /// The grant under which the value was sent.
    pub grant: GrantId,
    /// What was found.
    pub found: Found,
}

/// What a guard found in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Found {
    /// A value that was sent to the backend.
    #[error("holds a value that was sent with the request")]
    Value,
    /// A content encoding that was not asked for, in which nothing can be found.
    #[error("is encoded in a way that was not asked for")]
    Encoded,
    /// A part that was not asked for: a value could come in several.
    #[error("is a part of an answer that was not asked for")]
    Partial,
}

/// Finds one version of a secret. Shared among its uses; [`KeptMatcher`] drops it
/// when they are over.
pub(crate) struct Matcher {
    /// Finds the forms. The automaton is the compact kind: the quicker one takes
    /// megabytes for a long value.
    automaton: NFA,
    /// How many bytes of a form each state of the automaton has read, ascending by
    /// state; states that are not here have read none.
    depths: Box<[(StateID, u32)]>,
    /// The length of the longest form.
    longest: usize,
    /// The value in lower case, as it would appear in a header's name.
    lower_case: Zeroizing<Box<[u8]>>,
}

impl Matcher {
    pub(crate) fn new(secret: &Secret) -> Self {
        let value = secret.expose();
        let forms = forms(&value);
        let texts = || forms.iter().map(|form| form.as_slice());
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .build(texts())
            .expect("some 20 forms of at most 4 KiB are far below the automaton's limits");
        let mut depths = Vec::with_capacity(texts().map(<[u8]>::len).sum());
        for form in texts() {
            let mut state = start(&automaton);
            for (depth, byte) in (1..).zip(form) {
                state = automaton.next_state(Anchored::No, state, *byte);
                depths.push((state, depth));
            }
        }
        depths.sort_unstable();
        depths.dedup();
        let mut lower_case = Zeroizing::new(Box::<[u8]>::from(&*value));
        lower_case.make_ascii_lowercase();
        Self {
            automaton,
            depths: depths.into_boxed_slice(),
            longest: texts().map(<[u8]>::len).max().unwrap_or_default(),
            lower_case,
        }
    }

    fn finds_in(&self, text: &[u8]) -> bool {
        let input = Input::new(text).earliest(true);
        // An error would mean that the automaton can't search so; then nothing may
        // pass.
        !matches!(self.automaton.try_find(&input), Ok(None))
    }

    fn finds_in_name(&self, name: &str) -> bool {
        let mut windows = name.as_bytes().windows(self.lower_case.len().max(1));
        windows.any(|window| window == &**self.lower_case)
    }

    /// Where the automaton stands after a chunk that follows on `state`; `None` if
    /// a form ends in the chunk. Takes time in the length of the chunk alone, so
    /// that a backend can't make it long with many small ones.
    fn follow(&self, state: StateID, chunk: &[u8]) -> Option<StateID> {
        let reach = self.longest.saturating_sub(1);
        if state != start(&self.automaton) {
            // A form that began earlier ends within its length.
            let near = chunk.get(..reach).unwrap_or(chunk);
            let mut state = state;
            for byte in near {
                state = self.automaton.next_state(Anchored::No, state, *byte);
                if self.automaton.is_match(state) {
                    return None;
                }
            }
            if near.len() == chunk.len() {
                return Some(state);
            }
        }
        if self.finds_in(chunk) {
            return None;
        }
        // No start of a form that is still alive is longer than this.
        let end = chunk.get(chunk.len().saturating_sub(reach)..);
        let bytes = end.unwrap_or(chunk).iter();
        Some(bytes.fold(start(&self.automaton), |state, byte| {
            self.automaton.next_state(Anchored::No, state, *byte)
        }))
    }

    /// How many of the last bytes are the start of a form: the most that can be.
    fn live_bytes(&self, state: StateID) -> usize {
        let found = self
            .depths
            .binary_search_by_key(&state, |(state, _)| *state);
        let depth = found.ok().and_then(|index| self.depths.get(index));
        depth.map_or(0, |(_, depth)| *depth as usize)
    }
}

crate::secret::assert_not_implemented!(Matcher: std::fmt::Debug, Clone, serde::Serialize);

fn start(automaton: &NFA) -> StateID {
    automaton
        .start_state(Anchored::No)
        .expect("the automaton is built for unanchored searches")
}

/// A value that was sent: how to find it, and what to record when it is found.
#[derive(Clone)]
struct Watched {
    matcher: Arc<Matcher>,
    report: Arc<Report>,
}

/// What a find is to the audit trail.
pub(crate) struct Report {
    pub(crate) grant: GrantId,
    /// The use that sent the value, as it was recorded then, and where to record
    /// what came of it. Tests of the guard alone have none.
    pub(crate) sent: Option<(UseEntry, Afterwards)>,
}

impl Watched {
    /// The value was found: says so to the audit trail and to the caller.
    fn found(&self) -> Reflected {
        if let Some((entry, afterwards)) = &self.report.sent {
            let mut entry = entry.clone();
            entry.used.outcome = Outcome::Reflected;
            afterwards.record(entry);
        }
        Reflected {
            grant: self.report.grant.clone(),
            found: Found::Value,
        }
    }
}

/// Watches one answer for the values of class B and C that its request carried.
///
/// What it finds it enters into the audit trail itself, without waiting.
pub struct Guard(Vec<Watched>);

impl Guard {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn watch(&mut self, matcher: &Arc<Matcher>, report: Report) {
        self.0.push(Watched {
            matcher: Arc::clone(matcher),
            report: Arc::new(report),
        });
    }

    /// Whether the request carried no value, so that there is nothing to watch for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an answer's head may be passed on: its headers hold no value that
    /// was sent, and its body will be readable. The request asked for the whole
    /// answer and for no encoding (`write` saw to it), so an answer in parts or in
    /// an encoding is refused.
    ///
    /// The reason phrase is not in `head`: who passes that on has to drop it.
    pub fn check_head(&self, head: &response::Parts) -> Result<(), Reflected> {
        let Some(first) = self.0.first() else {
            return Ok(());
        };
        let refuse = |found| {
            Err(Reflected {
                grant: first.report.grant.clone(),
                found,
            })
        };
        if head.status == StatusCode::PARTIAL_CONTENT {
            return refuse(Found::Partial);
        }
        let encodings = head.headers.get_all(CONTENT_ENCODING);
        let identity = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"identity");
        if !encodings.iter().all(|value| identity(value.as_bytes())) {
            return refuse(Found::Encoded);
        }
        self.check_headers(&head.headers)
    }

    /// Whether headers hold no value that was sent. For trailers; a head has
    /// [`check_head`](Self::check_head).
    pub fn check_headers(&self, headers: &HeaderMap) -> Result<(), Reflected> {
        for watched in &self.0 {
            let matcher = &watched.matcher;
            let found = headers.iter().any(|(name, value)| {
                matcher.finds_in(value.as_bytes()) || matcher.finds_in_name(name.as_str())
            });
            if found {
                return Err(watched.found());
            }
        }
        Ok(())
    }

    /// Watches the body.
    pub fn stream(&self) -> GuardStream {
        let following = self.0.iter().map(|watched| Following {
            watched: watched.clone(),
            state: start(&watched.matcher.automaton),
        });
        GuardStream {
            following: following.collect(),
            held: Bytes::new(),
            stopped: None,
        }
    }
}

/// Watches a body chunk by chunk.
pub struct GuardStream {
    following: Vec<Following>,
    /// The end of what came in that could be the start of a value.
    held: Bytes,
    /// Why nothing more passes.
    stopped: Option<Reflected>,
}

/// One value, and how much of it the body's end could be.
struct Following {
    watched: Watched,
    state: StateID,
}

impl GuardStream {
    /// Takes a chunk and returns what may be passed on: all that has come in and
    /// can't be the start of a value that was sent. Empty if nothing may yet.
    ///
    /// Errors: a value that was sent is there. What was held back is dropped, and
    /// every later call fails likewise.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Reflected> {
        if let Some(reflected) = &self.stopped {
            return Err(reflected.clone());
        }
        let mut live = 0;
        for following in &mut self.following {
            let matcher = &following.watched.matcher;
            let Some(state) = matcher.follow(following.state, &chunk) else {
                let reflected = following.watched.found();
                self.stopped = Some(reflected.clone());
                self.held = Bytes::new();
                return Err(reflected);
            };
            following.state = state;
            live = live.max(matcher.live_bytes(state));
        }
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

    /// Ends the body and returns what was held back: it did not become a value.
    /// Empty after an error.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests;
