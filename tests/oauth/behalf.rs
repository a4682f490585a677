//! On behalf of whoever calls: the policy `oauth2-client-credentials` has the host
//! exchange the client's token, and the endpoint is asked in the form that RFC 7523
//! and, for the exchange, Microsoft's identity platform ("OAuth 2.0 On-Behalf-Of flow")
//! say.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Answer, Backend, Canary, TestGateway};
use serde_json::json;

use crate::evil::{Evil, good, json as answer_json};
use crate::{PATH, POLICY, bearers, grant};

const EXCHANGED: &str = "the-token-of-the-exchange-0123456789";

fn gateway(backend: &Backend, provider: &Evil, secret: &str, more: &str) -> TestGateway {
    let client = json!({ "client_id": "gateway", "client_secret": secret }).to_string();
    TestGateway::builder()
        .secret("client", Kind::OauthClient, &client)
        .route("orders", &backend.url())
        .secure_route("identity", &provider.url, &provider.authority)
        .inbound(POLICY, json!({ "on-behalf-of": true }))
        .grants(&grant(more))
        .build()
}

async fn ask(gateway: &TestGateway, token: &str) -> Answer {
    let request = Request::get(PATH).header("authorization", format!("Bearer {token}"));
    gateway.send(request.body(Bytes::new()).unwrap()).await
}

/// The fields of the form that a request carried.
fn form(request: &str) -> BTreeMap<String, String> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let fields = url::form_urlencoded::parse(body.as_bytes()).into_owned();
    let count = fields.count();
    let fields: BTreeMap<_, _> = url::form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    assert_eq!(fields.len(), count, "no field stands twice: {body}");
    fields
}

async fn good_provider() -> Evil {
    Evil::start(EXCHANGED, Arc::new(|_, token| good(token, 60))).await
}

#[tokio::test]
async fn the_clients_token_is_exchanged_in_the_form_of_the_flow() {
    // The characters of a token, and none that a form has as it is.
    let subject = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl+/=_-~";
    for (flow, type_, field, own) in [
        (
            "on-behalf-of",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion",
            Some(("requested_token_use", "on_behalf_of")),
        ),
        (
            "jwt-bearer",
            "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion",
            None,
        ),
        (
            "token-exchange",
            "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token",
            Some((
                "subject_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            )),
        ),
    ] {
        let (provider, backend) = (good_provider().await, Backend::start().await);
        let secret = Canary::new();
        let more =
            format!("flow = \"{flow}\"\nauth = \"client_secret_post\"\nscopes = [\"orders.read\"]");
        let gateway = gateway(&backend, &provider, secret.text(), &more);
        assert_eq!(
            ask(&gateway, subject).await.status,
            StatusCode::OK,
            "{flow}"
        );

        let requests = provider.requests();
        assert_eq!(requests.len(), 1);
        let head = requests[0].to_ascii_lowercase();
        assert!(head.starts_with("post /token http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"));
        let mut expected = BTreeMap::from([
            ("client_id", "gateway"),
            ("client_secret", secret.text()),
            ("grant_type", type_),
            ("scope", "orders.read"),
            (field, subject),
        ]);
        expected.extend(own);
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(form(&requests[0]), expected, "{flow}");
        assert_eq!(bearers(&backend), [format!("Bearer {EXCHANGED}")], "{flow}");
    }
}

#[tokio::test]
async fn each_subject_has_a_token_of_its_own() {
    let (provider, backend) = (good_provider().await, Backend::start().await);
    let gateway = gateway(
        &backend,
        &provider,
        "a-secret-0123456789",
        "flow = \"on-behalf-of\"",
    );
    for subject in ["alice.alice.alice", "bob.bob.bob", "alice.alice.alice"] {
        assert_eq!(ask(&gateway, subject).await.status, StatusCode::OK);
    }
    let asked: Vec<_> = provider
        .requests()
        .iter()
        .map(|request| form(request)["assertion"].clone())
        .collect();
    assert_eq!(asked, ["alice.alice.alice", "bob.bob.bob"]);
}

#[tokio::test]
async fn a_token_that_is_not_exchanged_is_not_sent_on() {
    let refusing =
        |_: &str, _: &str| answer_json("400 Bad Request", r#"{"error":"invalid_grant"}"#);
    let provider = Evil::start(EXCHANGED, Arc::new(refusing)).await;
    let backend = Backend::start().await;
    let gateway = gateway(
        &backend,
        &provider,
        "a-secret-0123456789",
        "flow = \"on-behalf-of\"",
    );
    let answer = ask(&gateway, "alice.alice.alice").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(backend.received().is_empty());
    assert!(!answer.text().contains("invalid_grant"));
}

#[tokio::test]
async fn control_without_the_flow_in_the_grant_nothing_is_exchanged() {
    let (provider, backend) = (good_provider().await, Backend::start().await);
    let gateway = gateway(&backend, &provider, "a-secret-0123456789", "");
    assert_ne!(
        ask(&gateway, "alice.alice.alice").await.status,
        StatusCode::OK
    );
    assert!(provider.requests().is_empty() && backend.received().is_empty());
}
