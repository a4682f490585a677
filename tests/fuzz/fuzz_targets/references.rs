//! Any text as a Key Vault reference: what is read is written and read again, leads to
//! no host that was not listed, and what is not read says where within the text.
#![no_main]

use keyward::names::{KeyVault, KeyVaultReference, SourceName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let source = SourceName::parse("shop").expect("it is one");
    for (text, read) in [
        (text.to_owned(), KeyVaultReference::parse(text)),
        (text.to_owned(), KeyVaultReference::parse_uri(text)),
        inside(text),
    ] {
        match read {
            Ok(reference) => {
                let again = KeyVaultReference::parse(&reference.to_string());
                assert_eq!(again.as_ref(), Ok(&reference));
                let plain = |c: char| c.is_ascii_alphanumeric() || "-/".contains(c);
                assert!(reference.key().chars().all(plain));
                let listed = [(&source, "shop.vault.azure.net", 443)];
                let expected = match reference.vault() {
                    KeyVault::At { host, port } => host == "shop.vault.azure.net" && *port == 443,
                    KeyVault::Named(name) => name == "shop",
                };
                assert_eq!(reference.source(listed).is_ok(), expected);
            }
            Err(errors) => {
                assert!(errors.iter().next().is_some());
                for mistake in errors.iter() {
                    assert!(text.get(mistake.span.clone()).is_some());
                }
            }
        }
    }
});

fn inside(text: &str) -> (String, Result<KeyVaultReference, keyward::names::KeyVaultErrors>) {
    let whole = format!("@Microsoft.KeyVault({text})");
    let read = KeyVaultReference::parse(&whole);
    (whole, read)
}
