use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use keyward_tests::{Backend, Canary, Received, TestGateway};
use serde_json::json;
use sha2::{Digest, Sha256};

const GRANT: &str = r#"
[[grant]]
id = "sign"
policy = "sign-request"
secret = "billing-hmac"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/refunds"] }]
"#;

async fn signed(body: &'static str) -> (Canary, Received, String) {
    let backend = Backend::start().await;
    let canary = Canary::new();
    let gateway = TestGateway::builder()
        .hmac_key("billing-hmac", canary.text())
        .grants(GRANT)
        .route("billing", &backend.url())
        .inbound("sign-request", json!({}))
        .build();
    let request = Request::post("/v1/refunds?limit=2")
        .body(Bytes::from(body))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    let authority = backend.url().trim_start_matches("http://").to_owned();
    let received = backend.received().into_iter().next().unwrap();
    (canary, received, authority)
}

/// Verifies a signature as RFC 9421, 3.2 says, with another implementation of
/// HMAC than the one that made it.
fn verifies(received: &Received, authority: &str, key: &str, body: &[u8]) -> bool {
    let input = received.header("signature-input").unwrap();
    let (label, parameters) = input.split_once('=').unwrap();
    let list = parameters
        .trim_start_matches('(')
        .split_once(')')
        .unwrap()
        .0;
    let (method, target) = received.target.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = String::new();
    for component in list.split(' ').filter(|component| !component.is_empty()) {
        let value = match component.trim_matches('"') {
            "@method" => method.to_owned(),
            "@authority" => authority.to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            header => received.header(header).unwrap().to_owned(),
        };
        base.push_str(&format!("{component}: {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let digest = format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)));
    let signature = received.header("signature").unwrap();
    let signature = signature
        .strip_prefix(&format!("{label}=:"))
        .unwrap()
        .trim_end_matches(':');
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(base.as_bytes());
    received.header("content-digest") == Some(digest.as_str())
        && mac
            .verify_slice(&BASE64.decode(signature.as_bytes()).unwrap())
            .is_ok()
}

#[tokio::test]
async fn a_backend_that_has_the_key_can_verify_the_signature() {
    let (canary, received, authority) = signed("amount=5").await;
    assert!(verifies(&received, &authority, canary.text(), b"amount=5"));
    // Controls: another key, another body, another target don't verify.
    assert!(!verifies(
        &received,
        &authority,
        Canary::new().text(),
        b"amount=5"
    ));
    assert!(!verifies(&received, &authority, canary.text(), b"amount=6"));
    let mut elsewhere = received.clone();
    elsewhere.target = "POST /v1/refunds?limit=3".to_owned();
    assert!(!verifies(
        &elsewhere,
        &authority,
        canary.text(),
        b"amount=5"
    ));
    assert_eq!(
        canary.find_in(&received.everything()),
        None,
        "the key itself stays here"
    );
}

#[tokio::test]
async fn the_signature_names_its_key_and_its_time() {
    let (_, received, _) = signed("").await;
    let input = received.header("signature-input").unwrap();
    assert!(input.contains(";keyid=\"signing-key\""), "{input}");
    assert!(input.contains(";created="), "{input}");
    assert!(
        input.contains("\"@method\"") && input.contains("\"@path\""),
        "{input}"
    );
}

#[tokio::test]
async fn a_client_can_not_slip_in_a_signature_of_its_own() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .hmac_key("billing-hmac", Canary::new().text())
        .grants(GRANT)
        .route("billing", &backend.url())
        .inbound("sign-request", json!({}))
        .build();
    let request = Request::post("/v1/refunds")
        .header("signature", "sig1=:AAAA:")
        .header("signature-input", "sig1=()")
        .header("content-digest", "sha-256=:AAAA:")
        .body(Bytes::from("x"))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    let received = backend.received();
    for name in ["signature", "signature-input", "content-digest"] {
        let values: Vec<_> = received[0].headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
    }
}
