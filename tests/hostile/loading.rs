//! Attacks before a phase runs: components that must not be loaded.

use keyward::engine::{LoadError, PolicySource};
use keyward::names::PolicyName;
use keyward_tests::{Backend, TestGateway, policy_file};
use serde_json::json;

use crate::lab::Lab;

async fn load(component: &[u8], settings: Option<serde_json::Value>) -> Result<(), LoadError> {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .build();
    let source = PolicySource {
        name: PolicyName::parse("guest").unwrap(),
        component,
        settings: settings.as_ref(),
        routes: &[],
        issuers: &[],
        document: None,
    };
    gateway.keyward.engine().load(&source).map(|_| ())
}

async fn refused(component: &str) -> String {
    let component = wat::parse_str(component).unwrap();
    load(&component, None).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    for bytes in [&b""[..], b"\0asm", b"not wasm at all", &[0; 4096]] {
        assert!(
            matches!(load(bytes, None).await, Err(LoadError::Invalid { .. })),
            "{bytes:?}"
        );
    }
    let module = refused("(module)").await;
    assert!(module.contains("it is a core module"), "{module}");
}

#[tokio::test]
async fn a_component_without_a_phase_is_refused() {
    let said = refused("(component)").await;
    assert!(said.contains("exports no phase"), "{said}");
}

#[tokio::test]
async fn a_component_without_a_manifest_or_with_two_is_refused() {
    let component = std::fs::read(policy_file("attach-api-key")).unwrap();
    let manifest = section(br#"{"name":"attach-api-key"}"#);
    let two = [component.as_slice(), &manifest].concat();
    let error = load(&two, None).await.unwrap_err();
    assert!(
        error.to_string().contains("more than one manifest"),
        "{error}"
    );
    // Control: as it is, it loads.
    load(&component, None).await.unwrap();
}

fn section(content: &[u8]) -> Vec<u8> {
    let name = b"keyward:manifest";
    let mut section = vec![
        0,
        u8::try_from(1 + name.len() + content.len()).unwrap(),
        name.len() as u8,
    ];
    section.extend_from_slice(name);
    section.extend_from_slice(content);
    section
}

#[tokio::test]
async fn an_attack_while_settings_are_read_ends_the_loading_and_nothing_else() {
    let component = std::fs::read(policy_file("hostile/vandal")).unwrap();
    for attack in ["loop", "grow", "trap", "recurse"] {
        let settings = json!({ "attack": attack, "at": "configure" });
        let error = load(&component, Some(settings)).await.unwrap_err();
        assert!(
            matches!(error, LoadError::Configure { .. }),
            "{attack}: {error}"
        );
    }
    let error = load(
        &component,
        Some(json!({ "attack": "fail", "at": "configure" })),
    )
    .await;
    assert!(
        matches!(error, Err(LoadError::Settings { .. })),
        "{error:?}"
    );
}

#[test]
fn flipped_bits_in_a_component_never_crash_the_host() {
    let lab = Lab::new();
    let component = std::fs::read(policy_file("attach-api-key")).unwrap();
    lab.load(&component).map(drop).unwrap();
    let mut refused = 0;
    // A prime stride visits all parts of the file.
    for place in (0..component.len()).step_by(997) {
        let mut other = component.clone();
        other[place] ^= 0x10;
        if lab.load(&other).is_err() {
            refused += 1;
        }
    }
    assert!(refused > 0);
}
