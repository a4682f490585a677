//! Named values in a whole gateway: texts in the configuration and in a document,
//! and a secret that a policy gets as an alias. And what a lock makes of a change.

use std::net::{IpAddr, Ipv4Addr};

use http::{Request, StatusCode};
use keyward::egress::full;
use keyward::names::{SecretName, ValueName};
use keyward::vault::{Drift, Durability, Kind, Lock, NamedValue, Secret, Vault, VaultFiles};
use keyward_gateway::assemble::{OpenError, assemble};
use keyward_gateway::config::{Config, Values};
use keyward_gateway::documents::CompiledDocuments;
use keyward_gateway::forward;
use keyward_gateway::grants::{GrantsFault, components, lock_path, read_grants};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway, policy_file};

const DOCUMENT: &str = r#"<policies><inbound>
  <set-header name="x-{{team}}"><value>of {{team}}</value></set-header>
  <wasm-policy name="attach-api-key"/>
</inbound><backend><base/></backend></policies>"#;

fn secret(text: &str) -> Secret {
    Secret::read_from(text.as_bytes(), 4096).unwrap()
}

/// A folder with a gateway whose backend, team and key are named values.
fn folder(backend: &str, key: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let component = |name: &str| policy_file(name).display().to_string();
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{{{{backend}}}}"
[[policy]]
name = "attach-api-key"
component = "{}"
settings = {{ alias = "{{{{key}}}}" }}
[[policy]]
name = "document"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
document = "document.xml"
"#,
        component("attach-api-key"),
        component("document")
    );
    std::fs::write(file("keyward.toml"), text).unwrap();
    std::fs::write(file("document.xml"), DOCUMENT).unwrap();
    std::fs::write(file("grants.toml"), ATTACH_GRANT).unwrap();
    let config = Config::load(&file("keyward.toml")).unwrap();
    Vault::create(&config.vault_files()).unwrap();
    let vault = open(&config);
    let actor = TestGateway::actor();
    let name = SecretName::parse("billing-key").unwrap();
    vault.add(&name, Kind::ApiKey, secret(key), &actor).unwrap();
    for (value, is) in [
        ("backend", NamedValue::Plain(backend.to_owned())),
        ("team", NamedValue::Plain("Red".to_owned())),
        ("key", NamedValue::Secret(name)),
    ] {
        let value = ValueName::parse(value).unwrap();
        vault.set_value(&value, is, [].into(), &actor).unwrap();
    }
    (folder, config)
}

fn open(config: &Config) -> Vault {
    let files: VaultFiles = config.vault_files();
    Vault::open(&files, Durability::Strict).unwrap()
}

#[tokio::test]
async fn values_are_put_in_and_a_secret_one_is_used_without_being_seen() {
    let (backend, canary) = (Backend::start().await, Canary::new());
    let (_folder, config) = folder(&backend.url(), canary.text());
    assert_eq!(config.unresolved.len(), 2);
    let vault = open(&config);
    let (keyward, pipelines) = assemble(&config, vault, &TestGateway::actor()).unwrap();
    let request = Request::get("/v1/charges")
        .header("host", "gateway.example")
        .body(full(bytes::Bytes::new()))
        .unwrap();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let answer = forward(&keyward, &pipelines, client, request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let received = backend.received();
    let header = |name: &str| received[0].headers.get(name).unwrap().clone();
    assert_eq!(header("x-red"), "of Red");
    assert_eq!(header("x-api-key"), canary.text());
}

/// Pins the grants as they are.
fn pin(config: &Config) {
    let vault = open(config);
    let grants = read_grants(config).unwrap();
    let values = Values::of(&vault);
    let config = config.resolve(&values).unwrap();
    let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values))).unwrap();
    let components = components(&config, Some(&documents));
    let lock = Lock::pin(&grants, &vault.list(), &components).unwrap();
    std::fs::write(lock_path(&config).unwrap(), lock.to_toml()).unwrap();
}

#[tokio::test]
async fn what_differs_from_its_lock_is_not_loaded() {
    let (_folder, config) = folder("http://127.0.0.1:1", Canary::new().text());
    pin(&config);
    let actor = TestGateway::actor();
    // Nothing differs.
    drop(assemble(&config, open(&config), &actor).unwrap());
    // The secret's name is given to another.
    let vault = open(&config);
    let name = SecretName::parse("billing-key").unwrap();
    let value = ValueName::parse("key").unwrap();
    vault.remove_value(&value, &actor).unwrap();
    vault.disable(&name, &actor).unwrap();
    vault.remove(&name, &actor).unwrap();
    let other = secret(Canary::new().text());
    vault.add(&name, Kind::ApiKey, other, &actor).unwrap();
    let is = NamedValue::Secret(name);
    vault.set_value(&value, is, [].into(), &actor).unwrap();
    drop(vault);
    let refused = assemble(&config, open(&config), &actor)
        .map(|_| ())
        .unwrap_err();
    let OpenError::Grants(GrantsFault::Drifted { drift, .. }) = &refused else {
        panic!("{refused}");
    };
    assert!(matches!(drift[..], [Drift::OtherSecret(..)]), "{drift:?}");
    assert!(
        refused.to_string().contains("keyward grants pin"),
        "{refused}"
    );
    // Control: without the lock nobody notices.
    std::fs::remove_file(lock_path(&config).unwrap()).unwrap();
    drop(assemble(&config, open(&config), &actor).unwrap());
}
