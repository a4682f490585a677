//! A policy's own call with a token: the recipe `add-profile` asks a directory, which
//! asks the authorisation server what the token is.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward::vault::Kind;
use keyward_tests::{Answer, Backend, Builder, Canary, TestGateway};
use serde_json::{Value, json};

use crate::provider::Provider;

const GRANTS: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "partners"
alias = "consumers"
use = "identify"
header = "x-api-key"

[[grant]]
id = "ask"
policy = "add-profile"
secret = "client"
alias = "directory-client"
use = "token"
endpoint = { route = "identity", path = "/token" }
to = [{ route = "directory", paths = ["/profiles"] }]
"#;

const KEY: &str = "the-key-of-the-client-acme-0123456789";

fn builder(provider: &Provider, backend: &Backend, directory: &Backend, secret: &str) -> Builder {
    let client = json!({ "client_id": "gateway", "client_secret": secret }).to_string();
    TestGateway::builder()
        .client_keys("partners", &format!("acme = {KEY}\n"))
        .secret("client", Kind::OauthClient, &client)
        .route("backend", &backend.url())
        .route("directory", &directory.url())
        .secure_route("identity", &provider.url, &provider.authority.pem())
        .grants(GRANTS)
        .inbound("require-client-key", Value::Null)
        .policy(
            &[Phase::Inbound],
            "add-profile",
            "add-profile",
            Value::Null,
            &["directory"],
        )
}

async fn ask(gateway: &TestGateway) -> Answer {
    let request = Request::get("/orders").header("x-api-key", KEY);
    gateway.send(request.body(Bytes::new()).unwrap()).await
}

fn provider(secret: &str) -> Provider {
    Provider::start(60, |_| {
        vec![json!({
            "client_id": "gateway",
            "client_secret": secret,
            "token_endpoint_auth_method": "client_secret_basic",
            "scope": "orders.read",
        })]
    })
}

#[tokio::test]
async fn a_policy_sends_a_call_with_a_token_that_it_never_has() {
    if Provider::is_left_out() {
        return;
    }
    let secret = Canary::new();
    let provider = provider(secret.text());
    let directory = Backend::answering(|_| Response::new(Full::from("gold"))).await;
    let backend = Backend::start().await;
    let memories: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let seen = Arc::clone(&memories);
    let gateway = builder(&provider, &backend, &directory, secret.text())
        .observe_memory(move |memory| seen.lock().unwrap().push(memory.to_vec()))
        .build();
    assert_eq!(ask(&gateway).await.status, StatusCode::OK);

    let asked = directory.received();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "GET /profiles?of=acme");
    let bearer = asked[0].header("authorization").unwrap();
    let token = bearer.strip_prefix("Bearer ").unwrap().to_owned();
    let said = provider.introspect(&token).await;
    assert_eq!(said["active"], json!(true), "{said}");
    assert_eq!(said["client_id"], json!("gateway"));

    let sent = backend.received();
    assert_eq!(sent[0].header("x-profile"), Some("gold"));
    assert_eq!(sent[0].header("authorization"), None);

    let memories = memories.lock().unwrap();
    let holds = |text: &str| {
        let finder = |memory: &Vec<u8>| {
            let mut windows = memory.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        memories.iter().any(finder)
    };
    assert!(!holds(&token) && !holds(secret.text()));
    assert!(holds("gold"), "the control: what the policy read is there");
}

#[tokio::test]
async fn without_a_token_the_call_is_not_sent() {
    if Provider::is_left_out() {
        return;
    }
    let provider = provider("the-right-secret-0123456789");
    let directory = Backend::answering(|_| Response::new(Full::from("gold"))).await;
    let backend = Backend::start().await;
    let wrong = "another-secret-0123456789";
    let gateway = builder(&provider, &backend, &directory, wrong).build();
    assert_eq!(ask(&gateway).await.status, StatusCode::BAD_GATEWAY);
    assert!(directory.received().is_empty() && backend.received().is_empty());
}
