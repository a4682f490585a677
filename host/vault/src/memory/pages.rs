//! Pages that nobody else reads, and the places handed out of them.
//!
//! This is the only file of Keyward with `unsafe`. Two types carry all of it:
//! [`Pages`] owns a mapping from its making to its end, and a [`Class`] hands out
//! each of its places to one holder at a time. What both rest on is said at the
//! block that needs it.

use std::io;
use std::mem::{align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{self, Advice, MapFlags, MprotectFlags, ProtFlags};
use zeroize::Zeroize as _;

use super::MemoryProtection;

/// A mapping of its own, zeroed, with a page before and after it that can't be
/// touched. Wiped and unmapped when dropped.
pub(super) struct Pages {
    /// The first byte that may be used; one page after the mapping's start.
    start: NonNull<u8>,
    /// A multiple of the page's size.
    length: usize,
    protection: MemoryProtection,
}

// SAFETY: the mapping belongs to this value alone and to no thread; it is reached
// through `&self` for reading and `&mut self` for writing, as a box is.
unsafe impl Send for Pages {}
// SAFETY: as above: through `&Pages` nothing is written.
unsafe impl Sync for Pages {}

impl Pages {
    /// Maps at least `length` bytes, as well protected as the system allows.
    ///
    /// Errors: there is no address space or memory.
    pub(super) fn map(length: usize) -> io::Result<Self> {
        let page = rustix::param::page_size();
        let too_long = || io::Error::from(io::ErrorKind::OutOfMemory);
        let length = length.max(1).checked_next_multiple_of(page);
        let length = length.ok_or_else(too_long)?;
        let whole = length.checked_add(2 * page).ok_or_else(too_long)?;
        // SAFETY: the kernel chooses where, so nothing that exists is touched; and
        // what it maps can't be accessed.
        let reserved = unsafe {
            mm::mmap_anonymous(null_mut(), whole, ProtFlags::empty(), MapFlags::PRIVATE)
        }?;
        // SAFETY: one page into a mapping of at least three.
        let start = unsafe { reserved.cast::<u8>().add(page) };
        let start = NonNull::new(start).ok_or_else(too_long)?;
        // From here on, dropping this unmaps what was reserved.
        let mut pages = Self {
            start,
            length,
            protection: MemoryProtection::Unlocked,
        };
        if pages.make_secret().is_ok() {
            pages.protection = MemoryProtection::SecretMemory;
        } else if pages.make_locked()? {
            pages.protection = MemoryProtection::Locked;
        }
        // Every page is there now, rather than missing when it is needed.
        pages.zeroize();
        Ok(pages)
    }

    /// Puts memory there that only this process reaches: the kernel takes it out
    /// of its own map, so that neither `ptrace`, `/proc/PID/mem`, a core dump nor
    /// hibernation has it (memfd_secret(2)). It counts as locked.
    fn make_secret(&mut self) -> io::Result<()> {
        // SAFETY: the call takes a number and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        let fd = i32::try_from(fd).map_err(io::Error::other)?;
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor, and nobody else has it.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        rustix::fs::ftruncate(&file, self.length as u64)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: takes the place of pages that `map` reserved and that this value
        // owns; no reference into them exists yet.
        unsafe {
            mm::mmap(
                self.start.as_ptr().cast(),
                self.length,
                access,
                flags,
                &file,
                0,
            )
        }?;
        // It would be shared with a forked child, which may not write to it.
        self.advise(Advice::LinuxDontFork)?;
        Ok(())
    }

    /// Makes the pages ordinary memory that is neither swapped nor dumped and that
    /// a forked child finds empty. Returns whether it could be locked.
    fn make_locked(&mut self) -> io::Result<bool> {
        let at = self.start.as_ptr().cast();
        // A secret mapping that was made half-way is replaced.
        let flags = MapFlags::PRIVATE | MapFlags::FIXED;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: as in `make_secret`.
        unsafe { mm::mmap_anonymous(at, self.length, access, flags) }?;
        // Not there on every kernel; a process that may not be dumped has no need.
        self.advise(Advice::LinuxDontDump).ok();
        self.advise(Advice::LinuxWipeOnFork).ok();
        // SAFETY: locking changes no byte; the range is ours.
        Ok(unsafe { mm::mlock(at, self.length) }.is_ok())
    }

    fn advise(&mut self, advice: Advice) -> io::Result<()> {
        // SAFETY: the range is ours, and none of the advice given in this file
        // changes what this process reads there.
        Ok(unsafe { mm::madvise(self.start.as_ptr().cast(), self.length, advice) }?)
    }

    /// What the system granted.
    pub(super) fn protection(&self) -> MemoryProtection {
        self.protection
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `map` left `length` initialised bytes there, readable and
        // writable, and they stay until drop. Of a `Pages` that was borrowed as
        // mutable, this can't be called.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let page = rustix::param::page_size();
        let at = self.start.as_ptr().cast();
        // A half-made mapping may not be writable yet; then it is empty, too.
        // SAFETY: the range is ours; and no reference to it outlives this value.
        if unsafe { mm::mprotect(at, self.length, MprotectFlags::READ | MprotectFlags::WRITE) }
            .is_ok()
        {
            self.zeroize();
        }
        // SAFETY: `map` reserved a page before `start`, and this whole range; no
        // reference to it outlives this value.
        unsafe {
            let whole = self.start.as_ptr().sub(page).cast();
            mm::munmap(whole, self.length + 2 * page).ok();
        }
    }
}

/// How many places of one class there can be: a bit each.
const WORDS: usize = 8;

/// Places of one size, each held by one holder at a time.
pub(super) struct Class {
    pages: Pages,
    /// The size of a place in bytes: a power of two, at least [`ALIGNMENT`].
    size: usize,
    count: usize,
    /// A bit for each place: whether someone holds it.
    taken: [AtomicU64; WORDS],
}

/// Every place starts at a multiple of this.
const ALIGNMENT: usize = 64;

impl Class {
    /// `count` places of `size` bytes, or as many as this type can have.
    ///
    /// Errors: there is no memory, or `size` is not a power of two from 64 up to
    /// the size of a page, or a multiple of that.
    pub(super) fn new(size: usize, count: usize) -> io::Result<Self> {
        if !size.is_power_of_two() || size < ALIGNMENT {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let count = count.min(WORDS * 64);
        let pages = Pages::map(size.saturating_mul(count))?;
        Ok(Self {
            pages,
            size,
            count,
            taken: [const { AtomicU64::new(0) }; WORDS],
        })
    }

    pub(super) fn protection(&self) -> MemoryProtection {
        self.pages.protection()
    }

    /// A place for `length` bytes, all zero; `None` if that is too many, or if
    /// every place is taken.
    pub(super) fn take(&'static self, length: usize) -> Option<Place> {
        if length > self.size {
            return None;
        }
        for (number, word) in self.taken.iter().enumerate() {
            let mut bits = word.load(Ordering::Relaxed);
            loop {
                let bit = (!bits).trailing_zeros();
                let index = number * 64 + bit as usize;
                if bit == 64 || index >= self.count {
                    break;
                }
                // Acquired, so that the last holder's wiping lies before.
                match word.compare_exchange_weak(
                    bits,
                    bits | 1 << bit,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        return Some(Place {
                            class: self,
                            index,
                            length,
                        });
                    }
                    Err(now) => bits = now,
                }
            }
        }
        None
    }
}

/// A place in secret pages, held until this is dropped, which wipes it.
pub(super) struct Place {
    class: &'static Class,
    /// Below the class's count; this value alone has it, as the class's bit says.
    index: usize,
    /// At most the class's size.
    length: usize,
}

impl Place {
    fn start(&self) -> NonNull<u8> {
        // SAFETY: index < count, and the class's pages have `size * count` bytes.
        unsafe { self.class.pages.start.add(self.index * self.class.size) }
    }
}

impl Deref for Place {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `length` bytes of initialised memory that belong to this value:
        // the pages live for ever (`&'static Class`), nobody takes a reference to
        // all of a class's pages, and no other `Place` has this index.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }
}

impl DerefMut for Place {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes it the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.length) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.zeroize();
        if let Some(word) = self.class.taken.get(self.index / 64) {
            // Released, so that the wiping comes before the next holder.
            word.fetch_and(!(1 << (self.index % 64)), Ordering::Release);
        }
    }
}

