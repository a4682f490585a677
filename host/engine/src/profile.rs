//! Three sandboxes for three sorts of guests. Each profile has a wasmtime engine,
//! a pool of slots and a linker of its own, made when the first policy needs it,
//! so that a large guest never takes a small one's slot.

use std::fmt;
use std::str::FromStr;

use crate::limits::Limits;

/// The sandbox that a policy runs in.
///
/// Chosen by what a component declares, unless an operator says otherwise:
///
/// | | *lean* | *standard* | *large* |
/// |---|---|---|---|
/// | for | what the SDK builds | any Rust or C guest | JavaScript, Python |
/// | declares memory | at most 256 KiB | at most 16 MiB | more |
/// | may grow to | 16 MiB | 64 MiB | 256 MiB |
/// | tables, elements in all | 10,000 | 20,000 | 100,000 |
/// | core modules | 8 | 8 | 64 |
/// | memories | 1 | 1 | 4 |
/// | instructions | WebAssembly 2.0 without SIMD | the same | with SIMD, tail calls, several memories |
/// | stack | 256 KiB | 512 KiB | 2 MiB |
/// | calls at once, by default | 512 | 128 | 16 |
///
/// A component is *lean* when all that it declares fits there, else *standard*,
/// else *large*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Profile {
    /// For guests of one page: their memory stays mapped between calls, and a call
    /// costs no system call.
    #[default]
    Lean,
    /// For any guest: only the pages that a call touched are reset.
    Standard,
    /// For guests that bring a language's run-time system.
    Large,
}

/// There is no such profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no such profile; profiles are lean, standard and large")]
pub struct UnknownProfile;

impl Profile {
    /// Every profile, the smallest first.
    pub const ALL: [Profile; 3] = [Profile::Lean, Profile::Standard, Profile::Large];

    /// Its name in `keyward.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Lean => "lean",
            Profile::Standard => "standard",
            Profile::Large => "large",
        }
    }

    /// Bytes of memory that an instance can have at most.
    pub const fn memory_bytes(self) -> usize {
        match self {
            Profile::Lean => 16 << 20,
            Profile::Standard => 64 << 20,
            Profile::Large => 256 << 20,
        }
    }

    /// Table elements that an instance can have at most.
    pub const fn table_elements(self) -> usize {
        match self {
            Profile::Lean => 10_000,
            Profile::Standard => 20_000,
            Profile::Large => 100_000,
        }
    }

    /// Bytes of memory that a component may declare for the profile to be chosen by
    /// itself.
    pub(crate) const fn declared_bytes(self) -> u64 {
        match self {
            Profile::Lean => 256 << 10,
            Profile::Standard => 16 << 20,
            Profile::Large => 256 << 20,
        }
    }

    pub(crate) const fn core_modules(self) -> u32 {
        match self {
            Profile::Lean | Profile::Standard => 8,
            Profile::Large => 64,
        }
    }

    pub(crate) const fn memories(self) -> u32 {
        match self {
            Profile::Lean | Profile::Standard => 1,
            Profile::Large => 4,
        }
    }

    pub(crate) const fn tables(self) -> u32 {
        match self {
            Profile::Lean | Profile::Standard => 4,
            Profile::Large => 64,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Profile::ALL
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or(UnknownProfile)
    }
}

/// What a policy gets, where it isn't what every policy gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Sandbox {
    /// The profile; none: the smallest that has room for what the component
    /// declares.
    pub profile: Option<Profile>,
    /// The budget of each call; none: the engine's.
    pub limits: Option<Limits>,
    /// Calls of the policy, by name, that may be under way at once; one more is
    /// stopped with [`crate::PolicyStop::NoSlot`] and waits for nothing. At least 1.
    /// None: three quarters of its profile's, so that no policy can take them all.
    pub concurrent_calls: Option<u32>,
}
