//! Exit code 5: someone who may not.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use crate::binary::{keyward, new_gateway};
use crate::running::Serving;

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

/// As root only: nobody else can be two users. What another user may do by their
/// role, over the same socket, is in `roles.rs` too.
#[test]
fn a_role_lets_another_user_do_what_it_is_for_and_no_more() {
    const VIEWER: u32 = 61_001;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = new_gateway();
    let folder = folder.path();
    set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let file = folder.join("keyward.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(&format!("[control.roles]\nviewer = [\"uid:{VIEWER}\"]\n"));
    std::fs::write(&file, text).unwrap();
    let serving = Serving::with(folder, &[]);
    let as_viewer = |arguments: &[&str]| {
        let mut command = keyward(folder, arguments);
        command.uid(VIEWER).gid(VIEWER).output().unwrap()
    };
    let listed = as_viewer(&["secret", "list"]);
    assert!(listed.status.success(), "{listed:?}");
    for arguments in [
        &["vault", "rewrap"][..],
        &["grants", "reload"],
        &["audit", "tail"],
    ] {
        let denied = as_viewer(arguments);
        let said = String::from_utf8_lossy(&denied.stderr);
        assert_eq!(denied.status.code(), Some(5), "{arguments:?}: {said}");
        assert!(said.contains("takes the role"), "{said}");
        assert!(denied.stdout.is_empty());
    }
    let seen = keyward(folder, &["audit", "query", "--act", "access-denied"])
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert_eq!(seen.matches(&format!("uid {VIEWER}")).count(), 3, "{seen}");
    assert!(seen.contains("vault.rewrap"), "{seen}");
    assert!(serving.stop().0.success());
}
