//! A vault that a key of Key Vault opens, by the commands that an operator types.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use keyward_tests::key_vault::Azure;

/// What a command ends with, and what it says.
fn run(folder: &Path, line: &str) -> (i32, String) {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    let mut command = Command::new(binary);
    command.env_clear().current_dir(folder);
    let output = command.args(line.split(' ')).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), said)
}

/// Runs a command and looks at what it ends with and for a part of what it says.
#[track_caller]
fn check(folder: &Path, line: &str, expected: i32, part: &str) {
    let (code, said) = run(folder, line);
    assert_eq!(code, expected, "$ keyward {line}\n{said}");
    assert!(
        said.contains(part),
        "{part:?} is not in:\n$ keyward {line}\n{said}"
    );
}

fn configure(azure: &Azure, folder: &Path, vault: &str) {
    std::fs::write(folder.join("azure.pem"), azure.authority_pem()).unwrap();
    let text = format!(
        r#"[gateway]
listen = "127.0.0.1:0"
{vault}
{}timeout = "5s"
"#,
        azure.section("azure.pem")
    );
    std::fs::write(folder.join("keyward.toml"), text).unwrap();
}

#[test]
fn a_vault_is_opened_by_a_key_that_never_leaves_key_vault() {
    let azure = Azure::start();
    azure.change(|state| {
        state.add_key("master");
        state.add_key("other");
    });
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(folder, "init", 0, "");
    configure(&azure, folder, "");
    let set = "secret set signing --kind hmac-key --generate";
    check(folder, set, 0, "version 1 stored");
    let add = "vault slot add --source shop --key nowhere";
    check(folder, add, 1, "no such secret in the source");
    let add = "vault slot add --source shop --key master --reason second";
    check(folder, add, 0, "slot 2 (source) opens the vault too");
    check(folder, "vault slots", 0, "source shop:master/");

    // From here on there is no key file: Key Vault opens the vault.
    let by_source = "[vault]\nsource-key = \"shop:master\"";
    configure(&azure, folder, by_source);
    std::fs::rename(folder.join("vault.key"), folder.join("away.key")).unwrap();
    check(folder, "secret list", 0, "signing");
    let rotate = "secret rotate signing --generate --length 64";
    check(folder, rotate, 0, "version 2 is in use");
    // The version that closed it opens it, whichever is the newest one.
    azure.change(|state| state.add_key("master"));
    check(folder, "secret list", 0, "signing");
    // Another key of the same vault opens nothing.
    configure(&azure, folder, "[vault]\nsource-key = \"shop:other\"");
    let none = "no slot of the vault is opened by shop:other";
    check(folder, "secret list", 1, none);
    // An identity without the right is told which one it needs.
    configure(&azure, folder, by_source);
    let denied =
        r#"{"error":{"code":"Forbidden","message":"","innererror":{"code":"ForbiddenByRbac"}}}"#;
    azure.change(|state| {
        let denied = (403, denied.to_owned(), None);
        state.vault_faults.push_back(denied);
    });
    check(folder, "secret list", 1, "Give the identity the right");
    check(folder, "secret list", 0, "signing");
    // Without Key Vault nothing opens it, and the error says what to do.
    let address = azure.secure();
    drop(azure);
    let limit = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < limit, "it still listens");
        std::thread::sleep(Duration::from_millis(10));
    }
    check(folder, "secret list", 1, "See whether the source runs");
    // The key file still does, for that day.
    let said = std::fs::read_to_string(folder.join("keyward.toml")).unwrap();
    std::fs::write(folder.join("keyward.toml"), said.replace(by_source, "")).unwrap();
    std::fs::rename(folder.join("away.key"), folder.join("vault.key")).unwrap();
    check(folder, "secret list", 0, "signing");
    let remove = "vault slot remove 2 --yes --reason drill";
    check(folder, remove, 0, "is destroyed");
    check(folder, "secret list", 0, "signing");
}
