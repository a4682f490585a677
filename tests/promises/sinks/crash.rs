//! What a gateway that crashes leaves on disk: no core dump, even where the system
//! would write one.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aho_corasick::AhoCorasick;
use keyward_tests::Canary;
use rustix::process::{Pid, Signal, kill_process};

use crate::memory::gateway::{keyward, run};

/// Has a gateway that is started by `program` crash where dumps are allowed, and
/// gives the dump, if there is one. The canary is in its configuration.
fn crash(program: &str, canary: &Canary) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    run(path, &["init", "--listen", "127.0.0.1:0"], "");
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n[[route]]\nname = \"r\"\nurl = \"http://127.0.0.1:9\"\n[[pipeline]]\npath = \"/{}\"\nroute = \"r\"\n",
        canary.text()
    );
    std::fs::write(path.join("keyward.toml"), text).unwrap();
    let mut process = Command::new("sh")
        .args(["-c", &format!("ulimit -c unlimited; exec {program}")])
        .current_dir(path)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let serves = lines.any(|line| line.unwrap().contains("serving"));
    assert!(serves, "{program} does not serve");
    kill_process(Pid::from_child(&process), Signal::ABORT).unwrap();
    let status = process.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    dump_in(path).map(|dump| std::fs::read(dump).unwrap())
}

fn dump_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b"core")
    })
}

/// Whether the system writes dumps into the folder of the process that crashed.
fn dumps_are_here() -> bool {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    pattern.starts_with("core")
}

#[test]
fn a_gateway_that_crashes_leaves_no_dump() {
    let program = format!("{} serve -o json", keyward().display());
    assert!(crash(&program, &Canary::new()).is_none());
}

#[test]
fn control_a_gateway_that_may_be_read_leaves_one_with_what_it_held() {
    if !dumps_are_here() {
        // Whoever collects dumps here keeps them elsewhere.
        return;
    }
    let canary = Canary::new();
    let readable = env!("CARGO_BIN_EXE_serve-readable");
    let dump = crash(&format!("{readable} keyward.toml"), &canary);
    let dump = dump.unwrap_or_default();
    let search = AhoCorasick::new([canary.text()]).unwrap();
    assert!(search.is_match(&dump), "{} bytes", dump.len());
}
