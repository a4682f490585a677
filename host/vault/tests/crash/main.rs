//! What the vault and its audit trail are after a crash: of the process, or of the
//! machine, at any moment.
//!
//! - [`power`]: on a recorded disk, every state that a loss of power could leave;
//! - [`recoveries`]: the same while a vault is created, restored, or an older one
//!   is accepted;
//! - [`syncs`]: the controls. Without each of the syncs, some state is found out;
//! - [`killed`]: a real process, killed while it writes, on the real file system.
//!
//! What has to hold is in [`verdict`]. `cargo xtask soak` runs the same at length.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod killed;
mod power;
mod recorder;
mod recoveries;
mod states;
mod steps;
mod syncs;
mod verdict;
mod workload;
