//! A vault that the server opens, by the commands that an operator types.

use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_tests::OpenBaoServer;
use serde_json::json;

use crate::server;

/// The command as it was built.
fn binary() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    binary
}

/// What a command ends with, and what it says.
async fn run(folder: &Path, line: &str) -> (i32, String) {
    let (folder, words) = (folder.to_owned(), line.split(' ').map(str::to_owned));
    let words: Vec<String> = words.collect();
    let run = move || {
        let mut command = Command::new(binary());
        command.env_clear().current_dir(folder).args(words);
        command.output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    (output.status.code().unwrap(), said)
}

/// Runs commands, each with what it ends with and a part of what it says.
async fn check(folder: &Path, transcript: &[(&str, i32, &str)]) {
    for (line, expected, part) in transcript {
        let (code, said) = run(folder, line).await;
        let shown = format!("$ keyward {line}\n{said}");
        assert_eq!(code, *expected, "{shown}");
        assert!(said.contains(part), "{part:?} is not in:\n{shown}");
    }
}

fn configure(server: &OpenBaoServer, folder: &Path, vault: &str) {
    std::fs::write(folder.join("bao.pem"), server.certificate()).unwrap();
    server.file("root", server.root());
    let text = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\n{vault}\n[sources.corp]\nkind = \"openbao\"\n\
         address = \"{}\"\nca-file = \"bao.pem\"\nnetworks = [\"127.0.0.0/8\", \"::1/128\"]\n\
         auth = {{ method = \"token-file\", file = \"{}\" }}\n",
        server.address(),
        server.folder().join("root").display(),
    );
    std::fs::write(folder.join("keyward.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_opened_by_a_key_that_never_leaves_the_server() {
    let server = server!();
    for key in ["vault-master", "other"] {
        let kind = json!({ "type": "aes256-gcm96" });
        server.write(&format!("transit/keys/{key}"), &kind).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    check(folder, &[("init", 0, "")]).await;
    configure(&server, folder, "");
    check(
        folder,
        &[
            (
                "secret set signing --kind hmac-key --generate",
                0,
                "version 1 stored",
            ),
            (
                "vault slot add --source nowhere --key vault-master",
                1,
                "there is no source nowhere",
            ),
            (
                "vault slot add --source corp --key vault-master --reason second",
                0,
                "slot 2 (source) opens the vault too",
            ),
            ("vault slots", 0, "source corp:vault-master"),
        ],
    )
    .await;

    // From here on there is no key file: the server opens the vault.
    let by_source = "[vault]\nsource-key = \"corp:vault-master\"";
    configure(&server, folder, by_source);
    std::fs::rename(folder.join("vault.key"), folder.join("away.key")).unwrap();
    check(
        folder,
        &[
            ("secret list", 0, "signing"),
            (
                "secret rotate signing --generate --length 64",
                0,
                "version 2 is in use",
            ),
        ],
    )
    .await;
    // A newer version of its key opens what an older one closed.
    server
        .write("transit/keys/vault-master/rotate", &json!({}))
        .await;
    check(folder, &[("secret list", 0, "signing")]).await;
    // Another key of the same server opens nothing.
    configure(&server, folder, "[vault]\nsource-key = \"corp:other\"");
    check(
        folder,
        &[(
            "secret list",
            3,
            "no slot of the vault is opened by corp:other",
        )],
    )
    .await;
    configure(&server, folder, by_source);
    server.seal().await;
    check(folder, &[("secret list", 1, "seal")]).await;
    server.unseal().await;
    check(folder, &[("secret list", 0, "signing")]).await;
    // The key file still opens it, for the day on which there is no server.
    std::fs::rename(folder.join("away.key"), folder.join("vault.key")).unwrap();
    configure(&server, folder, "");
    check(
        folder,
        &[
            (
                "vault slot remove 2 --yes --reason drill",
                0,
                "is destroyed",
            ),
            ("secret list", 0, "signing"),
        ],
    )
    .await;
}
