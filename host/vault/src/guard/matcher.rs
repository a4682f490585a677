//! Finds the forms of one value or of many in a text that comes in chunks.
//!
//! An automaton (Aho-Corasick) finds every form and says at each byte how much of
//! one has been read. It takes some nanoseconds for each byte, so most of a text is
//! not shown to it: whichever form occurs somewhere, four of its first bytes stand
//! at one of every few positions, and only where the four bytes at such a position
//! are among those of the forms (by a filter with few false answers) the automaton
//! is asked. It reads no byte twice, whatever the text is.

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use zeroize::Zeroizing;

use super::sieve::Sieve;
use crate::forms::forms;
use crate::secret::Secret;

/// Finds some values. Holds them in plain, in memory that is wiped by the
/// process's allocator when it is dropped.
pub(crate) struct Matcher {
    /// Finds the forms. The automaton is the compact kind: the quicker one takes
    /// megabytes for a long value.
    automaton: NFA,
    /// Where the automaton starts.
    start: StateID,
    /// How many bytes of a form each state of the automaton has read, ascending by
    /// state; states that are not here have read none.
    depths: Box<[(StateID, u32)]>,
    /// Which value each form is of.
    owners: Box<[usize]>,
    /// `None` where a form is too short for one.
    sieve: Option<Sieve>,
}

crate::secret::assert_not_implemented!(Matcher: std::fmt::Debug, Clone, serde::Serialize);

/// How much of a value is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, in every form.
    Whole,
    /// Its [`core`], in every form: whatever holds the value in a form holds its core in
    /// that form, too.
    Core,
    /// Its core in every form, so that it is found; and, so that no byte of it passes
    /// before, all of it as it is, and if it is short in every form.
    Own,
}

/// The most bytes of a value that are looked for in many answers where there may be one
/// for each client: 144 bits of a base64 text.
pub(crate) const CORE_BYTES: usize = 24;
/// So many different bytes make a core one that no other text holds by chance.
const CORE_VARIETY: u32 = 12;
/// Up to this length a request's own token is looked for as a whole in every form. A
/// byte makes some 55 of forms, and they are built for each request.
const SHORT_BYTES: usize = 128;

/// The last bytes of a value that are different enough: a signature's end, where it is a
/// JWT, whose start many others share.
fn core(value: &[u8]) -> &[u8] {
    let mut best = (0, value);
    for window in value.windows(CORE_BYTES).rev() {
        let seen = window
            .iter()
            .fold(0u128, |seen, byte| seen | 1 << (byte & 127));
        let variety = seen.count_ones();
        if variety >= CORE_VARIETY {
            return window;
        }
        if variety > best.0 {
            best = (variety, window);
        }
    }
    best.1
}

impl Extent {
    /// The texts that find a value.
    pub(crate) fn texts(self, value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
        match self {
            Self::Whole => forms(value),
            Self::Core => forms(core(value)),
            Self::Own if value.len() <= SHORT_BYTES => forms(value),
            Self::Own => {
                let mut texts = forms(core(value));
                texts.push(Zeroizing::new(value.to_vec()));
                texts
            }
        }
    }
}

/// A value was found: the index that it had among those of the matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundValue(pub(crate) usize);

