//! The allocator of a policy: what is left of the last page of its memory.
//!
//! A policy's instance lives for one call, so that hardly anything is worth giving back:
//! an allocation moves one pointer. The arena is the room between the policy's data and
//! the end of the memory that it starts with, so that in the ordinary case memory never
//! grows, which is what makes a fresh instance cheap. When the arena is used up, it moves
//! to the largest room that was given back, of which there is most after the settings
//! were read; when none is large enough, the memory grows, up to the host's limit.

mod holes;
mod room;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::wasm::leave_room;

#[cfg(target_arch = "wasm32")]
mod wasm {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::ptr;

    use super::room::{Memory, Resized, Room};

    /// Bytes that a call needs mostly.
    const USUAL: usize = 4 * 1024;

    struct Arena(Room);

    #[global_allocator]
    static ARENA: Arena = Arena(Room::new());

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

    struct Linear;

    impl Memory for Linear {
        fn start() -> (usize, usize) {
            (
                (&raw const linker::__heap_base).addr(),
                (&raw const linker::__heap_end).addr(),
            )
        }

        fn pages() -> usize {
            memory_size(0)
        }

        fn grow(pages: usize) -> Option<usize> {
            Some(memory_grow(0, pages)).filter(|before| *before != usize::MAX)
        }
    }

    /// Called when the settings were read: sees to it that calls find room, and need not
    /// grow the memory each for itself.
    #[expect(unsafe_code, reason = "it writes to memory that nothing uses")]
    pub(crate) fn leave_room() {
        for (from, to) in ARENA.0.reserve::<Linear>(USUAL) {
            // What is zero is not copied for each call.
            // SAFETY: these bytes are free, and nothing is allocated meanwhile.
            unsafe { ptr::with_exposed_provenance_mut::<u8>(from).write_bytes(0, to - from) }
        }
    }

    #[expect(
        unsafe_code,
        reason = "GlobalAlloc is an unsafe trait: what is handed out is inside the memory, past \
                  the data, aligned as asked, and never handed out twice while it is in use"
    )]
    unsafe impl GlobalAlloc for Arena {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let start = self.0.take::<Linear>(layout);
            ptr::with_exposed_provenance_mut(start.unwrap_or(0))
        }

        #[inline]
        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            self.0.give(pointer.addr(), layout.size());
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            match self.0.resize::<Linear>(pointer.addr(), layout, size) {
                Some(Resized::Here) => pointer,
                Some(Resized::Elsewhere(start)) => {
                    let moved = ptr::with_exposed_provenance_mut(start);
                    // SAFETY: both are allocations, which never overlap, and the old one
                    // has `layout`, by the contract of `realloc`.
                    unsafe {
                        let bytes = layout.size().min(size);
                        ptr::copy_nonoverlapping(pointer, moved, bytes);
                        self.dealloc(pointer, layout);
                    }
                    moved
                }
                None => ptr::null_mut(),
            }
        }
    }
}
