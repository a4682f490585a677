//! What a policy document costs: a call of its phases beside the same policy in Rust,
//! in a sandbox and without one; reading, compiling and loading one; and the memory
//! that a thousand loaded ones hold.
//!
//! Calls and compiling are CPU time, in interleaved rounds, so that a slow moment of the
//! machine hits every row alike. Read the ratios. Start it with
//! `cargo xtask bench --only document`, which builds the policies that it runs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

mod calls;
mod compiling;
mod memory;
#[path = "../nowhere/mod.rs"]
mod nowhere;
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyward_vault::{Durability, Vault, VaultFiles};
use rustix::time::{ClockId, clock_gettime};

/// As in the `keyward` command.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--calls", directory, ..] => calls::in_this_process(Path::new(directory)),
        ["--cold", directory, ..] => memory::cold(Path::new(directory)),
        ["--warm", directory, ..] => memory::warm(Path::new(directory)),
        _ => {
            // `cargo bench … -- calls` measures that part only.
            let only = arguments.iter().find(|word| !word.starts_with("--"));
            let wanted = |part: &str| only.is_none_or(|only| *only == part);
            if wanted("calls") {
                calls::measure();
            }
            if wanted("compiling") {
                compiling::measure();
            }
            if wanted("memory") {
                memory::measure();
            }
        }
    }
}

/// What a process of this program prints that was started with these arguments.
fn in_a_process(arguments: &[&str]) -> String {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "a measuring process failed");
    String::from_utf8(output.stdout).unwrap()
}

/// The vault there, made if there is none.
fn vault(directory: &Path) -> Arc<Vault> {
    let files = VaultFiles::in_directory(directory);
    if !files.vault.exists() {
        Vault::create(&files).unwrap();
    }
    Arc::new(Vault::open(&files, Durability::Buffered).unwrap())
}

fn cpu_time(of: ClockId) -> Duration {
    Duration::try_from(clock_gettime(of)).expect("CPU time is not negative")
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
