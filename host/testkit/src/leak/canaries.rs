//! The search for secrets in anything, in every form.
//!
//! One automaton holds what all secrets of a suite look like in the forms that
//! stand still; what moves (escapes of some bytes and not of others, compression,
//! bytes in between) is taken off or stepped over first. The forms are those that
//! the security model lists for oracles. They are more than the response guard
//! looks for: what a backend reverses or writes in base32 gets past the guard, and
//! this search says so.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::form::{Form, Layer, Shape};
use super::gaps::Gapped;
use super::patterns::{patterns, pieces};
use super::undo;

/// How many layers are taken off, one after the other.
const MOST_LAYERS: usize = 3;
/// The most bytes that a form has for each of a value's: three in between.
const MOST_WIDENING: usize = 6;

/// The values that must be nowhere, and what they look like.
///
/// There is no way to get one out again, and it is not printed.
pub struct Canaries {
    names: Vec<Arc<str>>,
    automaton: Option<AhoCorasick>,
    /// What each pattern of the automaton is.
    meanings: Vec<Meaning>,
    gapped: Vec<(usize, Gapped)>,
    longest: usize,
}

struct Meaning {
    name: usize,
    form: Form,
    text: Vec<u8>,
}

/// A place at which a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The secret, by its name.
    pub secret: Arc<str>,
    /// In which form.
    pub shape: Shape,
    /// Where, in bytes. Of what is compressed, the whole.
    pub at: Range<usize>,
}

