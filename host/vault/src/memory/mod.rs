//! Memory for what must not be found there.
//!
//! Values rest encrypted ([`Shielded`]) on the ordinary heap, under a key that is
//! drawn when the process starts. Only that key, the vault's own keys and values
//! that are in use right now stand in plain, and those in pages of their own
//! ([`Scratch`], [`Placed`]):
//!
//! - `memfd_secret` (Linux 5.14 and later; some kernels want `secretmem.enable=1`):
//!   neither a debugger, `/proc/PID/mem`, a core dump, swap, hibernation nor the
//!   kernel's own map has them;
//! - else locked pages that no core dump holds and that a forked child finds
//!   empty;
//! - else, where `RLIMIT_MEMLOCK` doesn't even allow that, the same but for the
//!   lock: they may be swapped out. [`memory_protection`] says which.
//!
//! The pages lie between two that can't be touched. Each holder has its own place
//! in them and wipes it when it is done. The places are few (some 250 KiB) because
//! the usual limit for a process is 8 MiB; if all are taken, a value stands on the
//! heap while it is used and is wiped there: waiting for a place could wait for
//! ever. A value too long for a place (over 8 KiB) gets pages of its own.
//!
//! What this does not do: registers and the stack of the code that computes with
//! a value hold parts of it for that time; [`burn_stack`] wipes the stack after
//! it. A `fork` without `exec` is not supported: a child has none of the pages.

#[expect(
    unsafe_code,
    reason = "maps pages and hands out places in them; nothing else of Keyward is unsafe"
)]
mod pages;
mod shield;

use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use zeroize::Zeroizing;

use pages::{Class, Pages, Place};

pub(crate) use pages::Placed;
pub(crate) use shield::Shielded;

/// How well the memory is protected in which keys, and values in use, stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum MemoryProtection {
    /// Ordinary pages that are left out of core dumps and may be swapped out:
    /// `RLIMIT_MEMLOCK` is too low to lock them.
    Unlocked,
    /// Pages that are neither swapped nor dumped.
    Locked,
    /// Pages that only this process reaches, not even the kernel (`memfd_secret`).
    SecretMemory,
}

impl MemoryProtection {
    /// Each there is, the weakest first.
    pub const ALL: [Self; 3] = [Self::Unlocked, Self::Locked, Self::SecretMemory];

    /// As people write it: `secret-memory`, `locked`, `unlocked`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::SecretMemory => "secret-memory",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
        }
    }
}

crate::kind::display_as_str!(MemoryProtection);

/// How well this process can protect the memory in which keys, and values in use,
/// stand. The same for its whole life.
///
/// It maps the pages, some 250 KiB, if no vault has done so yet.
pub fn memory_protection() -> MemoryProtection {
    let classes = classes().iter();
    let protections = classes.map(|class| class.as_ref().map(Class::protection));
    // Without a place, values in use stand on the heap.
    let protections = protections.map(|found| found.unwrap_or(MemoryProtection::Unlocked));
    protections.min().unwrap_or(MemoryProtection::Unlocked)
}

/// The sizes of the places in bytes, ascending, and how many there are of each:
/// keys; API keys and keyed hashes; signing contexts; values of the greatest
/// length that is usual. 240 KiB in all.
const CLASSES: [(usize, usize); 4] = [(64, 512), (512, 64), (2048, 24), (8192, 16)];

fn classes() -> &'static [Option<Class>; CLASSES.len()] {
    static CELLS: OnceLock<[Option<Class>; CLASSES.len()]> = OnceLock::new();
    CELLS.get_or_init(|| CLASSES.map(|(size, count)| Class::new(size, count).ok()))
}

fn take(length: usize) -> Option<Place> {
    let mut classes = classes().iter().flatten();
    classes.find_map(|class| class.take(length))
}

/// Bytes in secret pages, zero at first, wiped when dropped.
pub(crate) struct Scratch(Held);

enum Held {
    Place(Place),
    Pages(Pages, usize),
    Heap(Zeroizing<Box<[u8]>>),
}

impl Scratch {
    /// Room for `length` bytes.
    pub(crate) fn new(length: usize) -> Self {
        if let Some(place) = take(length) {
            return Self(Held::Place(place));
        }
        let largest = CLASSES.last().map_or(0, |(size, _)| *size);
        if length > largest
            && let Ok(pages) = Pages::map(length)
        {
            return Self(Held::Pages(pages, length));
        }
        Self(Held::Heap(Zeroizing::new(
            vec![0; length].into_boxed_slice(),
        )))
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Place(place) => place,
            Held::Pages(pages, length) => pages.get(..*length).unwrap_or_default(),
            Held::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Held::Place(place) => place,
            Held::Pages(pages, length) => pages.get_mut(..*length).unwrap_or_default(),
            Held::Heap(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Scratch {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

crate::secret::assert_not_implemented!(Scratch: std::fmt::Debug, Clone, serde::Serialize);

impl<T> Placed<T> {
    /// Moves a value into secret pages, where it stays; on the heap if all places
    /// are taken, where its own drop has to wipe it.
    pub(crate) fn in_secret_pages(value: T) -> Self {
        let placed = Self::new(value, take(size_of::<T>()));
        burn_stack();
        placed
    }
}

/// How deep cryptography goes on the stack, with room to spare.
const BURNED_BYTES: usize = 4 << 10;

/// Overwrites what functions that have returned left on this thread's stack.
///
/// Compilers keep parts of a value on the stack while they compute with it, and
/// no type can wipe those. To be called where the computing began: the closer, the
/// deeper it reaches. Takes some 50 ns.
#[inline(never)]
pub(crate) fn burn_stack() {
    let mut stack = [0_u8; BURNED_BYTES];
    black_box(&mut stack);
}
