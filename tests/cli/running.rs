//! While a gateway runs it has the vault, and commands go through its control
//! socket.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::{keyward, new_gateway};

const MAC_GRANT: &str = r#"
[[grant]]
id = "sign"
policy = "webhook"
secret = "second"
use = "mac-sign"
"#;

/// A gateway that serves. Killed if a test ends early.
pub(crate) struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Serving {
    /// Starts one and waits until it says that it serves.
    fn start(folder: &Path) -> Self {
        Self::with(folder, &[])
    }

    /// The same, with options.
    pub(crate) fn with(folder: &Path, options: &[&str]) -> Self {
        let mut child = keyward(folder, &[&["serve"], options].concat())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Self {
            child,
            stderr,
            said: String::new(),
        };
        while !serving.said.contains("serving") {
            assert_ne!(
                serving.stderr.read_line(&mut serving.said).unwrap(),
                0,
                "{}",
                serving.said
            );
        }
        serving
    }

    /// Asks it to stop, and returns how it ended and all that it said.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
        while self.stderr.read_line(&mut self.said).unwrap() > 0 {}
        (self.child.wait().unwrap(), std::mem::take(&mut self.said))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = keyward(folder, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that takes no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn good(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn commands_go_through_the_gateway_that_runs() {
    let folder = new_gateway();
    let folder = folder.path();
    let value = "correct-horse-battery-staple";
    good(
        folder,
        &["secret", "set", "first", "--kind", "api-key"],
        value,
    );

    let serving = Serving::start(folder);
    assert!(good(folder, &["secret", "list"], "").contains("first"));
    let set = [
        "secret",
        "set",
        "second",
        "--kind",
        "hmac-key",
        "--encoding",
        "hex",
        "--reason",
        "a test",
    ];
    good(
        folder,
        &set,
        "9f2c47d81be0536aa4c1907e6fd3285bb85e13cc0a74f69d2d7be154c9f0386a\n",
    );
    let rotated = good(
        folder,
        &["secret", "rotate", "first"],
        "another-correct-horse\n",
    );
    assert_eq!(rotated, "first version 2 is in use\n");
    assert!(good(folder, &["doctor"], "").contains("through the running gateway"));
    good(folder, &["audit", "verify"], "");
    assert!(good(folder, &["grants", "check"], "").contains("Nothing is granted"));

    std::fs::write(folder.join("grants.toml"), MAC_GRANT).unwrap();
    // The policy that it names is not there, which is a finding and no failure.
    let reloaded = run(folder, &["grants", "reload", "--reason", "a test"], "");
    let reloaded = String::from_utf8(reloaded.stdout).unwrap();
    assert!(
        reloaded.starts_with("in force: 1 grant; digest "),
        "{reloaded}"
    );
    std::fs::write(folder.join("grants.toml"), "[[grant]]\n").unwrap();
    let refused = run(folder, &["grants", "reload"], "");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    std::fs::write(folder.join("grants.toml"), "").unwrap();

    let again = run(
        folder,
        &["secret", "set", "second", "--kind", "api-key"],
        value,
    );
    assert_eq!(again.status.code(), Some(1));
    let short = run(folder, &["secret", "rotate", "second"], "0f");
    assert_eq!(short.status.code(), Some(1));
    let second = run(folder, &["serve"], "");
    assert_eq!(second.status.code(), Some(1), "two gateways on one vault");

    let (status, said) = serving.stop();
    assert!(status.success(), "{said}");
    assert!(!said.contains("correct-horse"), "{said}");
    assert!(
        !folder.join("control.sock").exists(),
        "the socket is removed"
    );

    let reload = run(folder, &["grants", "reload"], "");
    assert_eq!(reload.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&reload.stderr).contains("no gateway is running"),
        "{reload:?}"
    );

    // And without it, the vault is opened here again.
    let list = good(folder, &["secret", "list", "-o", "json"], "");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let versions: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|info| (&info["name"], &info["version"]))
        .collect();
    assert_eq!(
        format!("{versions:?}"),
        r#"[(String("first"), Number(2)), (String("second"), Number(1))]"#
    );
    good(folder, &["audit", "verify"], "");
}

#[test]
fn the_log_can_be_json() {
    let folder = new_gateway();
    let mut child = keyward(folder.path(), &["serve", "-o", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let line: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert!(line["timestamp"].is_string(), "{first}");
}

#[test]
fn a_configuration_that_is_wrong_is_not_served() {
    let folder = new_gateway();
    std::fs::write(
        folder.path().join("keyward.toml"),
        "[gateway]\nlisten = 8080\n",
    )
    .unwrap();
    let output = run(folder.path(), &["serve"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("keyward.toml:2:"),
        "{output:?}"
    );
}
