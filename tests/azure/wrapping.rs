//! Master keys are wrapped and unwrapped by a key that never leaves the vault.

use keyward::sources::{KeyWrapper as _, Source as _, SourceError};
use keyward_tests::key_vault::Azure;
use zeroize::Zeroizing;

use crate::support::vault;

#[tokio::test]
async fn what_was_wrapped_is_unwrapped_by_the_version_that_wrapped_it() {
    let azure = Azure::start();
    let first = azure.change(|state| state.add_key("master"));
    let vault = vault(&azure);
    let wrapper = vault.key_wrapper().unwrap();
    let plain = Zeroizing::new([7; 32]);
    let wrapped = wrapper.wrap("master", &plain).await.unwrap();
    assert_eq!(wrapped.key, format!("master/{first}"));
    assert_eq!(wrapped.bytes.len(), 256, "RSA of 2048 bits");
    // Rotated in the vault: what was wrapped before still opens.
    azure.change(|state| state.add_key("master"));
    let opened = wrapper.unwrap(&wrapped.key, &wrapped.bytes).await.unwrap();
    assert_eq!(*opened, *plain);
    let anew = wrapper.wrap("master", &plain).await.unwrap();
    assert_ne!(anew.key, wrapped.key);
    let sent = azure.seen();
    let algorithm = |seen: &keyward_tests::key_vault::Seen| {
        seen.body.is_empty() || String::from_utf8_lossy(&seen.body).contains("RSA-OAEP-256")
    };
    assert!(sent.iter().all(algorithm));
}

#[tokio::test]
async fn what_was_not_wrapped_by_that_key_does_not_open() {
    let azure = Azure::start();
    azure.change(|state| {
        state.add_key("master");
        state.add_key("other");
    });
    let vault = vault(&azure);
    let plain = Zeroizing::new([7; 32]);
    let mut wrapped = vault.wrap("other", &plain).await.unwrap();
    assert!(vault.unwrap("master", &wrapped.bytes).await.is_err());
    wrapped.bytes[0] ^= 1;
    assert!(vault.unwrap(&wrapped.key, &wrapped.bytes).await.is_err());
    let missing = vault.wrap("none", &plain).await.unwrap_err();
    assert_eq!(missing, SourceError::NotFound);
    let key = vault.wrap("a/../b", &plain).await.unwrap_err();
    assert!(matches!(key, SourceError::Key { .. }));
}
