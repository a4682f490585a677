//! What a process that holds keys asks of its system before it opens them.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core dumps of this process, and debuggers of the same user.
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
