//! Tokens of a real authorisation server.

use http::StatusCode;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::{Value, json};

use crate::provider::Provider;
use crate::{PATH, bearers, gateway, status, trail};

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
        println!("left out: KEYWARD_WITHOUT_SERVERS is set");
        return;
    }
    token_by_a_secret("client_secret_basic").await;
}

#[tokio::test]
async fn a_client_shows_its_secret_in_the_form() {
    if Provider::is_left_out() {
        println!("left out: KEYWARD_WITHOUT_SERVERS is set");
        return;
    }
    token_by_a_secret("client_secret_post").await;
}

#[tokio::test]
async fn what_the_server_refuses_is_not_sent_on() {
    if Provider::is_left_out() {
        println!("left out: KEYWARD_WITHOUT_SERVERS is set");
        return;
    }
    let right = "the-right-secret-0123456789";
    let provider = Provider::start(60, |_| {
        let mut client = secret_client("client_secret_basic", right);
        client["client_id"] = json!("orders");
        vec![client]
    });
    let backend = Backend::start().await;
    let pem = provider.authority.pem();
    let identity = (provider.url.as_str(), pem.as_str());
    let canary = Canary::new();
    // Another secret, and a scope that it may not have.
    for (secret, more) in [(canary.text(), ""), (right, "scopes = [\"orders.delete\"]")] {
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
async fn a_rotated_secret_and_a_withdrawn_token_lead_to_another_token() {
    if Provider::is_left_out() {
        println!("left out: KEYWARD_WITHOUT_SERVERS is set");
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

    provider.revoke("orders-next", second, &token(1)).await;
    let said = provider.introspect(&token(1)).await;
    assert_eq!(said["active"], json!(false));
}
