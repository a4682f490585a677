//! The prompt for a secret's value, on a real (pseudo) terminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::binary::{clean, new_gateway, path};

/// Runs `keyward` with a terminal of its own, types an answer at each of
/// `prompts`, and returns what the terminal showed.
fn at_a_terminal(
    folder: &std::path::Path,
    arguments: &[&str],
    prompts: &[(&str, &str)],
) -> (ExitStatus, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut ours = File::from(ours);
    // A session of its own, whose controlling terminal is its standard input.
    let mut command: Command = clean("setsid", folder);
    command
        .args(["--ctty", "--wait"])
        .arg(path())
        .args(arguments);
    command
        .stdin(theirs.try_clone().unwrap())
        .stdout(theirs.try_clone().unwrap())
        .stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The command holds copies of their end; with them the terminal closes.
    drop(command);
    let mut shown = String::new();
    let read_until = |shown: &mut String, ours: &mut File, wanted: Option<&str>| {
        let from = shown.len();
        let mut byte = [0];
        // At the end of a terminal reading is an error.
        while ours.read_exact(&mut byte).is_ok() {
            shown.push(char::from(byte[0]));
            if wanted.is_some_and(|wanted| shown[from..].contains(wanted)) {
                return;
            }
        }
        assert!(wanted.is_none(), "no {wanted:?} in {shown:?}");
    };
    for (prompt, answer) in prompts {
        read_until(&mut shown, &mut ours, Some(prompt));
        ours.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    read_until(&mut shown, &mut ours, None);
    (child.wait().unwrap(), shown)
}

#[test]
fn a_typed_value_is_asked_for_twice_and_not_shown() {
    let folder = new_gateway();
    let value = "correct-horse-battery";
    let arguments = ["secret", "set", "billing-key", "--kind", "api-key"];
    let (status, shown) = at_a_terminal(
        folder.path(),
        &arguments,
        &[("not shown", value), ("Once more", value)],
    );
    assert!(status.success(), "{shown}");
    assert!(shown.contains("billing-key version 1 stored"), "{shown}");
    assert!(!shown.contains(value), "{shown}");
}

#[test]
fn two_different_values_store_nothing() {
    let folder = new_gateway();
    let arguments = ["secret", "set", "billing-key", "--kind", "api-key"];
    let (status, shown) = at_a_terminal(
        folder.path(),
        &arguments,
        &[
            ("not shown", "correct-horse-1"),
            ("Once more", "correct-horse-2"),
        ],
    );
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("differ; nothing was stored"), "{shown}");
    let list = clean(path(), folder.path())
        .args(["secret", "list"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&list.stdout).starts_with("No secrets."),
        "{list:?}"
    );
}

#[test]
fn client_keys_are_not_asked_for_at_a_prompt() {
    let folder = new_gateway();
    let (status, shown) = at_a_terminal(
        folder.path(),
        &["secret", "set", "clients", "--kind", "client-keys"],
        &[],
    );
    assert_eq!(status.code(), Some(2), "{shown}");
    assert!(shown.contains("--from-file"), "{shown}");
}

#[test]
fn removing_asks_at_a_terminal_and_takes_no_for_an_answer() {
    let folder = new_gateway();
    let run = |arguments: &[&str]| {
        let output = clean(path(), folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    run(&[
        "secret",
        "set",
        "signing",
        "--kind",
        "hmac-key",
        "--generate",
    ]);
    run(&["secret", "disable", "signing"]);
    let remove = ["secret", "remove", "signing"];
    let (status, shown) = at_a_terminal(folder.path(), &remove, &[("Type yes", "no")]);
    assert_eq!(status.code(), Some(1), "{shown}");
    assert!(shown.contains("nothing was changed"), "{shown}");
    let (status, shown) = at_a_terminal(folder.path(), &remove, &[("Type yes", "yes")]);
    assert!(status.success(), "{shown}");
    assert!(shown.contains("signing is destroyed"), "{shown}");
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_opens_the_vault() {
    let folder = new_gateway();
    let passphrase = "staple battery horse correct";
    let add = [
        "vault",
        "slot",
        "add",
        "--passphrase",
        "--memory",
        "64",
        "--lanes",
        "1",
    ];
    let (status, shown) = at_a_terminal(
        folder.path(),
        &add,
        &[("New passphrase", passphrase), ("Once more", passphrase)],
    );
    assert!(status.success(), "{shown}");
    let file = folder.path().join("keyward.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("key-file = \"vault.key\"", "passphrase = true");
    std::fs::write(&file, text).unwrap();
    let (status, opened) = at_a_terminal(
        folder.path(),
        &["secret", "list"],
        &[("Passphrase of the vault", passphrase)],
    );
    assert!(status.success(), "{opened}");
    assert!(opened.contains("No secrets"), "{opened}");
    assert!(!shown.contains(passphrase) && !opened.contains(passphrase));
}
