//! Tokens of a real authorisation server.

use http::StatusCode;
use keyward::names::SecretName;
use keyward::vault::{Kind, Secret};
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::{PATH, POLICY, bearers, gateway, grant, status, trail};

fn secret_client(method: &str, secret: &str) -> Value {
    json!({
        "client_secret": secret,
        "token_endpoint_auth_method": method,
        "scope": "orders.read orders.write",
    })
}

async fn token_by_a_secret(method: &str) {
    let canary = Canary::new();
    let secret = format!("{}:%+/&=", canary.text());
    // Hard to write into a header and into a form.
    let id = "orders-gateway:1/%+";
    let provider = Provider::start(60, |_| {
        let mut client = secret_client(method, &secret);
        client["client_id"] = json!(id);
        vec![client]
    });
    let backend = Backend::start().await;
    let more = format!("auth = \"{method}\"\nscopes = [\"orders.read\"]");
    let identity = (provider.url.as_str(), provider.authority.pem());
    let gateway = gateway(&backend, (identity.0, &identity.1), id, &secret, &more).build();
    for _ in 0..2 {
        assert_eq!(status(&gateway).await, StatusCode::OK);
    }
    let sent = bearers(&backend);
    assert_eq!(sent[0], sent[1], "one token serves until it expires");
    let token = sent[0].strip_prefix("Bearer ").unwrap();
    let said = provider.introspect(token).await;
    assert_eq!(said["active"], json!(true), "{said}");
    assert_eq!(said["client_id"], json!(id));
    assert_eq!(
        said["scope"],
        json!("orders.read"),
        "not all that it may have"
    );
    for request in backend.received() {
        assert_eq!(canary.find_in(&request.everything()), None);
    }
    let uses = trail(gateway);
    let fetched = uses.iter().filter(|(route, _)| route == "identity");
    assert_eq!(fetched.count(), 1, "{uses:?}");
    assert!(
        uses.iter().all(|(_, outcome)| outcome == "allowed"),
        "{uses:?}"
    );
}

#[tokio::test]
async fn a_client_shows_its_secret_in_the_header() {
    if Provider::is_left_out() {
        return;
    }
    token_by_a_secret("client_secret_basic").await;
}

#[tokio::test]
async fn a_client_shows_its_secret_in_the_form() {
    if Provider::is_left_out() {
        return;
    }
    token_by_a_secret("client_secret_post").await;
}

