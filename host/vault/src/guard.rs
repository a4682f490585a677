//! Watches a backend's answer for the values that were sent to it.
//!
//! A backend that was given a value (class C) may hand it on to the client, by
//! accident or on purpose. The guard looks for the value as it is and in the forms
//! that other layers give to text: base64 at any alignment and in both alphabets,
//! hexadecimal, percent-encoding, escapes of JSON, HTML and XML, UTF-16. It finds
//! them across the borders of chunks and holds back only what could be the start
//! of one. What it can't find is a value that a backend transforms in another way
//! or returns piece by piece; `SECURITY.md` says so.

use std::sync::Arc;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, Input, MatchKind};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{StatusCode, response};
use keyward_names::GrantId;
use zeroize::Zeroizing;

use crate::forms::forms;
use crate::secret::Secret;

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

/// Finds one version of a secret. Compiled once and shared.
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
        let forms = forms(value);
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
        let mut lower_case = Zeroizing::new(Box::<[u8]>::from(value));
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

    /// How many of the last bytes of a text, in which there is no whole form, are
    /// the start of one: the most that can be.
    fn live_suffix(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let mut state = start(&self.automaton);
        for byte in text.get(from..).unwrap_or_default() {
            state = self.automaton.next_state(Anchored::No, state, *byte);
        }
        match self.depths.binary_search_by_key(&state, |(state, _)| *state) {
            Ok(index) => self.depths.get(index).map_or(0, |(_, depth)| *depth as usize),
            Err(_) => 0,
        }
    }
}

crate::secret::assert_not_implemented!(Matcher: std::fmt::Debug, Clone, serde::Serialize);

fn start(automaton: &NFA) -> StateID {
    automaton
        .start_state(Anchored::No)
        .expect("the automaton is built for unanchored searches")
}

/// A value that was sent: how to find it, and under which grant it was.
#[derive(Clone)]
struct Watched {
    grant: GrantId,
    matcher: Arc<Matcher>,
}

/// Watches one answer for the values of class B and C that its request carried.
pub struct Guard(Vec<Watched>);

impl Guard {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn watch(&mut self, grant: &GrantId, matcher: &Arc<Matcher>) {
        self.0.push(Watched {
            grant: grant.clone(),
            matcher: Arc::clone(matcher),
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
                grant: first.grant.clone(),
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
                return Err(Reflected {
                    grant: watched.grant.clone(),
                    found: Found::Value,
                });
            }
        }
        Ok(())
    }

    /// Watches the body.
    pub fn stream(&self) -> GuardStream {
        GuardStream {
            watched: self.0.clone(),
            held: Bytes::new(),
        }
    }
}

/// Watches a body chunk by chunk.
pub struct GuardStream {
    watched: Vec<Watched>,
    /// The end of what came in that could be the start of a value.
    held: Bytes,
}

impl GuardStream {
    /// Takes a chunk and returns what may be passed on: all that has come in and
    /// can't be the start of a value that was sent. Empty if nothing may yet.
    ///
    /// Errors: a value that was sent is there. What was held back is dropped, and
    /// nothing more may be passed on.
    pub fn push(&mut self, chunk: Bytes) -> Result<Bytes, Reflected> {
        if self.watched.is_empty() || chunk.is_empty() {
            return Ok(chunk);
        }
        let held = std::mem::take(&mut self.held);
        let mut text = if held.is_empty() {
            chunk
        } else {
            let mut joined = BytesMut::with_capacity(held.len().saturating_add(chunk.len()));
            joined.extend_from_slice(&held);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        let mut live = 0;
        for watched in &self.watched {
            if watched.matcher.finds_in(&text) {
                return Err(Reflected {
                    grant: watched.grant.clone(),
                    found: Found::Value,
                });
            }
            live = live.max(watched.matcher.live_suffix(&text));
        }
        self.held = text.split_off(text.len().saturating_sub(live));
        Ok(text)
    }

    /// Ends the body and returns what was held back: it did not become a value.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests;
