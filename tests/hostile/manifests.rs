//! What a policy's package says it may do (D27): a manifest is a request. Grants and
//! references come out of an operator's files only.

use crate::attacker::{assemble, body, with_section};
use crate::lab::Lab;

/// A secret of another tenant's, in the form in which Azure's services name one.
const ELSEWHERE: &str =
    "@Microsoft.KeyVault(SecretUri=https://victim.vault.azure.net/secrets/stripe-key)";

/// Tries to attach what it asks for as `backend`, and tells whether it was.
fn attaching(manifest: &str) -> Vec<u8> {
    let attacker = body(
        "(call $random (i32.const 7) (i32.const 0))
         (call $open (i32.load (i32.const 0)) (i32.const 7) (i32.const 16))
         (if (i32.load8_u (i32.const 16)) (then (call $tell (i32.const 0))) (else
           (call $attach (i32.load (i32.const 20)) (local.get $x) (i32.const 32))
           (call $drop-credential (i32.load (i32.const 20)))
           (call $tell (i32.eqz (i32.load8_u (i32.const 32))))))",
    );
    with_section(&assemble(&attacker.text()), manifest.as_bytes())
}

/// Whether a policy with that manifest is loaded and its use allowed.
fn is_allowed(lab: &Lab, manifest: &str) -> bool {
    lab.world.feed(b"backend");
    lab.load(&attaching(manifest))
        .is_ok_and(|policy| lab.run(&policy).told() == Some(1))
}

#[test]
fn a_manifest_gives_no_authority() {
    let asks = r#"{"alias":"backend","use":"attach"}"#;
    let manifests = [
        // It grants itself, in every place where it might be read.
        format!(r#"{{"name":"guest","asks":[{asks}],"grants":[{{"id":"own","policy":"guest","secret":"key","use":"attach"}}]}}"#),
        format!(r#"{{"name":"guest","asks":[{asks}],"grant":{{"secret":"key"}}}}"#),
        r#"{"name":"guest","asks":[{"alias":"backend","use":"attach","granted":true}]}"#.to_owned(),
        r#"{"name":"guest","asks":[{"alias":"backend","use":"attach","secret":"key"}]}"#.to_owned(),
        r#"{"name":"guest","asks":[{"alias":"backend","use":"attach","to":[{"route":"billing","paths":["/"]}]}]}"#.to_owned(),
        // It names a secret elsewhere and where it would be found.
        format!(r#"{{"name":"guest","asks":[{{"alias":"{ELSEWHERE}","use":"attach"}}]}}"#),
        r#"{"name":"guest","asks":[{"alias":"victim:stripe-key","use":"attach"}]}"#.to_owned(),
        format!(r#"{{"name":"guest","asks":[{{"alias":"backend","use":"attach","from":"{ELSEWHERE}"}}]}}"#),
        format!(r#"{{"name":"guest","asks":[{asks}],"sources":{{"victim":{{"kind":"key-vault","vault":"https://victim.vault.azure.net"}}}}}}"#),
        format!(r#"{{"name":"guest","asks":[{asks}],"references":["{ELSEWHERE}"]}}"#),
        format!(r#"{{"name":"guest","asks":[{{"alias":"backend","setting":"key","use":"attach","why":"{ELSEWHERE}"}}],"settings":{{"type":"object","properties":{{"key":{{"type":"string","default":"{ELSEWHERE}"}}}}}}}}"#),
        // It says that it is another policy, one that is granted something.
        format!(r#"{{"name":"trusted","asks":[{asks}]}}"#),
    ];
    let lab = Lab::new();
    lab.set_grants("");
    let before = lab.vault.list();
    for manifest in &manifests {
        assert!(!is_allowed(&lab, manifest), "{manifest}");
    }
    assert_eq!(lab.vault.list(), before);
    assert_eq!(lab.vault.values(), []);
    // Control: what the operator's file grants is allowed, to the same component.
    lab.set_grants(crate::lab::GRANTS);
    assert!(is_allowed(
        &lab,
        &format!(r#"{{"name":"guest","asks":[{asks}]}}"#)
    ));
}

#[test]
fn a_reference_in_place_of_an_alias_is_no_name() {
    let lab = Lab::new();
    let policy = lab.load(&attaching(
        r#"{"name":"guest","asks":[{"alias":"backend","setting":"key","use":"attach"}]}"#,
    ));
    assert!(policy.is_ok());
    for text in [ELSEWHERE, "victim:stripe-key", "{{stripe-key}}"] {
        let component = attaching(
            r#"{"name":"guest","asks":[{"alias":"backend","setting":"key","use":"attach"}]}"#,
        );
        let settings = serde_json::json!({ "key": text });
        let refused = lab.load_with(&component, Some(&settings)).map(drop);
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("must be an alias"), "{said}");
        assert!(!said.contains("@Microsoft"), "{said}");
    }
    // Control: a name is one. (It has no phase that takes settings, which comes later.)
    let settings = serde_json::json!({ "key": "backend" });
    let component = attaching(
        r#"{"name":"guest","asks":[{"alias":"backend","setting":"key","use":"attach"}]}"#,
    );
    let taken = lab.load_with(&component, Some(&settings)).map(drop);
    let said = taken.map_or_else(|error| error.to_string(), |()| String::new());
    assert!(!said.contains("must be an alias"), "{said}");
}