/// A value that lives in secret pages and never moves out of them.
pub(crate) struct Placed<T> {
    at: NonNull<T>,
    /// Where it lives; on the heap if there was no place.
    place: Option<Place>,
}

// SAFETY: it owns the `T` as a box would.
unsafe impl<T: Send> Send for Placed<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Placed<T> {}

impl<T> Placed<T> {
    /// Moves a value there. What the move leaves on the stack is the caller's to
    /// wipe ([`burn_stack`](super::burn_stack)).
    pub(super) fn new(value: T, place: Option<Place>) -> Self {
        const {
            assert!(
                align_of::<T>() <= ALIGNMENT,
                "places are aligned to 64 bytes"
            )
        };
        let place = place.filter(|place| place.len() >= size_of::<T>());
        let at = match &place {
            Some(place) => {
                let at = place.start().cast::<T>();
                // SAFETY: the place has room for a `T`, is aligned for it, and
                // belongs to this value; its bytes need no drop.
                unsafe { at.write(value) };
                at
            }
            None => NonNull::from(Box::leak(Box::new(value))),
        };
        Self { at, place }
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` wrote a `T` there, which stays until drop. The place's
        // bytes are not reached otherwise while this value has it.
        unsafe { self.at.as_ref() }
    }
}

impl<T> Drop for Placed<T> {
    fn drop(&mut self) {
        match &self.place {
            // SAFETY: the `T` that `new` wrote, dropped once; then the place, which
            // wipes itself, goes as this value's field.
            Some(_) => unsafe { self.at.drop_in_place() },
            // SAFETY: the pointer is that of the box that `new` leaked, taken back
            // once.
            None => drop(unsafe { Box::from_raw(self.at.as_ptr()) }),
        }
    }
}

#[cfg(test)]
mod tests;
