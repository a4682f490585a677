//! Where allocations go: addresses alone, nothing is read or written there.

use core::alloc::Layout;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::holes::{Holes, LEAST};

/// Bytes of a page of memory.
pub(super) const PAGE: usize = 64 * 1024;

/// The memory that allocations are in.
pub(super) trait Memory {
    /// The first free address that it starts with, and the first past its end.
    fn start() -> (usize, usize);

    /// How many pages it has.
    fn pages() -> usize;

    /// Adds pages; how many there were before. None if it may not grow so far.
    fn grow(pages: usize) -> Option<usize>;
}

/// A bump allocator that moves on when what it is in is used up. One thread uses it, so
/// that loads and stores can't interleave.
pub(super) struct Room {
    /// The first free address; 0 before the first allocation.
    next: AtomicUsize,
    /// The first address past what it is in.
    end: AtomicUsize,
    holes: Holes,
}

/// What becomes of an allocation that gets another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resized {
    /// It stays where it is.
    Here,
    /// There is room elsewhere: it has to be copied there, and given back.
    Elsewhere(usize),
}

impl Room {
    pub(super) const fn new() -> Self {
        Self {
            next: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            holes: Holes::new(),
        }
    }

    /// The bounds of the free part.
    #[inline]
    fn bounds<M: Memory>(&self) -> (usize, usize) {
        match self.next.load(Relaxed) {
            0 => M::start(),
            next => (next, self.end.load(Relaxed)),
        }
    }

    fn set(&self, next: usize, end: usize) {
        self.next.store(next, Relaxed);
        self.end.store(end, Relaxed);
    }

    /// An address for it. None if there is no memory left.
    #[inline]
    pub(super) fn take<M: Memory>(&self, layout: Layout) -> Option<usize> {
        let start = self.place::<M>(layout);
        start.or_else(|| self.place_elsewhere::<M>(layout))
    }

    #[inline]
    fn place<M: Memory>(&self, layout: Layout) -> Option<usize> {
        let (next, end) = self.bounds::<M>();
        let start = next.checked_next_multiple_of(layout.align())?;
        let next = start.checked_add(layout.size())?;
        (next <= end).then(|| {
            self.set(next, end);
            start
        })
    }

    #[cold]
    fn place_elsewhere<M: Memory>(&self, layout: Layout) -> Option<usize> {
        self.move_on::<M>(layout.size().checked_add(layout.align())?)?;
        self.place::<M>(layout)
    }

    /// Moves to where there are so many bytes: the largest hole, or what the memory
    /// grows by.
    #[cold]
    fn move_on<M: Memory>(&self, needed: usize) -> Option<()> {
        let (next, end) = self.bounds::<M>();
        if let Some((from, to)) = self.holes.take(needed) {
            self.holes.give(next, end);
            self.set(from, to);
            return Some(());
        }
        let reaches_end = M::pages().checked_mul(PAGE)? == end;
        let there = if reaches_end { end - next } else { 0 };
        let pages = needed.saturating_sub(there).div_ceil(PAGE);
        let from = M::grow(pages)?.checked_mul(PAGE)?;
        let to = from.checked_add(pages.checked_mul(PAGE)?)?;
        if from == end {
            self.set(next, to);
        } else {
            self.holes.give(next, end);
            self.set(from, to);
        }
        Some(())
    }

    /// Makes the memory reach so far behind an address, where the arena is at its end and
    /// no hole has so many bytes.
    #[cold]
    fn extend<M: Memory>(&self, address: usize, size: usize, align: usize) -> Option<()> {
        let (next, end) = self.bounds::<M>();
        if M::pages().checked_mul(PAGE)? != end
            || self.holes.largest() >= size.checked_add(align)?
        {
            return None;
        }
        let missing = address.checked_add(size)?.saturating_sub(end);
        let pages = missing.div_ceil(PAGE);
        M::grow(pages)?;
        self.set(next, end.checked_add(pages.checked_mul(PAGE)?)?);
        Some(())
    }

    /// Takes back what is at an address.
    #[inline]
    pub(super) fn give(&self, address: usize, size: usize) {
        let end = address.wrapping_add(size);
        if end == self.next.load(Relaxed) {
            self.next.store(address, Relaxed);
        } else if size >= LEAST {
            self.holes.give(address, end);
        }
    }

