//! The allocator of a policy: what is left of the last page of its memory.
//!
//! A policy's instance lives for one call, so nothing is worth giving back: an
//! allocation moves one pointer. The arena is the room between the policy's
//! data and the end of the memory that it starts with, so that in the ordinary
//! case memory never grows, which is what makes a fresh instance cheap. A call
//! that needs more than the arena grows the memory, up to the host's limit.

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PAGE: usize = 64 * 1024;

/// A bump allocator over the rest of the initial memory.
struct Arena {
    /// The first free address; 0 before the first allocation.
    next: AtomicUsize,
    /// The first address past the arena.
    end: AtomicUsize,
}

#[global_allocator]
static ARENA: Arena = Arena {
    next: AtomicUsize::new(0),
    end: AtomicUsize::new(0),
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

impl Arena {
    /// The bounds of the free part.
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

    /// Makes the memory reach to `needed`; false when the host does not allow it.
    #[cold]
    fn grow(&self, end: usize, needed: usize) -> Option<usize> {
        let pages = (needed - end).div_ceil(PAGE);
        let before = core::arch::wasm32::memory_grow(0, pages);
        // Only this allocator grows the memory, so that the new pages follow the old.
        if before == usize::MAX || before.checked_mul(PAGE)? != end {
            return None;
        }
        end.checked_add(pages.checked_mul(PAGE)?)
    }

    fn take(&self, start: usize, size: usize) -> Option<usize> {
        let (_, end) = self.bounds();
        let next = start.checked_add(size)?;
        let end = if next > end {
            self.grow(end, next)?
        } else {
            end
        };
        self.next.store(next, Relaxed);
        self.end.store(end, Relaxed);
        Some(start)
    }
}

#[expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait: what `take` hands out is inside the memory, past the \
              data, aligned as asked, and never handed out twice while it is in use"
)]
// A policy has one thread, so that the two loads and stores can't interleave.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (next, _) = self.bounds();
        let start = next
            .checked_next_multiple_of(layout.align())
            .and_then(|start| self.take(start, layout.size()));
        core::ptr::with_exposed_provenance_mut(start.unwrap_or(0))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // The newest allocation can be taken back.
        if pointer.addr().wrapping_add(layout.size()) == self.next.load(Relaxed) {
            self.next.store(pointer.addr(), Relaxed);
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let newest = pointer.addr().wrapping_add(layout.size()) == self.next.load(Relaxed);
        if newest {
            // The newest allocation grows and shrinks where it is.
            return match self.take(pointer.addr(), size) {
                Some(_) => pointer,
                None => core::ptr::null_mut(),
            };
        }
        if size <= layout.size() {
            return pointer;
        }
        // SAFETY: the caller's promises about `pointer` and `layout` hold, and
        // `size` is a valid size for that alignment by the contract of `realloc`.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                core::ptr::copy_nonoverlapping(pointer, moved, layout.size());
            }
            moved
        }
    }
}
