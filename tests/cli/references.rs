//! A reference that names a vault which nobody listed is not asked (B26, D27), whoever
//! wrote it and wherever it stands: nothing connects.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;

use crate::binary::keyward;

/// A vault of the attacker's: it only counts who comes.
struct Evil(TcpListener);

impl Evil {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.0.local_addr().unwrap().port())
    }

    fn reference(&self) -> String {
        format!(
            "@Microsoft.KeyVault(SecretUri={}/secrets/stripe-key)",
            self.url()
        )
    }

    /// How many connections there were since the last time.
    fn came(&self) -> usize {
        let mut came = 0;
        loop {
            match self.0.accept() {
                Ok(_) => came += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return came,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Runs a command; what it ended with and all that it said.
fn said(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = keyward(folder, arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn write(folder: &Path, rest: &str) {
    let base = "[gateway]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(folder.join("keyward.toml"), format!("{base}{rest}")).unwrap();
}

/// A gateway in a folder of its own.
fn gateway() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (made, text) = said(folder.path(), &["init"]);
    assert!(made, "{text}");
    folder
}

#[test]
fn a_vault_that_is_not_listed_is_never_connected_to() {
    let evil = Evil::new();
    let reference = evil.reference();
    let folder = gateway();
    let folder = folder.path();
    let listed = "[sources.shop]\nkind = \"key-vault\"\nvault = \"https://shop.vault.azure.net\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\n";
    write(folder, listed);
    for arguments in [
        &["value", "set", "key", "--reference", &reference][..],
        &["value", "set", "key", "--plain", &reference],
        &[
            "secret", "set", "key", "--kind", "api-key", "--from", &reference,
        ],
        &[
            "secret",
            "set",
            "key",
            "--kind",
            "api-key",
            "--from",
            "evil:stripe-key",
        ],
        &["source", "check", "evil", "stripe-key"],
    ] {
        let (worked, text) = said(folder, arguments);
        assert!(!worked, "{arguments:?}: {text}");
        assert!(!text.contains("@Microsoft"), "{text}");
    }
    // As a setting, in a document, and as where requests go.
    let policy = format!(
        "{listed}[[policy]]\nname = \"p\"\ncomponent = \"p.wasm\"\nsettings = {{ alias = \"{reference}\" }}\n"
    );
    let route = format!("{listed}[[route]]\nname = \"r\"\nurl = \"{reference}\"\n");
    let document = format!(
        "{listed}[[route]]\nname = \"r\"\nurl = \"https://r.example\"\n[[pipeline]]\npath = \"/\"\nroute = \"r\"\ndocument = \"d.xml\"\n"
    );
    let text = format!(
        "<policies><inbound><set-variable name=\"key\" value=\"{reference}\"/><set-header name=\"x\"><value>{reference}</value></set-header></inbound></policies>"
    );
    std::fs::write(folder.join("d.xml"), text).unwrap();
    for rest in [policy, route, document] {
        write(folder, &rest);
        for arguments in [&["config", "check"][..], &["doctor"], &["serve"]] {
            let (worked, text) = said(folder, arguments);
            assert!(!worked, "{arguments:?}: {text}");
        }
    }
    assert_eq!(evil.came(), 0);
}

#[test]
fn control_a_vault_that_is_listed_is_connected_to() {
    let evil = Evil::new();
    let folder = gateway();
    let folder = folder.path();
    write(
        folder,
        &format!(
            "[sources.evil]\nkind = \"key-vault\"\nvault = \"{}\"\ntenant = \"72f988bf-86f1-41af-91ab-2d7cd011db47\"\nauthority = \"https://login.microsoftonline.com\"\nresource = \"https://vault.azure.net\"\nnetworks = [\"127.0.0.0/8\", \"::1/128\"]\nidentity-endpoint = \"http://127.0.0.1:1\"\ntimeout = \"1s\"\n",
            evil.url()
        ),
    );
    let (worked, text) = said(folder, &["source", "check", "evil", "stripe-key"]);
    assert!(!worked, "{text}");
    assert!(evil.came() > 0, "{text}");
}
