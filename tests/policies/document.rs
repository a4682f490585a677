//! A policy document in a whole gateway: compiled, run in its sandbox, with a secret
//! that goes to the backend and nowhere else. `document.test.toml` has the cases.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use keyward::egress::full;
use keyward::names::SecretName;
use keyward::vault::{Durability, Kind, NamedValue, Secret, Vault};
use keyward_gateway::assemble::assemble;
use keyward_gateway::config::Config;
use keyward_gateway::forward;
use keyward_tests::{Backend, Canary, TestGateway, policy_file};

const GRANT: &str = r#"
[[grant]]
id = "key"
policy = "document"
secret = "billing-key"
alias = "billing-key.x-api-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", methods = ["GET", "POST"], paths = ["/orders"] }]
"#;

/// Sends a request through a gateway with that document; gives the answer's status and
/// body.
async fn answered(document: &str, backend: &Backend, key: &Canary) -> (StatusCode, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "document"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
document = "api.xml"
"#,
        backend.url(),
        policy_file("document").display()
    );
    std::fs::write(file("keyward.toml"), text).unwrap();
    std::fs::write(file("api.xml"), document).unwrap();
    std::fs::write(file("grants.toml"), GRANT).unwrap();
    let config = Config::load(&file("keyward.toml")).unwrap();
    Vault::create(&config.vault_files()).unwrap();
    let vault = Vault::open(&config.vault_files(), Durability::Strict).unwrap();
    let actor = TestGateway::actor();
    let name = SecretName::parse("billing-key").unwrap();
    let secret = Secret::read_from(key.text().as_bytes(), 4096).unwrap();
    vault.add(&name, Kind::ApiKey, secret, &actor).unwrap();
    let value = keyward::names::ValueName::parse("key").unwrap();
    vault
        .set_value(&value, NamedValue::Secret(name), [].into(), &actor)
        .unwrap();
    let (keyward, pipelines) = assemble(&config, vault, &actor).unwrap();
    let request = Request::post("/orders")
        .header("host", "gateway.example")
        .body(full(Bytes::from_static(b"hello")))
        .unwrap();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let answer = forward(&keyward, &pipelines, client, request).await;
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_document_runs_and_its_secret_reaches_the_backend_alone() {
    let (backend, key) = (Backend::start().await, Canary::new());
    let document = r#"<policies>
        <inbound>
            <set-variable name="held" value="{{key}}" />
            <set-header name="X-Api-Key"><value>@((string)context.Variables["held"])</value></set-header>
            <set-body>@(context.Request.Body.As<string>().ToUpper())</set-body>
        </inbound>
        <backend><retry condition="@(false)" count="1"><forward-request buffer-request-body="true" /></retry></backend>
        <outbound><set-body>@(context.Variables.ContainsKey("held") + " " + context.Response.StatusCode)</set-body></outbound>
    </policies>"#;
    let (status, body) = answered(document, &backend, &key).await;
    assert_eq!((status, &*body), (StatusCode::OK, "True 200"));
    let received = &backend.received()[0];
    assert_eq!(received.headers.get("x-api-key").unwrap(), key.text());
    assert_eq!(received.body, b"HELLO".as_slice());
}

/// As deep as documents, expressions and JSON may be, all at once: the sandbox's stack is
/// enough for what compiles.
#[tokio::test]
async fn the_deepest_document_runs() {
    let (backend, key) = (Backend::start().await, Canary::new());
    // Each `+` stands in the next one.
    let ones = |count: usize| " + 1".repeat(count);
    let json = format!("{}{}", "[".repeat(JSON), "]".repeat(JSON));
    let mut statements = format!(
        "<set-header name=\"x-sum\"><value>@((JArray.Parse(\"{json}\").ToString(Formatting.None).Length{}).ToString())</value></set-header>",
        ones(SUM)
    );
    for _ in 0..CHOOSE {
        let condition = format!("@(context.Variables.Count{} == 10)", ones(10));
        statements =
            format!("<choose><when condition=\"{condition}\">{statements}</when></choose>");
    }
    let document = format!(
        "<policies><inbound>{statements}</inbound><backend><forward-request /></backend></policies>"
    );
    let (status, body) = answered(&document, &backend, &key).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let sum = backend.received()[0].headers.get("x-sum").cloned().unwrap();
    assert_eq!(sum, (2 * JSON + SUM).to_string().as_str());
}

const CHOOSE: usize = 28;
const JSON: usize = 120;
const SUM: usize = 90;
