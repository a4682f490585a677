//! Room that was given back in the midst of the arena.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes of the smallest that is kept.
pub(super) const LEAST: usize = 256;
/// More than that are not kept: each that is given back looks at all of them.
const MOST: usize = 8;

/// The largest of what was given back: first address, and the first past it.
pub(super) struct Holes([[AtomicUsize; 2]; MOST]);

impl Holes {
    pub(super) const fn new() -> Self {
        Self([const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; MOST])
    }

    /// All; those that are not there are empty.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, usize)> {
        let bounds = |[from, to]: &[AtomicUsize; 2]| (from.load(Relaxed), to.load(Relaxed));
        self.0.iter().map(bounds)
    }

    fn put(&self, at: usize, hole: (usize, usize)) {
        if let Some([from, to]) = self.0.get(at) {
            from.store(hole.0, Relaxed);
            to.store(hole.1, Relaxed);
        }
    }

    /// Keeps what lies between two addresses, together with what is next to it, if it is
    /// larger than the smallest that is kept.
    pub(super) fn give(&self, mut from: usize, mut to: usize) {
        if to.saturating_sub(from) < LEAST {
            return;
        }
        for (at, hole) in self.all().enumerate() {
            if hole.1 > 0 && (hole.1 == from || hole.0 == to) {
                from = from.min(hole.0);
                to = to.max(hole.1);
                self.put(at, (0, 0));
            }
        }
        let smallest = self
            .all()
            .enumerate()
            .min_by_key(|(_, hole)| hole.1 - hole.0);
        if let Some((at, hole)) = smallest
            && to - from > hole.1 - hole.0
        {
            self.put(at, (from, to));
        }
    }

    /// The largest, if it has so many bytes; it is kept no more.
    pub(super) fn take(&self, needed: usize) -> Option<(usize, usize)> {
        let (at, hole) = self
            .all()
            .enumerate()
            .max_by_key(|(_, hole)| hole.1 - hole.0)?;
        if hole.1 == 0 || hole.1 - hole.0 < needed {
            return None;
        }
        self.put(at, (0, 0));
        Some(hole)
    }

    /// Bytes of the largest; 0 if there is none.
    pub(super) fn largest(&self) -> usize {
        self.all().map(|hole| hole.1 - hole.0).max().unwrap_or(0)
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        self.all().map(|hole| hole.1 - hole.0).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_comes_first_and_once() {
        let holes = Holes::new();
        assert_eq!(holes.take(0), None);
        holes.give(1000, 2000);
        holes.give(4000, 7000);
        assert_eq!(holes.bytes(), 4000);
        assert_eq!(holes.take(3001), None);
        assert_eq!(holes.take(3000), Some((4000, 7000)));
        assert_eq!(holes.take(100), Some((1000, 2000)));
        assert_eq!(holes.take(1), None);
    }

    #[test]
    fn neighbours_are_one() {
        let holes = Holes::new();
        holes.give(1000, 1300);
        holes.give(1600, 2000);
        holes.give(1300, 1600);
        assert_eq!(holes.take(1000), Some((1000, 2000)));
        assert_eq!(holes.bytes(), 0);
    }

    #[test]
    fn what_is_small_is_forgotten_and_small_ones_make_room_for_larger() {
        let holes = Holes::new();
        holes.give(0, LEAST - 1);
        assert_eq!(holes.bytes(), 0);
        // None lies next to another.
        for hole in 1..20 {
            holes.give(hole * 10_000, hole * 10_000 + LEAST + hole);
        }
        for hole in (12..20).rev() {
            let largest = (hole * 10_000, hole * 10_000 + LEAST + hole);
            assert_eq!(holes.take(1), Some(largest));
        }
        assert_eq!(holes.take(1), None);
    }
}