#[tokio::test]
async fn what_the_server_refuses_is_not_sent_on() {
    if Provider::is_left_out() {
        return;
    }
    let right = "the-right-secret-0123456789";
    let provider = Provider::start(60, |_| {
        let mut client = secret_client("client_secret_basic", right);
        client["client_id"] = json!("orders");
        client["scope"] = json!("orders.read");
        vec![client]
    });
    let backend = Backend::start().await;
    let pem = provider.authority.pem();
    let identity = (provider.url.as_str(), pem.as_str());
    let canary = Canary::new();
    // Another secret, and a scope that it may not have.
    for (secret, more) in [(canary.text(), ""), (right, "scopes = [\"orders.write\"]")] {
        let gateway = gateway(&backend, identity, "orders", secret, more).build();
        let answer = gateway.get(PATH).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{more}");
        assert_eq!(canary.find_in(&answer.everything()), None);
        assert!(!answer.text().contains("invalid_"), "{}", answer.text());
        let uses = trail(gateway);
        let expected = [("identity", "allowed"), ("identity", "failed")];
        let expected = expected.map(|(route, outcome)| (route.to_owned(), outcome.to_owned()));
        let fetches = uses.iter().filter(|(route, _)| !route.is_empty());
        assert!(fetches.eq(expected.iter()), "{uses:?}");
    }
    assert!(backend.received().is_empty());
    let control = gateway(&backend, identity, "orders", right, "").build();
    assert_eq!(status(&control).await, StatusCode::OK, "control");
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_rotated_secret_leads_to_a_token_of_its_own() {
    if Provider::is_left_out() {
        return;
    }
    let (first, second) = ("the-first-secret-0123456789", "the-other-secret-0123456789");
    let provider = Provider::start(60, |_| {
        [("orders", first), ("orders-next", second)]
            .into_iter()
            .map(|(id, secret)| {
                let mut client = secret_client("client_secret_post", secret);
                client["client_id"] = json!(id);
                client
            })
            .collect()
    });
    let backend = Backend::start().await;
    let pem = provider.authority.pem();
    let more = "auth = \"client_secret_post\"";
    let gateway = gateway(&backend, (&provider.url, &pem), "orders", first, more).build();
    assert_eq!(status(&gateway).await, StatusCode::OK);
    let client = json!({ "client_id": "orders-next", "client_secret": second }).to_string();
    let value = Secret::read_from(client.as_bytes(), 8192).unwrap();
    let name = SecretName::parse("client").unwrap();
    gateway
        .vault()
        .rotate(&name, value, &TestGateway::actor())
        .unwrap();
    assert_eq!(status(&gateway).await, StatusCode::OK);
    let sent = bearers(&backend);
    let token = |index: usize| sent[index].strip_prefix("Bearer ").unwrap().to_owned();
    assert_ne!(token(0), token(1));
    let said = provider.introspect(&token(1)).await;
    assert_eq!(said["client_id"], json!("orders-next"));
}

/// A certificate and its key, as they are imported.
pub(crate) fn pem(certified: &crate::authority::Certified) -> String {
    format!("{}{}", certified.certificate, certified.key)
}

pub(crate) fn with_certificate(
    provider: &Provider,
    backend: &Backend,
    certificate: &str,
    more: &str,
) -> TestGateway {
    TestGateway::builder()
        .secret("client", Kind::Certificate, certificate)
        .route("orders", &backend.url())
        .secure_route("identity", &provider.url, &provider.authority.pem())
        .inbound(POLICY, Value::Null)
        .grants(&grant(more))
        .build()
}

#[tokio::test]
async fn a_client_signs_an_assertion() {
    if Provider::is_left_out() {
        return;
    }
    let mut certificate = String::new();
    let provider = Provider::start(60, |authority| {
        let certified = authority.certify("orders");
        certificate = pem(&certified);
        vec![json!({
            "client_id": "orders",
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES256",
            "jwks": { "keys": [certified.jwk] },
            "scope": "orders.read",
        })]
    });
    let backend = Backend::start().await;
    let more = "auth = \"private_key_jwt\"\nclient-id = \"orders\"";
    let gateway = with_certificate(&provider, &backend, &certificate, more);
    assert_eq!(status(&gateway).await, StatusCode::OK, "{}", provider.log());
    let sent = bearers(&backend);
    let token = sent[0].strip_prefix("Bearer ").unwrap();
    let said = provider.introspect(token).await;
    assert_eq!(said["client_id"], json!("orders"));

    let other = pem(&provider.authority.certify("orders"));
    let control = with_certificate(&provider, &backend, &other, more);
    let status = status(&control).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "another key is refused");
}

#[tokio::test]
async fn a_client_shows_its_certificate_and_its_token_is_bound_to_that() {
    if Provider::is_left_out() {
        return;
    }
    let mut certificate = String::new();
    let provider = Provider::start(60, |authority| {
        certificate = pem(&authority.certify("orders.example"));
        vec![json!({
            "client_id": "orders",
            "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_san_dns": "orders.example",
            "tls_client_certificate_bound_access_tokens": true,
            "scope": "orders.read",
        })]
    });
    let backend = Backend::start().await;
    let more = "auth = \"tls_client_auth\"\nclient-id = \"orders\"";
    let gateway = with_certificate(&provider, &backend, &certificate, more);
    assert_eq!(status(&gateway).await, StatusCode::OK, "{}", provider.log());
    let sent = bearers(&backend);
    let token = sent[0].strip_prefix("Bearer ").unwrap();
    let said = provider.introspect(token).await;
    assert_eq!(said["client_id"], json!("orders"));
    assert!(said["cnf"]["x5t#S256"].is_string(), "{said}");

    let other = pem(&provider.authority.certify("others.example"));
    let control = with_certificate(&provider, &backend, &other, more);
    let status = status(&control).await;
    assert_eq!(
        status,
        StatusCode::BAD_GATEWAY,
        "another certificate is refused"
    );
}
