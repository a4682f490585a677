//! Named values in a whole gateway: texts in the configuration and in a document,
//! and a secret that a policy gets as an alias. And what a lock makes of a change.

use http::StatusCode;
use keyward::names::{SecretName, ValueName};
use keyward::vault::{Drift, NamedValue};
use keyward_gateway::assemble::OpenError;
use keyward_gateway::grants::{GrantsFault, lock_path};
use keyward_tests::{ATTACH_GRANT, Backend, Canary, TestGateway};

use crate::folder::{Folder, add, component};

const DOCUMENT: &str = r#"<policies><inbound>
  <set-header name="x-{{team}}"><value>of {{team}}</value></set-header>
  <wasm-policy name="attach-api-key"/>
</inbound><backend><base/></backend></policies>"#;

/// A gateway whose backend, team and key are named values.
fn folder(backend: &str) -> Folder {
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
    let folder = Folder::new(&text, DOCUMENT, ATTACH_GRANT);
    folder.set_value("backend", NamedValue::Plain(backend.to_owned()));
    folder.set_value("team", NamedValue::Plain("Red".to_owned()));
    folder
}

#[tokio::test]
async fn values_are_put_in_and_a_secret_one_is_used_without_being_seen() {
    let backend = Backend::start().await;
    let folder = folder(&backend.url());
    assert_eq!(folder.config().unresolved.len(), 2);
    let answer = folder.open().unwrap().get("/v1/charges").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let received = backend.received();
    let header = |name: &str| received[0].headers.get(name).unwrap().clone();
    assert_eq!(header("x-red"), "of Red");
    assert_eq!(header("x-api-key"), folder.key.text());
}

#[tokio::test]
async fn what_differs_from_its_lock_is_not_loaded() {
    let folder = folder("http://127.0.0.1:1");
    folder.pin();
    // Nothing differs.
    drop(folder.open().unwrap());
    // The secret's name is given to another.
    let (vault, actor) = (folder.vault(), TestGateway::actor());
    let name = SecretName::parse("billing-key").unwrap();
    let value = ValueName::parse("key").unwrap();
    vault.remove_value(&value, &actor).unwrap();
    vault.disable(&name, &actor).unwrap();
    vault.remove(&name, &actor).unwrap();
    add(&vault, &name, &Canary::new());
    drop(vault);
    folder.set_value("key", NamedValue::Secret(name));
    let refused = folder.refused();
    let OpenError::Grants(GrantsFault::Drifted { drift, .. }) = &refused else {
        panic!("{refused}");
    };
    assert!(matches!(drift[..], [Drift::OtherSecret(..)]), "{drift:?}");
    assert!(
        refused.to_string().contains("keyward grants pin"),
        "{refused}"
    );
    // Control: without the lock nobody notices.
    std::fs::remove_file(lock_path(&folder.config()).unwrap()).unwrap();
    drop(folder.open().unwrap());
}
