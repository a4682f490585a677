//! What a fetch leaves behind in memory: nothing of a value or a master key once it
//! is handed over, nothing of a token once its source is gone. The reader is a process
//! of its own (`reader/`), read from outside and searched for sixteen bytes in a row,
//! as they are and encoded. A master key is handed over by value: the stack that it
//! moved over is its new owner's, and not searched for it.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use data_encoding::HEXLOWER;
use keyward::sources::KeyWrapper as _;
use keyward_tests::Canary;
use keyward_tests::key_vault::{Azure, Place, RESOURCE, TENANT};
use keyward_tests::memory::{Found, Memory, Search};
use zeroize::Zeroizing;

use crate::support::vault;

/// An idle connection lives for ten seconds, and reading memory takes some.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that has read the vault, and what it must not keep.
struct Reader {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
    values: Search,
    master_key: Search,
    token: Search,
    /// Keeps its side of connections open.
    _azure: Azure,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Reader {
    /// Starts `program` and waits until it is idle.
    async fn start(program: &str) -> Self {
        let azure = Azure::start();
        let (plain, escaped, master) = (Canary::new(), Canary::new(), Canary::new());
        let master: [u8; 32] = master.text().as_bytes()[..32].try_into().unwrap();
        azure.change(|state| {
            state.set("plain", plain.text());
            // With what makes a JSON reader use a buffer of its own.
            state.set("escaped", &format!("\"{}\n", escaped.text()));
            state.add_key("master");
        });
        let wrapped = vault(&azure).wrap("master", &Zeroizing::new(master)).await;
        let wrapped = wrapped.unwrap();
        azure.name_authority(&azure.url());
        let folder = tempfile::tempdir().unwrap();
        let roots = folder.path().join("authority.pem");
        std::fs::write(&roots, azure.authority_pem()).unwrap();
        let mut process = Command::new(program)
            .args([&azure.url(), &azure.imds_url(), TENANT, RESOURCE])
            .arg(&roots)
            .args([&wrapped.key, &HEXLOWER.encode(&wrapped.bytes)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "idle");
        let seen = azure.seen_at(Place::Vault).pop().unwrap();
        let token = seen.headers["authorization"].as_bytes();
        let token = token.strip_prefix(b"Bearer ").unwrap();
        Self {
            process,
            said,
            values: Search::new([
                ("value", plain.text().as_bytes()),
                ("value with escapes", escaped.text().as_bytes()),
            ]),
            master_key: Search::new([("master key", &master[..])]),
            token: Search::new([("token", token)]),
            _azure: azure,
        }
    }

    fn until_clean(&self, search: &Search) -> Found {
        search.until_clean(self.process.id(), PATIENCE)
    }

    /// What is found now, but for the stack.
    fn found(&self, search: &Search) -> BTreeSet<String> {
        let (found, _) = search.in_memory(&Memory::of(self.process.id()));
        let elsewhere = found.into_iter().filter(|(_, at)| at != "[stack]");
        elsewhere.map(|(name, _)| name).collect()
    }

    /// Lets it drop its source.
    fn go_on(&mut self) {
        self.process
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        assert_eq!(self.said.next().unwrap().unwrap(), "gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_leaves_nothing_of_a_value_and_a_source_nothing_of_its_token() {
    let mut reader = Reader::start(env!("CARGO_BIN_EXE_read-key-vault")).await;
    let left = reader.until_clean(&reader.values);
    assert!(left.is_empty(), "{left:?}");
    let left = reader.found(&reader.master_key);
    assert!(left.is_empty(), "{left:?}");
    // Control: the token is in use, and found as long as it is.
    let found = reader.found(&reader.token);
    assert!(found.contains("token, raw"), "{found:?}");
    reader.go_on();
    let left = reader.until_clean(&reader.token);
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_an_allocator_that_wipes_values_are_left() {
    let mut reader = Reader::start(env!("CARGO_BIN_EXE_read-key-vault-plainly")).await;
    reader.go_on();
    let found = reader.found(&reader.values);
    assert!(found.contains("value, raw"), "{found:?}");
}
