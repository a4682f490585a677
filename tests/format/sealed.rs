//! A second implementation opens what policies have sealed, and refuses what Keyward
//! refuses.

use std::io::Write as _;
use std::process::Stdio;

use keyward::names::{Alias, PolicyName};
use keyward::vault::{
    Ask, Grants, KeyEncoding, Kind, PolicyIdentity, Use, digest_component, new_exchange_id, uses,
};
use keyward::vault::{Durability, Vault, VaultFiles};

use super::{KEY, actor, name, python, secret};

fn policy(text: &str) -> PolicyIdentity {
    PolicyIdentity {
        name: PolicyName::parse(text).unwrap(),
        component: digest_component(b"a component"),
        asks: vec![Ask {
            alias: Alias::parse("field").unwrap(),
            use_: Use::Seal,
        }],
    }
}

#[test]
fn another_implementation_opens_what_was_sealed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles {
        vault: directory.path().join("vault.keyward"),
        key: directory.path().join("vault.key"),
        audit: directory.path().join("audit"),
    };
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let kind = Kind::DataKey {
        encoding: KeyEncoding::Hex,
    };
    vault
        .add(&name("field"), kind, secret(KEY), &actor())
        .unwrap();
    let grants = "[[grant]]\nid = \"a\"\npolicy = \"p\"\nsecret = \"field\"\nuse = \"seal\"\n\
                  [[grant]]\nid = \"b\"\npolicy = \"q\"\nsecret = \"field\"\nuse = \"seal\"\n\
                  shared-as = \"cards\"\n";
    vault
        .set_grants(Grants::parse("grants.toml", grants).unwrap(), &actor())
        .unwrap();
    let seal = |text: &str, data: &[u8], context: &[u8]| {
        let mut ledger = vault.begin(new_exchange_id());
        let permit = vault.permit::<uses::Seal>(&policy(text), "field", &mut ledger);
        permit.unwrap().seal(data, context).unwrap()
    };
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let own = seal("p", b"4111 1111", b"card");
    let shared = seal("q", b"", b"");
    let mut changed = own.clone();
    *changed.last_mut().unwrap() ^= 1;
    let cases = [
        (
            &own,
            "p",
            false,
            &b"card"[..],
            format!("1 {}", hex(b"4111 1111")),
        ),
        (&shared, "cards", true, b"", "1 ".to_owned()),
        (&own, "p", false, b"other", "refused".to_owned()),
        (&own, "q", false, b"card", "refused".to_owned()),
        (&shared, "cards", false, b"", "refused".to_owned()),
        (&changed, "p", false, b"card", "refused".to_owned()),
    ];
    let lines: Vec<String> = cases
        .iter()
        .map(|(sealed, owner, shared, context, _)| {
            let item = serde_json::json!({
                "key": KEY, "sealed": hex(sealed), "owner": owner, "shared": shared,
                "context": hex(context),
            });
            format!("{item}\n")
        })
        .collect();
    let mut python = python("open_sealed.py")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(lines.concat().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    let expected: Vec<_> = cases.iter().map(|case| case.4.as_str()).collect();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}
