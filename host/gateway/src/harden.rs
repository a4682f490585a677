//! What a process that holds keys asks of its system before it opens them, and
//! what it got.

use keyward::vault::{MemoryProtection, memory_protection};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};

/// Forbids core dumps of this process, and debuggers of the same user. To be called
/// before the first value or key is read.
///
/// What is not dumpable can't be attached to (`ptrace`, `/proc/PID/mem`) by any
/// user but root, and is not handed to a program that collects core dumps, which
/// the limit alone doesn't prevent.
///
/// Errors: the system refuses, which a caller should report and may survive: the
/// values are then as readable as the system's own settings make them.
pub fn forbid_dumps() -> std::io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// How well the memory of this process is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Protection {
    /// That of the pages in which keys, and values in use, stand.
    pub memory: MemoryProtection,
    /// Whether a core dump of this process would be written, or a debugger of the
    /// same user could attach.
    pub dumpable: bool,
}

impl Protection {
    /// As it is now. Maps some 250 KiB of protected memory, if no vault has yet.
    pub fn now() -> Self {
        let limit = getrlimit(Resource::Core).current;
        let dumpable = dumpable_behavior();
        Self {
            memory: memory_protection(),
            dumpable: limit != Some(0) || !matches!(dumpable, Ok(DumpableBehavior::NotDumpable)),
        }
    }

    /// What an operator can do to have the memory better protected; `None` if it
    /// is as well as can be.
    pub fn advice(&self) -> Option<&'static str> {
        advice_on(self.memory)
    }
}

/// The same of any process whose memory is protected so.
pub fn advice_on(memory: MemoryProtection) -> Option<&'static str> {
    match memory {
        MemoryProtection::SecretMemory => None,
        MemoryProtection::Locked => Some(
            "Linux 5.14 and later have memory that no other process reads; up to 6.4 it has \
             to be turned on with the kernel parameter `secretmem.enable=1`",
        ),
        _ => Some(
            "keys could be swapped to disk: let the gateway lock 1 MiB of memory \
             (`LimitMEMLOCK=` of its systemd unit, `ulimit -l`)",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    #[test]
    fn a_process_that_forbids_dumps_is_not_dumpable() {
        forbid_dumps().unwrap();
        assert!(!Protection::now().dumpable);
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core"));
        let limits: Vec<_> = core.unwrap().split_whitespace().collect();
        assert_eq!(limits[4..6], ["0", "0"]);
    }
}