impl Matcher {
    /// Finds these values. Several may have one index, which is what is found then.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = (usize, &'a Secret, Extent)>) -> Self {
        let mut all = Vec::new();
        let mut owners = Vec::new();
        for (index, value, extent) in values {
            let forms = extent.texts(&value.expose());
            owners.extend(std::iter::repeat_n(index, forms.len()));
            all.extend(forms);
        }
        let texts = || all.iter().map(|form| form.as_slice());
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .build(texts())
            .expect("some thousands of forms of at most 24 KiB are far below the limits");
        let start = automaton
            .start_state(Anchored::No)
            .expect("the automaton is built for unanchored searches");
        let depths = depths(&automaton, start, texts());
        Self {
            automaton,
            start,
            depths,
            owners: owners.into_boxed_slice(),
            sieve: Sieve::new(texts()),
        }
    }

    /// Where a text starts.
    pub(crate) fn start(&self) -> StateID {
        self.start
    }

    /// Whether none of the values is in a text that stands alone.
    pub(crate) fn passes(&self, text: &[u8]) -> Result<(), FoundValue> {
        self.follow(self.start, text).map(drop)
    }

    /// Where the automaton stands after a chunk that follows on `state`. Errors: a
    /// form ends in the chunk.
    ///
    /// Takes time in the length of the chunk alone, so that a backend can't make it
    /// long with many small ones, nor with a text that nearly holds a form.
    pub(crate) fn follow(&self, mut state: StateID, text: &[u8]) -> Result<StateID, FoundValue> {
        let Some(sieve) = &self.sieve else {
            return self.read(state, text);
        };
        // The automaton has read the text up to here.
        let mut at = 0;
        while at < text.len() {
            let mut until = at;
            let depth = self.live_bytes(state);
            if depth < sieve.stride() {
                // A form that isn't excluded yet starts `depth` bytes ago or later.
                let first = at + (sieve.stride() - 1 - depth);
                let (next, is_candidate) = sieve.next_candidate(text, first);
                if next > first {
                    // No form starts at the last position that was looked at, nor
                    // before it.
                    at = next - sieve.stride() + 1;
                    state = self.start;
                }
                if !is_candidate {
                    return self.read(state, text.get(at..).unwrap_or_default());
                }
                until = next + 1;
            }
            while let Some(byte) = text.get(at) {
                state = self.step(state, *byte)?;
                at += 1;
                if at >= until && self.is_shallow(state, sieve) {
                    break;
                }
            }
        }
        Ok(state)
    }

    fn read(&self, state: StateID, text: &[u8]) -> Result<StateID, FoundValue> {
        text.iter()
            .try_fold(state, |state, byte| self.step(state, *byte))
    }

    fn step(&self, state: StateID, byte: u8) -> Result<StateID, FoundValue> {
        #[cfg(test)]
        STEPS.with(|steps| steps.set(steps.get() + 1));
        let state = self.automaton.next_state(Anchored::No, state, byte);
        if self.automaton.is_match(state) {
            let form = self.automaton.match_pattern(state, 0);
            let owner = self.owners.get(form.as_usize()).copied();
            return Err(FoundValue(owner.unwrap_or_default()));
        }
        Ok(state)
    }

    /// Whether so little of a form has been read that looking ahead pays.
    fn is_shallow(&self, state: StateID, sieve: &Sieve) -> bool {
        state == self.start || self.live_bytes(state) <= sieve.stride() / 2
    }

    /// How many of the last bytes are the start of a form: the most that can be.
    pub(crate) fn live_bytes(&self, state: StateID) -> usize {
        if state == self.start {
            return 0;
        }
        let found = self
            .depths
            .binary_search_by_key(&state, |(state, _)| *state);
        let depth = found.ok().and_then(|index| self.depths.get(index));
        depth.map_or(0, |(_, depth)| *depth as usize)
    }
}

/// How many bytes of a form each state has read, ascending by state.
fn depths<'a>(
    automaton: &NFA,
    start: StateID,
    forms: impl Iterator<Item = &'a [u8]>,
) -> Box<[(StateID, u32)]> {
    // Those on the way through the last form: the next one, which stands after it in
    // the alphabet, mostly begins alike and needs only the rest of its way.
    let mut way: Vec<StateID> = Vec::new();
    let mut last: &[u8] = &[];
    let mut depths = Vec::new();
    for form in forms {
        let shared = form.iter().zip(last).take_while(|(a, b)| a == b).count();
        way.truncate(shared);
        for byte in form.iter().skip(shared) {
            let before = way.last().copied().unwrap_or(start);
            let state = automaton.next_state(Anchored::No, before, *byte);
            way.push(state);
            depths.push((state, u32::try_from(way.len()).unwrap_or(u32::MAX)));
        }
        last = form;
    }
    depths.sort_unstable_by_key(|(state, _)| *state);
    depths.dedup();
    depths.into_boxed_slice()
}

#[cfg(test)]
thread_local! {
    /// How many bytes automata have read in this thread.
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// How many bytes automata read while `work` runs.
#[cfg(test)]
pub(super) fn steps_of(work: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