    /// Makes room of another size for what is at an address. None if there is no memory
    /// left; it stays as it was.
    pub(super) fn resize<M: Memory>(
        &self,
        address: usize,
        old: Layout,
        size: usize,
    ) -> Option<Resized> {
        let end = address.wrapping_add(old.size());
        // The newest grows and shrinks where it is, also where the memory grows behind it.
        let here = |room: &Self| {
            let (next, limit) = room.bounds::<M>();
            let new = address.checked_add(size)?;
            (end == next && new <= limit).then(|| room.set(new, limit))
        };
        if end == self.next.load(Relaxed) {
            if here(self).is_some()
                || self
                    .extend::<M>(address, size, old.align())
                    .and_then(|()| here(self))
                    .is_some()
            {
                return Some(Resized::Here);
            }
        } else if size <= old.size() {
            return Some(Resized::Here);
        }
        let layout = Layout::from_size_align(size, old.align()).ok()?;
        self.take::<M>(layout).map(Resized::Elsewhere)
    }

    /// Sees to it that there are so many bytes to come. What there is then and free, as
    /// first address and the first past it.
    pub(super) fn reserve<M: Memory>(&self, bytes: usize) -> impl Iterator<Item = (usize, usize)> {
        let (next, end) = self.bounds::<M>();
        if (end - next).saturating_add(self.holes.bytes()) < bytes {
            // Without it calls are slower, and that is all.
            let _ = self.move_on::<M>(bytes);
        }
        self.holes.all().chain([self.bounds::<M>()])
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::cell::Cell;
    use std::collections::BTreeMap;

    use super::*;

    thread_local! {
        static PAGES: Cell<usize> = const { Cell::new(1) };
    }

    const START: usize = 20_000;
    const MOST_PAGES: usize = 6;

    struct Pretended;

    impl Memory for Pretended {
        fn start() -> (usize, usize) {
            (START, PAGE)
        }

        fn pages() -> usize {
            PAGES.get()
        }

        fn grow(pages: usize) -> Option<usize> {
            let before = PAGES.get();
            let after = before.checked_add(pages).filter(|all| *all <= MOST_PAGES)?;
            PAGES.set(after);
            Some(before)
        }
    }

    /// Allocations under way: address, and layout.
    #[derive(Default)]
    struct Live(BTreeMap<usize, Layout>);

    impl Live {
        fn add(&mut self, start: usize, layout: Layout) {
            let end = start + layout.size();
            assert!(
                start >= START && end <= PAGES.get() * PAGE,
                "{start} to {end}"
            );
            assert_eq!(start % layout.align(), 0);
            let before = self.0.range(..end).next_back();
            if let Some((at, other)) = before {
                assert!(at + other.size() <= start, "{start} lies in {at} {other:?}");
            }
            self.0.insert(start, layout);
        }
    }

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    /// Numbers by chance, the same each time: xorshift64*.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, most: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
            usize::try_from(high).unwrap() % most
        }
    }

    #[test]
    fn nothing_is_handed_out_twice() {
        let mut refused = 0;
        for seed in 1..400 {
            PAGES.set(1);
            let (room, mut live, mut chance) = (Room::new(), Live::default(), Chance(seed));
            for _ in 0..400 {
                let size = match chance.below(8) {
                    0 => 1 + chance.below(40_000),
                    1 | 2 => 1 + chance.below(3000),
                    _ => 1 + chance.below(200),
                };
                let chosen = live.0.keys().copied().nth(chance.below(live.0.len() + 1));
                match (chance.below(10), chosen) {
                    (0..=4, _) | (_, None) => {
                        let wanted = layout(size, 1 << chance.below(5));
                        match room.take::<Pretended>(wanted) {
                            Some(start) => live.add(start, wanted),
                            None => refused += 1,
                        }
                    }
                    (5..=7, Some(at)) => {
                        let old = live.0.remove(&at).unwrap();
                        room.give(at, old.size());
                    }
                    (_, Some(at)) => {
                        let old = live.0[&at];
                        let new = layout(size, old.align());
                        match room.resize::<Pretended>(at, old, size) {
                            Some(Resized::Here) => {
                                live.0.remove(&at);
                                live.add(at, new);
                            }
                            Some(Resized::Elsewhere(start)) => {
                                // Both are in use while one is copied to the other.
                                live.add(start, new);
                                live.0.remove(&at);
                                room.give(at, old.size());
                            }
                            None => refused += 1,
                        }
                    }
                }
            }
            for (from, to) in room.reserve::<Pretended>(0) {
                for (at, layout) in &live.0 {
                    let overlaps = at + layout.size() > from && *at < to;
                    assert!(
                        !overlaps,
                        "{at} {layout:?} is in use, and in {from} to {to}"
                    );
                }
            }
        }
        assert!(
            refused > 100,
            "the memory's limit was hardly met: {refused}"
        );
    }

    #[test]
    fn what_was_given_back_is_used_before_the_memory_grows() {
        PAGES.set(1);
        let room = Room::new();
        let half = layout((PAGE - START) / 2, 1);
        let first = room.take::<Pretended>(half).unwrap();
        room.take::<Pretended>(half).unwrap();
        room.give(first, half.size());
        assert_eq!(room.take::<Pretended>(layout(1000, 1)), Some(first));
        assert_eq!(room.take::<Pretended>(layout(1000, 1)), Some(first + 1000));
        assert_eq!(PAGES.get(), 1);
        // It does not fit there.
        assert_eq!(room.take::<Pretended>(half), Some(PAGE));
        assert_eq!(PAGES.get(), 2);
    }

    #[test]
    fn the_newest_grows_where_it_is_into_new_pages() {
        PAGES.set(1);
        let room = Room::new();
        let old = layout(1000, 1);
        let start = room.take::<Pretended>(old).unwrap();
        let resized = room.resize::<Pretended>(start, old, 2 * PAGE);
        assert_eq!(resized, Some(Resized::Here));
        assert_eq!(PAGES.get(), 3);
        let grown = layout(2 * PAGE, 1);
        assert_eq!(room.resize::<Pretended>(start, grown, 10 * PAGE), None);
        assert_eq!(
            room.resize::<Pretended>(start, grown, 10),
            Some(Resized::Here)
        );
        assert_eq!(room.take::<Pretended>(layout(1, 1)), Some(start + 10));
    }

    #[test]
    fn what_grows_takes_no_more_memory_than_it_lacks() {
        PAGES.set(1);
        let room = Room::new();
        let old = layout(3 * PAGE, 1);
        let start = room.take::<Pretended>(old).unwrap();
        assert_eq!(PAGES.get(), 4);
        let resized = room.resize::<Pretended>(start, old, 4 * PAGE);
        assert_eq!(resized, Some(Resized::Here));
        assert_eq!(PAGES.get(), 5);
    }

    #[test]
    fn what_grows_goes_where_there_is_room_before_the_memory_grows() {
        PAGES.set(1);
        let room = Room::new();
        let free = layout(20_000, 1);
        let first = room.take::<Pretended>(free).unwrap();
        let old = layout(PAGE - START - 20_000, 1);
        let start = room.take::<Pretended>(old).unwrap();
        room.give(first, free.size());
        assert_eq!(
            room.resize::<Pretended>(start, old, 1000),
            Some(Resized::Here)
        );
        room.take::<Pretended>(layout(old.size() - 1000 - 500, 1))
            .unwrap();
        // It ends where the memory does.
        let newest = room.take::<Pretended>(layout(500, 1)).unwrap();
        let resized = room.resize::<Pretended>(newest, layout(500, 1), 600);
        assert_eq!(resized, Some(Resized::Elsewhere(first)));
        assert_eq!(PAGES.get(), 1);
    }

    #[test]
    fn calls_find_room_whatever_the_settings_took() {
        PAGES.set(1);
        let room = Room::new();
        room.take::<Pretended>(layout(PAGE - START - 100, 1))
            .unwrap();
        let free: usize = room
            .reserve::<Pretended>(4000)
            .map(|(from, to)| to - from)
            .sum();
        assert!(free >= 4000, "{free}");
        assert_eq!(PAGES.get(), 2);
        // There is enough now.
        assert!(room.reserve::<Pretended>(4000).count() > 0);
        assert_eq!(PAGES.get(), 2);
    }
}
