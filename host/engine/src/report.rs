//! Why a policy was stopped, for its author: never for a client, and never in the
//! audit trail.

use keyward_names::{ExchangeId, PolicyName};

use crate::error::PolicyStop;
use crate::exchange::Phase;
use crate::state::Spent;

/// Frames that a report has at most, the innermost first.
pub(crate) const MOST_FRAMES: usize = 32;
/// Bytes of a function's or a module's name in a report.
const MOST_NAME_BYTES: usize = 256;

/// How a call of a policy came to its end. It holds numbers, and names that the
/// component brought with it; nothing of what the guest had in its memory.
///
/// It depends on what the guest did, which may depend on a secret that it used:
/// like a log line, it leaves the host only once the audit trail holds that use.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StopReport {
    /// Which policy.
    pub policy: PolicyName,
    /// In which phase.
    pub phase: Phase,
    /// Of which exchange.
    pub exchange: ExchangeId,
    /// Why it was stopped.
    pub stop: PolicyStop,
    /// The interface, as `wit/` calls it, of its last call into the host; none if it
    /// made none.
    pub last_interface: Option<&'static str>,
    /// What it had used up.
    pub used: Used,
    /// Where it was, the innermost function first. Empty where it had not started,
    /// or ended by itself.
    pub frames: Vec<Frame>,
}

/// What a call had used up of its [`crate::Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Used {
    /// Milliseconds of computing, rounded down.
    pub cpu_milliseconds: u32,
    /// Calls into the host.
    pub host_calls: u32,
    /// Uses of secrets.
    pub secret_uses: u32,
    /// Calls of its own to backends.
    pub egress_requests: u32,
    /// Log lines, those that were dropped too.
    pub log_lines: u32,
    /// Bytes of memory.
    pub memory_bytes: usize,
}

/// A function that was being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Its name, if the component has names; else its number in its module. In
    /// printable ASCII, at most 256 bytes.
    pub function: String,
    /// The name of its core module, likewise; empty if that has none.
    pub module: String,
    /// How many bytes into the module; none where that is not known.
    pub offset: Option<usize>,
}

impl std::fmt::Display for StopReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy {} in {}: {}", self.policy, self.phase, self.stop)?;
        if let Some(interface) = self.last_interface {
            write!(f, "; its last call into the host was one of {interface}")?;
        }
        for frame in &self.frames {
            write!(f, "; at {}", frame.function)?;
            if let Some(offset) = frame.offset {
                write!(f, " ({}+{offset:#x})", frame.module)?;
            }
        }
        Ok(())
    }
}

impl From<&Spent> for Used {
    fn from(spent: &Spent) -> Self {
        Used {
            cpu_milliseconds: spent.ticks,
            host_calls: spent.host_calls,
            secret_uses: spent.secret_uses,
            egress_requests: spent.egress_requests,
            log_lines: spent.log_lines,
            memory_bytes: spent.memory_bytes,
        }
    }
}

/// The frames that an error of wasmtime's brings; none unless the engine collects
/// them.
pub(crate) fn frames(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(trace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return Vec::new();
    };
    let frames = trace.frames().iter().take(MOST_FRAMES);
    frames
        .map(|frame| Frame {
            function: match frame.func_name() {
                Some(name) => readable(name),
                None => format!("function {}", frame.func_index()),
            },
            module: frame.module().name().map(readable).unwrap_or_default(),
            offset: frame.module_offset(),
        })
        .collect()
}

/// A mangled name of Rust's as it was written, and any name in printable ASCII.
fn readable(name: &str) -> String {
    // Without the hash that the compiler appends.
    let name = format!("{:#}", rustc_demangle::demangle(name));
    crate::capabilities::escaped(&name, MOST_NAME_BYTES)
}
