//! `keyward grants denied`: from the trail to the grant that would allow it.

use keyward::names::{Alias, PolicyName};
use keyward::vault::{
    Ask, Durability, PolicyIdentity, Use, Vault, VaultFiles, digest_component, new_exchange_id,
    uses,
};

use crate::binary::{keyward, new_gateway};

/// Has policy `webhook` try to sign with `alias`, so often.
fn try_to_sign(folder: &std::path::Path, alias: &str, times: usize) {
    let files = VaultFiles {
        vault: folder.join("vault.keyward"),
        key: folder.join("vault.key"),
        audit: folder.join("audit"),
    };
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let policy = PolicyIdentity {
        name: PolicyName::parse("webhook").unwrap(),
        component: digest_component(b"webhook"),
        asks: vec![Ask {
            alias: Alias::parse(alias).unwrap(),
            use_: Use::MacSign,
        }],
    };
    for _ in 0..times {
        let mut ledger = vault.begin(new_exchange_id());
        let permit = vault.permit::<uses::MacSign>(&policy, alias, &mut ledger);
        assert!(permit.is_err());
        assert_eq!(ledger.refusals().len(), 1);
    }
}

fn run(folder: &std::path::Path, arguments: &[&str]) -> String {
    let output = keyward(folder, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_denied_use_comes_with_the_grant_that_would_allow_it() {
    let folder = new_gateway();
    let folder = folder.path();
    try_to_sign(folder, "hook", 3);
    let shown = run(folder, &["grants", "denied"]);
    assert!(
        shown.starts_with("policy webhook was denied mac-sign of hook, 3 times, "),
        "{shown}"
    );
    assert!(
        shown.contains("  not-granted: no grant gives it that\n"),
        "{shown}"
    );
    let (_, toml) = shown.split_once("decided:\n\n").unwrap();

    // What it prints can be pasted, and then nothing is missing.
    std::fs::write(folder.join("grants.toml"), toml).unwrap();
    let explained = run(folder, &["grants", "explain"]);
    assert!(
        explained.contains("policy webhook may make message authentication codes with secret hook"),
        "{explained}"
    );
    let shown = run(folder, &["grants", "denied", "--since", "1h"]);
    assert!(
        shown.contains("it is granted by now, by \"webhook-hook\""),
        "{shown}"
    );

    let json = run(folder, &["grants", "denied", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["denied"][0]["count"], 3);
    assert_eq!(json["denied"][0]["outcome"], "not-granted");
    let later = run(folder, &["grants", "denied", "--since", "2999-01-01"]);
    assert_eq!(later, "No policy was denied a use.\n");
    let others = run(folder, &["grants", "denied", "--policy", "other"]);
    assert_eq!(others, "No policy was denied a use.\n");
}
