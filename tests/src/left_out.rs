//! Tests that need others' servers, on machines that can't have them.

use std::io::Write as _;

/// Set by whoever can't have them.
const WITHOUT: &str = "KEYWARD_WITHOUT_SERVERS";
/// A file that lists what is left out: `cargo xtask test` names it, and says at its end
/// what stands there.
const LIST: &str = "KEYWARD_LEFT_OUT";

/// Whether the user said that this machine can't have a server. The test that asks is
/// then to end, and counts as left out.
///
/// # Panics
///
/// If the list of what is left out can't be written.
pub fn is_left_out(server: &str) -> bool {
    if std::env::var_os(WITHOUT).is_none() {
        return false;
    }
    if let Some(list) = std::env::var_os(LIST) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or_default();
        // One write, so that tests beside this one don't write into its line.
        let line = format!("{server}\t{test}\n");
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.create(true).append(true).open(list).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    true
}
