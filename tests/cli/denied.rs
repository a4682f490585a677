//! Exit code 5: someone who may not.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::binary::{keyward, new_gateway};

#[test]
fn another_user_is_denied_and_told_so() {
    let folder = new_gateway();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = keyward(folder.path(), &["secret", "list"]);
    // Root may do anything, so it becomes somebody who may not.
    const NOBODY: u32 = 65_534;
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    } else {
        let key = folder.path().join("vault.key");
        set_permissions(&key, Permissions::from_mode(0o000)).unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o555)).unwrap();
    }
    let output = command.output().unwrap();
    set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("permission denied"), "{said}");
    assert!(said.contains("help: run this as"), "{said}");
    assert!(output.stdout.is_empty());
}
