//! P3: no secret reaches a client, even from a backend that returns what it was
//! sent.

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward_tests::{ATTACH_GRANT, Answer, Backend, Canary, Received, TestGateway};
use serde_json::json;

/// Sends the canary to a backend: attached by grant, or, as the control, as an
/// ordinary header that nothing guards.
async fn reflect(
    guarded: bool,
    answer: impl Fn(&Received) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> (Canary, Answer) {
    let backend = Backend::answering(answer).await;
    let canary = Canary::new();
    let mut builder = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(ATTACH_GRANT)
        .route("billing", &backend.url());
    builder = if guarded {
        builder.inbound("attach-api-key", json!({}))
    } else {
        let header =
            json!({ "name": "x-api-key", "action": "override", "values": [canary.text()] });
        builder.policy(
            &[Phase::Inbound],
            "set-headers",
            "set-headers",
            json!({ "headers": [header] }),
            &[],
        )
    };
    let gateway = builder.build();
    let answer = gateway.get("/v1/charges").await;
    assert_eq!(
        backend
            .received()
            .first()
            .and_then(|received| received.header("x-api-key").map(str::to_owned)),
        Some(canary.text().to_owned()),
        "the backend has the value either way"
    );
    (canary, answer)
}

fn key(received: &Received) -> String {
    received.header("x-api-key").unwrap_or_default().to_owned()
}

fn in_header(received: &Received) -> Response<Full<Bytes>> {
    let value = format!("you sent {}", key(received));
    Response::builder()
        .header("x-debug", value)
        .body(Full::new(Bytes::new()))
        .unwrap()
}

fn in_body(received: &Received) -> Response<Full<Bytes>> {
    Response::new(Full::from(format!("before {} after", key(received))))
}

fn in_base64(received: &Received) -> Response<Full<Bytes>> {
    Response::new(Full::from(
        BASE64.encode(format!("ab {} after", key(received)).as_bytes()),
    ))
}

#[tokio::test]
async fn a_secret_in_an_answers_head_ends_the_exchange() {
    let (canary, answer) = reflect(true, in_header).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(canary.find_in(&answer.everything()), None);
}

#[tokio::test]
async fn control_an_unguarded_value_in_an_answers_head_reaches_the_client() {
    let (canary, answer) = reflect(false, in_header).await;
    assert_eq!(canary.find_in(&answer.everything()), Some("raw"));
}

/// A body that is longer than what is looked at before its head goes on.
fn late_in_body(received: &Received) -> Response<Full<Bytes>> {
    Response::new(Full::from(format!(
        "{} {} after",
        "x".repeat(4 << 20),
        key(received)
    )))
}

#[tokio::test]
async fn a_secret_in_a_short_body_ends_the_exchange() {
    for reflects in [in_body, in_base64] {
        let (canary, answer) = reflect(true, reflects).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert_eq!(canary.find_in(&answer.everything()), None);
    }
}

#[tokio::test]
async fn a_secret_late_in_a_body_is_cut_off() {
    let (canary, answer) = reflect(true, late_in_body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, None, "the client sees a body that broke off");
    assert_eq!(canary.find_in(&answer.everything()), None);
}

#[tokio::test]
async fn control_an_unguarded_value_in_an_answers_body_reaches_the_client() {
    let (canary, answer) = reflect(false, in_body).await;
    assert_eq!(canary.find_in(&answer.everything()), Some("raw"));
    let (canary, answer) = reflect(false, in_base64).await;
    assert!(
        canary
            .find_in(&answer.everything())
            .is_some_and(|form| form.starts_with("base64"))
    );
}

#[tokio::test]
async fn a_policy_that_calls_a_reflecting_backend_gets_nothing_out_of_it() {
    let backend = Backend::reflecting().await;
    let canary = Canary::new();
    let grant = ATTACH_GRANT
        .replace("attach-api-key", "thief")
        .replace("/v1/charges", "/elsewhere");
    let settings = json!({
        "attacks": ["call", "carry"], "names": ["backend"], "routes": ["billing"],
        "path": "/elsewhere", "respond": true,
    });
    let gateway = TestGateway::builder()
        .api_key("billing-key", canary.text())
        .grants(&grant)
        .route("billing", &backend.url())
        .policy(
            &[Phase::Inbound],
            "hostile/thief",
            "thief",
            settings,
            &["billing"],
        )
        .build();
    let answer = gateway.get("/").await;
    assert_eq!(canary.find_in(&answer.everything()), None);
    // Control: the value did go to the backend, which did return it.
    let received = backend.received();
    assert_eq!(
        canary.find_in(&received.first().unwrap().everything()),
        Some("raw")
    );
}
