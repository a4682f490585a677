//! Keys that never leave the server.

use http::{Method, StatusCode};
use keyward::sources::{KeyWrapper as _, RemoteKeys as _, Source as _, SourceError};
use keyward::vault::{Durability, MacAlgorithm, Opening, Reference, Vault, VaultFiles};
use keyward_gateway::slot_keys::{self, SlotKeyError};
use keyward_tests::TestGateway;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{code_of, server};

const MESSAGE: &[u8] = b"{\"action\":\"opened\"}";

#[tokio::test]
async fn codes_are_those_of_another_implementation_under_the_same_key() {
    let server = server!();
    let source = server.source_of_root();
    // This key alone may be taken out, to compare.
    let key = json!({ "type": "hmac", "key_size": 32, "exportable": true });
    server.write("transit/keys/shown", &key).await;
    let shown = server.read("transit/export/hmac-key/shown/1").await;
    let key = shown["data"]["keys"]["1"].as_str().unwrap();
    let key = data_encoding::BASE64.decode(key.as_bytes()).unwrap();
    let code = source.hmac("shown", MacAlgorithm::Sha256, MESSAGE).await;
    assert_eq!(code, Ok(code_of(&key, MESSAGE)));
    for (algorithm, length) in [(MacAlgorithm::Sha384, 48), (MacAlgorithm::Sha512, 64)] {
        let code = source.hmac("shown", algorithm, MESSAGE).await.unwrap();
        assert_eq!(code.len(), length);
        let checked = source.verify_hmac("shown", algorithm, MESSAGE, &code).await;
        assert_eq!(checked, Ok(true));
    }
}

#[tokio::test]
async fn a_code_holds_under_every_version_that_the_key_still_accepts() {
    let server = server!();
    server
        .write(
            "transit/keys/webhook",
            &json!({ "type": "hmac", "key_size": 32 }),
        )
        .await;
    let (status, _) = server
        .ask(Method::GET, "transit/export/hmac-key/webhook", None)
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "the key stays where it is");

    let algorithm = MacAlgorithm::Sha256;
    let source = server.source_of_root();
    let first = source.hmac("webhook", algorithm, MESSAGE).await.unwrap();
    server
        .write("transit/keys/webhook/rotate", &json!({}))
        .await;
    let second = source.hmac("webhook", algorithm, MESSAGE).await.unwrap();
    assert_ne!(first, second, "codes are made with the newest version");

    for code in [&first, &second] {
        // Another source, as what is known of versions is kept for a while.
        let source = server.source_of_root();
        let is_code = source.verify_hmac("webhook", algorithm, MESSAGE, code);
        assert_eq!(is_code.await, Ok(true));
        let is_code = source.verify_hmac("webhook", algorithm, b"other", code);
        assert_eq!(is_code.await, Ok(false));
    }
    let retired = json!({ "min_decryption_version": 2 });
    server.write("transit/keys/webhook/config", &retired).await;
    let source = server.source_of_root();
    let is_code = source.verify_hmac("webhook", algorithm, MESSAGE, &first);
    assert_eq!(is_code.await, Ok(false));
    let is_code = source.verify_hmac("webhook", algorithm, MESSAGE, &second);
    assert_eq!(is_code.await, Ok(true));
}

#[tokio::test]
async fn a_key_that_is_not_there_or_is_no_key_is_said_to_be_so() {
    let server = server!();
    let source = server.source_of_root();
    let code = source.hmac("none", MacAlgorithm::Sha256, MESSAGE).await;
    assert_eq!(code, Err(SourceError::NotFound));
    let checked = source.verify_hmac("none", MacAlgorithm::Sha256, MESSAGE, &[0; 32]);
    assert_eq!(checked.await, Err(SourceError::NotFound));
    for key in ["", "a/b", "..", ".a", "a?b", "a b", "ä"] {
        let code = source.hmac(key, MacAlgorithm::Sha256, MESSAGE).await;
        assert!(matches!(code, Err(SourceError::Key { .. })), "{key:?}");
    }
}

#[tokio::test]
async fn a_master_key_is_opened_by_the_key_that_closed_it_and_no_other() {
    let server = server!();
    let source = server.source_of_root();
    for key in ["master", "other"] {
        server
            .write(&format!("transit/keys/{key}"), &json!({}))
            .await;
    }
    let plain = Zeroizing::new(std::array::from_fn(|at| u8::try_from(at).unwrap()));
    let wrapped = source.wrap("master", &plain).await.unwrap();
    assert_eq!(wrapped.key, "master");
    assert!(wrapped.bytes.starts_with(b"vault:v1:"));
    let opened = source.unwrap("master", &wrapped.bytes).await.unwrap();
    assert_eq!(opened, plain);
    // A newer version of the key opens it too.
    server.write("transit/keys/master/rotate", &json!({})).await;
    let opened = source.unwrap("master", &wrapped.bytes).await.unwrap();
    assert_eq!(opened, plain);
    assert!(source.unwrap("other", &wrapped.bytes).await.is_err());
    let mut changed = wrapped.bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(source.unwrap("master", &changed).await.is_err());
    // What has another length is no master key.
    let text = json!({ "plaintext": data_encoding::BASE64.encode(&[7; 31]) });
    let closed = server.write("transit/encrypt/master", &text).await;
    let short = closed["data"]["ciphertext"].as_str().unwrap();
    let opened = source.unwrap("master", short.as_bytes()).await;
    let what = "master key";
    assert_eq!(opened.err(), Some(SourceError::Malformed { what }));
}

#[tokio::test]
async fn a_vault_opens_with_a_key_of_the_server_and_not_without_it() {
    let server = server!();
    let source = server.source_of_root();
    for key in ["master", "other"] {
        server
            .write(&format!("transit/keys/{key}"), &json!({}))
            .await;
    }
    let named = |key: &str| Reference::new(source.name().clone(), key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let actor = TestGateway::actor();
    let key = slot_keys::wrap(&source, &named("master")).await.unwrap();
    let slot = vault.add_slot(key, &actor).unwrap();
    assert_eq!(slot.kind.as_str(), "source");
    drop(vault);
    // What was rotated there opens what it closed before.
    server.write("transit/keys/master/rotate", &json!({})).await;
    let key = slot_keys::key_of(&files, &source, &named("master")).await;
    let opening = Opening {
        key: key.unwrap(),
        durability: Durability::Buffered,
    };
    let vault = Vault::open_from(&files, opening).unwrap();
    // Without another slot, too.
    vault.remove_slot(1, &actor).unwrap();
    drop(vault);
    assert!(Vault::open(&files, Durability::Buffered).is_err());
    // Only the key that the operator has named is asked for.
    let other = slot_keys::key_of(&files, &source, &named("other")).await;
    assert!(matches!(other, Err(SlotKeyError::NoSlot(_))));
    server.seal().await;
    let sealed = slot_keys::key_of(&files, &source, &named("master")).await;
    let Err(SlotKeyError::Source { error, .. }) = sealed else {
        panic!("a sealed server opens nothing");
    };
    assert_eq!(error, SourceError::Sealed);
}
