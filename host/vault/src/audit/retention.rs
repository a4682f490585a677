//! Removing the oldest entries, on record.
//!
//! A trail's tree can't lose a leaf, but an entry's bytes are needed only to read
//! it: the tiles of hashes stay, so everything that was signed can still be
//! checked. Before anything is removed, an act `entries-pruned` says below which
//! entry; whatever is missing below the newest of these marks was removed on
//! purpose, and whatever is missing above it was not.

use std::path::Path;

use super::names::acts;
use super::read::trail_extent;
use super::record::{Act, Administrative};

/// What was pruned, as the trail itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// Entries with a lower index are removed.
    pub entries: u64,
    /// The index of the entry that says so: an act `entries-pruned`.
    pub act: u64,
}

/// The mark that an act sets.
pub(crate) fn mark_of(index: u64, act: &Administrative) -> Option<Pruned> {
    let entries = act.count.filter(|_| act.act == Act::EntriesPruned)?;
    // An act can't speak of what comes after it.
    (entries <= index).then_some(Pruned {
        entries,
        act: index,
    })
}

/// The newest mark among the entries that are covered, if all can be read.
pub(crate) fn pruned_below(directory: &Path, covered: u64) -> Option<Pruned> {
    let first = trail_extent(directory).ok()?.first;
    let mut newest = None;
    acts(directory, first..covered, |index, act| {
        newest = mark_of(index, act).or(newest);
    })
    .ok()?;
    newest
}