impl Canaries {
    /// Takes values to look for, each with the name of its secret. A secret of
    /// several parts, or of a value that is written in several ways, comes several
    /// times. An empty value is left out; one of fewer than eight bytes is looked
    /// for as it is and in no other form, because chance would find them.
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut canaries = Canaries {
            names: Vec::new(),
            automaton: None,
            meanings: Vec::new(),
            gapped: Vec::new(),
            longest: 0,
        };
        for (name, value) in values {
            canaries.add(name, value);
        }
        let texts = canaries.meanings.iter().map(|meaning| &meaning.text);
        // Only too many patterns make it fail, and no suite has room for so many.
        canaries.automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(texts)
            .ok();
        canaries
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let known = self.names.iter().position(|known| &**known == name);
        let name = known.unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        });
        for piece in pieces(value) {
            for (form, text) in patterns(piece) {
                self.longest = self.longest.max(text.len());
                self.meanings.push(Meaning { name, form, text });
            }
        }
        if let Some(gapped) = Gapped::new(value) {
            self.longest = self.longest.max(value.len().min(64) * 4);
            self.gapped.push((name, gapped));
        }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// How many bytes a value takes at most, in any form and under any escapes:
    /// two texts that are searched apart must overlap by as much.
    pub fn reach(&self) -> usize {
        self.longest * MOST_WIDENING
    }

    /// Each secret in each form in which it stands in `bytes`, once.
    pub fn find(&self, bytes: &[u8]) -> Vec<Found> {
        self.find_encoded(bytes, "")
    }

    /// The same, in a body whose head lists content encodings.
    pub fn find_encoded(&self, bytes: &[u8], content_encoding: &str) -> Vec<Found> {
        let mut all = self.occurrences(bytes, content_encoding);
        all.sort_by(|one, other| {
            (&one.secret, &one.shape, one.at.start).cmp(&(
                &other.secret,
                &other.shape,
                other.at.start,
            ))
        });
        all.dedup_by(|one, other| one.secret == other.secret && one.shape == other.shape);
        // The plainest form first.
        all.sort_by_key(|found| (found.shape.layers.len(), found.shape.form));
        all
    }

    /// `bytes` with `{{secret NAME}}` in the place of each value, whatever its form.
    /// Of what is compressed nothing stays.
    pub fn redact<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let mut places = self.occurrences(bytes, "");
        if places.is_empty() {
            return Cow::Borrowed(bytes);
        }
        places.sort_by_key(|found| (found.at.start, usize::MAX - found.at.end));
        let mut out = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for found in places {
            if found.at.start >= done {
                out.extend_from_slice(&bytes[done..found.at.start]);
                out.extend_from_slice(format!("{{{{secret {}}}}}", found.secret).as_bytes());
            }
            done = done.max(found.at.end);
        }
        out.extend_from_slice(&bytes[done..]);
        Cow::Owned(out)
    }

    /// All places, each in its plainest form.
    fn occurrences(&self, bytes: &[u8], content_encoding: &str) -> Vec<Found> {
        let mut out = Vec::new();
        if self.is_empty() || bytes.is_empty() {
            return out;
        }
        self.look(bytes, &[], &|at| at, &mut out);
        if !content_encoding.is_empty() {
            let mut layers = Vec::new();
            let mut body = Cow::Borrowed(bytes);
            for layer in undo::content_encodings(content_encoding) {
                layers.insert(0, layer);
                body = Cow::Owned(undo::decompress(layer, &body));
            }
            if !layers.is_empty() {
                self.look(&body, &layers, &|_| 0..bytes.len(), &mut out);
            }
        }
        out
    }

    fn look(
        &self,
        bytes: &[u8],
        layers: &[Layer],
        place: &dyn Fn(Range<usize>) -> Range<usize>,
        out: &mut Vec<Found>,
    ) {
        let known = out.len();
        self.patterns_in(bytes, layers, place, out);
        let splits: Vec<Found> = self
            .gapped
            .iter()
            .filter_map(|(name, gapped)| {
                let at = place(gapped.find(bytes)?);
                Some(self.found(*name, Form::Split, layers, at))
            })
            .collect();
        if layers.len() < MOST_LAYERS {
            self.look_inside(bytes, layers, place, &splits, out);
        }
        // What an escape or an encoding explains is not said to be split.
        for split in splits {
            if !out[known..].iter().any(|found| overlap(found, &split)) {
                out.push(split);
            }
        }
    }

    /// Takes each layer off that there is, and looks again.
    fn look_inside(
        &self,
        bytes: &[u8],
        layers: &[Layer],
        place: &dyn Fn(Range<usize>) -> Range<usize>,
        splits: &[Found],
        out: &mut Vec<Found>,
    ) {
        let around = |layer: Layer| [layers, &[layer]].concat();
        for layer in undo::ESCAPES {
            let Some(undone) = undo::escapes(layer, bytes) else {
                continue;
            };
            let inner = |at: Range<usize>| place(undone.origins[at.start]..undone.origins[at.end]);
            let mut news = Vec::new();
            self.look(&undone.bytes, &around(layer), &inner, &mut news);
            // What stands there without escapes was found before.
            news.retain(|new| match new.shape.form {
                Form::Split => !splits.iter().any(|split| overlap(split, new)),
                _ => !out
                    .iter()
                    .any(|known| known.secret == new.secret && known.at == new.at),
            });
            out.append(&mut news);
        }
        for (layer, inner) in undo::compressed(bytes) {
            self.look(&inner, &around(layer), &|_| place(0..bytes.len()), out);
        }
    }

    fn patterns_in(
        &self,
        bytes: &[u8],
        layers: &[Layer],
        place: &dyn Fn(Range<usize>) -> Range<usize>,
        out: &mut Vec<Found>,
    ) {
        let Some(automaton) = &self.automaton else {
            return;
        };
        for hit in automaton.find_overlapping_iter(bytes) {
            let meaning = &self.meanings[hit.pattern().as_usize()];
            let is_exact = bytes[hit.range()] == meaning.text;
            let form = match meaning.form {
                Form::Raw if !is_exact => Form::Case,
                form if form.is_exact() && !is_exact => continue,
                form => form,
            };
            out.push(self.found(meaning.name, form, layers, place(hit.range())));
        }
    }

    fn found(&self, name: usize, form: Form, layers: &[Layer], at: Range<usize>) -> Found {
        // The innermost layer came off last.
        let layers = layers.iter().rev().copied().collect();
        Found {
            secret: Arc::clone(&self.names[name]),
            shape: Shape { form, layers },
            at,
        }
    }
}

/// Whether two finds are of one secret at one place.
fn overlap(one: &Found, other: &Found) -> bool {
    one.secret == other.secret && one.at.start < other.at.end && other.at.start < one.at.end
}

impl fmt::Debug for Canaries {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Canaries")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
