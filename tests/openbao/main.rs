//! Secrets in a real OpenBao: values and their versions, logins, what is refused,
//! outages, and keys that never leave it.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod certificates;
mod demanding;
mod gateway;
mod hostile;
mod keys_that_stay;
mod logins;
mod lying;
mod outages;
mod served;
mod signed_requests;
mod slots;
mod transit;
mod values;

use keyward::sources::{Fetched, Source, SourceError};
use keyward::vault::{Durability, KeyEncoding, Kind, MacAlgorithm, Vault, VaultFiles};
use keyward_tests::{OpenBaoServer, TestGateway};

/// A server, or nothing where this machine can't have one.
macro_rules! server {
    () => {
        if keyward_tests::OpenBaoServer::is_left_out() {
            return;
        } else {
            keyward_tests::OpenBaoServer::start().await
        }
    };
}
pub(crate) use server;

/// Where there can be no server a test ends at once, and is listed for who counts.
#[test]
fn a_test_that_is_left_out_is_listed_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let test = "values::a_check_takes_every_step_of_a_fetch";
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command
        .args(["--exact", test])
        .env("RUST_TEST_THREADS", "2")
        .env("KEYWARD_WITHOUT_SERVERS", "1")
        .env("KEYWARD_LEFT_OUT", &list)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
    let listed = std::fs::read_to_string(list).unwrap();
    assert_eq!(listed, format!("OpenBao\t{test}\n"));
}

/// What came of a fetch, without the value.
fn outcome(fetched: Result<Fetched, SourceError>) -> Result<String, SourceError> {
    fetched.map(|fetched| fetched.version.as_str().to_owned())
}

/// Whether what is fetched is that value: asked of a vault, which alone can tell.
async fn is_value(source: &dyn Source, key: &str, value: &str) -> bool {
    let fetched = source
        .fetch(key)
        .await
        .unwrap_or_else(|error| panic!("{key}: {error}"));
    let folder = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let kind = Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding: KeyEncoding::Raw,
    };
    let name = keyward::names::SecretName::parse("fetched").unwrap();
    let actor = TestGateway::actor();
    vault.add(&name, kind, fetched.value, &actor).unwrap();
    let code = code_of(value.as_bytes(), b"message");
    vault.verify_code(&name, b"message", &code)
}

/// HMAC with SHA-256, by another implementation.
fn code_of(key: &[u8], message: &[u8]) -> Vec<u8> {
    use hmac::{KeyInit as _, Mac as _};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// How many tokens the server has given out and not taken back.
async fn tokens(server: &OpenBaoServer) -> usize {
    let list = http::Method::from_bytes(b"LIST").unwrap();
    let (_, answer) = server.ask(list, "auth/token/accessors", None).await;
    answer["data"]["keys"].as_array().unwrap().len()
}
