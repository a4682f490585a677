//! A disk that is really full: uses of secrets are refused, the rest goes on, and
//! once there is space the trail opens again and says what was cut off.
//!
//! The disk is filled by this test's own program, started once more: with a limit
//! on the size of its files, and on a file system of 256 KiB where the machine
//! lets anyone mount one.

use std::path::Path;
use std::process::Command;

use super::committing::acts;
use super::fixture::{actor, block_on, entry, exchange, open};
use crate::audit::{Act, Administrative, AuditUnavailable, PruneError, read_records, verify_trail};

/// What the child is to do, and where. Set only there.
const TASK: &str = "KEYWARD_TEST_FULL_DISK";

/// Records until there is no space left. Returns how many were acknowledged.
fn fill(directory: &Path) -> u64 {
    let trail = open(directory).unwrap();
    let mut acknowledged = 0;
    let refused = loop {
        let mut ledger = trail.begin(exchange(acknowledged as u8));
        ledger.record(entry("backend"));
        match block_on(ledger.barrier()) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "the disk does not get full");
    };
    assert_eq!(refused, AuditUnavailable);
    assert!(trail.has_failed());
    // Whatever is to be recorded is refused from here on.
    let mut ledger = trail.begin(exchange(1));
    ledger.record(entry("backend"));
    assert_eq!(block_on(ledger.barrier()).unwrap_err(), AuditUnavailable);
    let act = Administrative::new(Act::Opened, "uid 0", None);
    assert_eq!(trail.append_administrative(act), Err(AuditUnavailable));
    let pruned = trail.prune(jiff::Timestamp::MAX, &actor());
    assert!(matches!(pruned, Err(PruneError::Audit(_)) | Ok(None)));
    // Who uses no secret waits for nothing.
    block_on(trail.begin(exchange(2)).barrier()).unwrap();
    acknowledged
}

/// Opens what [`fill`] has left, now that there is space.
fn reopen(directory: &Path, acknowledged: u64) {
    let trail = open(directory).unwrap();
    let key = trail.verifier_key();
    let mut ledger = trail.begin(exchange(3));
    ledger.record(entry("backend"));
    block_on(ledger.barrier()).unwrap();
    drop(trail);
    let report = verify_trail(directory, &key).unwrap();
    assert_eq!((report.uncovered, report.incomplete_bytes), (0, 0));
    let records: Vec<_> = read_records(directory).map(Result::unwrap).collect();
    let uses = records.iter().filter(|record| record.get("uses").is_some());
    // The one that was refused may have been written whole, and not synced.
    assert!((acknowledged + 1..=acknowledged + 2).contains(&(uses.count() as u64)));
    let recovered = records.iter().find(|record| record["act"] == "recovered");
    let torn = recovered.is_some_and(|act| act["bytes"].as_u64() > Some(0));
    let taken_over = recovered.is_some_and(|act| act["count"].as_u64() > Some(0));
    assert!(torn || taken_over, "{recovered:?}");
    assert_eq!(acts(directory).last().unwrap(), "closed");
}

#[test]
fn the_child_does_its_task() {
    let Ok(task) = std::env::var(TASK) else {
        return;
    };
    let (task, directory) = task.split_once(' ').unwrap();
    let directory = Path::new(directory);
    let audit = directory.join("audit");
    let ballast = directory.join("ballast");
    if task == "mounted" {
        std::fs::write(&ballast, vec![0; 100 << 10]).unwrap();
    }
    let acknowledged = fill(&audit);
    if task == "mounted" {
        std::fs::remove_file(ballast).unwrap();
        reopen(&audit, acknowledged);
    } else {
        let file = directory.join("acknowledged");
        std::fs::write(file, acknowledged.to_string()).unwrap();
    }
}

/// Runs the child after a line of shell. `false` if that line doesn't work here.
fn run_child(mut shell: Command, prepare: &str, task: &str) -> bool {
    let child = "audit::tests::full_disk::the_child_does_its_task";
    let script = format!("{prepare} || exit 77; exec \"$0\" --exact {child}");
    let output = shell
        .args(["sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(TASK, task)
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        return false;
    }
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
    true
}

#[test]
fn a_file_that_may_not_grow_refuses_uses_and_the_trail_opens_again_later() {
    let directory = tempfile::tempdir().unwrap();
    let task = format!("limited {}", directory.path().display());
    // 32 KiB or 64 KiB, as the shell counts. Without the trap the signal ends it.
    let ran = run_child(Command::new("env"), "trap '' XFSZ && ulimit -f 64", &task);
    assert!(ran, "the shell sets no limit");
    let acknowledged = std::fs::read_to_string(directory.path().join("acknowledged")).unwrap();
    let acknowledged: u64 = acknowledged.parse().unwrap();
    assert!(acknowledged > 50, "{acknowledged}");
    reopen(&directory.path().join("audit"), acknowledged);
}

#[test]
fn a_full_file_system_refuses_uses_and_the_trail_opens_again_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let mut shell = Command::new("env");
    shell.args(["unshare", "--user", "--map-root-user", "--mount"]);
    let mount = format!("mount -t tmpfs -o size=256k,mode=700 none '{path}' 2>&1");
    let may_mount = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output()
        .is_ok_and(|output| output.status.success());
    // Where it is not allowed, the test above stands alone.
    if may_mount {
        run_child(shell, &mount, &format!("mounted {path}"));
    }
}
