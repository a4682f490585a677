//! The allocator of a policy: what is left of the last page of its memory.
//!
//! A policy's instance lives for one call, so that hardly anything is worth giving back:
//! an allocation moves one pointer. The arena is the room between the policy's data and
//! the end of the memory that it starts with, so that in the ordinary case memory never
//! grows, which is what makes a fresh instance cheap. When the arena is used up, it moves
//! to the largest room that was given back, of which there is most after the settings
//! were read; when there is none, the memory grows, up to the host's limit.

mod holes;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::wasm::leave_room;

#[cfg(target_arch = "wasm32")]
mod wasm {
    use core::alloc::{GlobalAlloc, Layout};
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::holes::{Holes, LEAST};

    const PAGE: usize = 64 * 1024;
    /// Bytes that a call needs mostly.
    const ROOM: usize = 4 * 1024;

    /// A bump allocator over the rest of the initial memory.
    struct Arena {
        /// The first free address; 0 before the first allocation.
        next: AtomicUsize,
        /// The first address past the arena.
        end: AtomicUsize,
        holes: Holes,
    }

    #[global_allocator]
    static ARENA: Arena = Arena {
        next: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        holes: Holes::new(),
    };

    #[expect(
        unsafe_code,
        reason = "the linker's symbols for the bounds of the heap; only their addresses are taken"
    )]
    mod linker {
        unsafe extern "C" {
            pub(super) safe static __heap_base: u8;
            pub(super) safe static __heap_end: u8;
        }
    }

    /// Sees to it that calls find room, and need not grow the memory each for itself.
    pub(crate) fn leave_room() {
        let (next, end) = ARENA.bounds();
        if (end - next).saturating_add(ARENA.holes.bytes()) < ROOM {
            // Without it calls are slower, and that is all.
            let _ = ARENA.elsewhere(ROOM);
        }
    }

    impl Arena {
        /// The bounds of the free part.
        #[inline]
        fn bounds(&self) -> (usize, usize) {
            let next = self.next.load(Relaxed);
            if next == 0 {
                return (
                    (&raw const linker::__heap_base).addr(),
                    (&raw const linker::__heap_end).addr(),
                );
            }
            (next, self.end.load(Relaxed))
        }

        fn set(&self, next: usize, end: usize) {
            self.next.store(next, Relaxed);
            self.end.store(end, Relaxed);
        }

        /// Takes what begins at `start`, if the arena reaches so far.
        #[inline]
        fn take(&self, start: usize, size: usize) -> Option<usize> {
            let (_, end) = self.bounds();
            let next = start.checked_add(size).filter(|next| *next <= end)?;
            self.set(next, end);
            Some(start)
        }

        #[inline]
        fn place(&self, layout: Layout) -> Option<usize> {
            let (next, _) = self.bounds();
            let start = next.checked_next_multiple_of(layout.align())?;
            self.take(start, layout.size())
        }

        /// Moves the arena to where there are so many bytes.
        #[cold]
        fn elsewhere(&self, needed: usize) -> Option<()> {
            let (next, end) = self.bounds();
            if let Some((from, to)) = self.holes.take(needed) {
                self.holes.give(next, end);
                self.set(from, to);
                return Some(());
            }
            let size = core::arch::wasm32::memory_size(0);
            let follows = size.checked_mul(PAGE)? == end;
            let missing = if follows {
                needed.saturating_sub(end - next)
            } else {
                needed
            };
            let pages = missing.div_ceil(PAGE);
            let before = core::arch::wasm32::memory_grow(0, pages);
            if before == usize::MAX {
                return None;
            }
            let from = before.checked_mul(PAGE)?;
            let to = from.checked_add(pages.checked_mul(PAGE)?)?;
            if from == end {
                self.set(next, to);
            } else {
                self.holes.give(next, end);
                self.set(from, to);
            }
            Some(())
        }

        #[cold]
        fn place_elsewhere(&self, layout: Layout) -> Option<usize> {
            self.elsewhere(layout.size().checked_add(layout.align())?)?;
            self.place(layout)
        }
    }

    #[expect(
        unsafe_code,
        reason = "GlobalAlloc is an unsafe trait: what is handed out is inside the memory, past \
                  the data, aligned as asked, and never handed out twice while it is in use"
    )]
    // A policy has one thread, so that loads and stores can't interleave.
    unsafe impl GlobalAlloc for Arena {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let start = self.place(layout);
            let start = start.or_else(|| self.place_elsewhere(layout));
            core::ptr::with_exposed_provenance_mut(start.unwrap_or(0))
        }

        #[inline]
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            let end = pointer.addr().wrapping_add(layout.size());
            // The newest allocation can be taken back.
            if end == self.next.load(Relaxed) {
                self.next.store(pointer.addr(), Relaxed);
            } else if layout.size() >= LEAST {
                self.holes.give(pointer.addr(), end);
            }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let end = pointer.addr().wrapping_add(layout.size());
            let is_newest = || end == self.next.load(Relaxed);
            let stays = if is_newest() {
                // It grows and shrinks where it is, also where the memory grows behind it.
                self.take(pointer.addr(), size).is_some()
                    || self.elsewhere(size).is_some()
                        && is_newest()
                        && self.take(pointer.addr(), size).is_some()
            } else {
                size <= layout.size()
            };
            if stays {
                return pointer;
            }
            // SAFETY: the caller's promises about `pointer` and `layout` hold, and
            // `size` is a valid size for that alignment by the contract of `realloc`.
            unsafe {
                let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !moved.is_null() {
                    core::ptr::copy_nonoverlapping(pointer, moved, layout.size());
                    self.dealloc(pointer, layout);
                }
                moved
            }
        }
    }
}
