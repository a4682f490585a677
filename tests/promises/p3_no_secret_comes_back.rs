//! P3: no secret reaches a client, a log or an error, even from a backend that
//! returns what it was sent.

use bytes::Bytes;
use data_encoding::BASE64;
use http::{Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward_tests::{ATTACH_GRANT, Answer, Backend, Canary, Log, Received, TestGateway};
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
        .route("billing", &backend.url());
    builder = if guarded {
        builder
            .grants(ATTACH_GRANT)
            .inbound("attach-api-key", json!({}))
    } else {
        // Whatever a grant lets go to a host is looked for in all that it answers.
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

/// Everything that is logged, at its most talkative, while a policy attaches, a
/// backend reflects, a grant is missing and a secret is rotated.
async fn logged(pasted: bool) -> (Vec<Canary>, Vec<u8>) {
    let log = Log::default();
    let _capturing = log.capture();
    let backend = Backend::answering(in_body).await;
    let (api_key, hmac_key, client_key) = (Canary::new(), Canary::new(), Canary::new());
    let names = if pasted {
        vec![api_key.text()]
    } else {
        vec!["backend"]
    };
    let gateway = TestGateway::builder()
        .api_key("billing-key", api_key.text())
        .hmac_key("mac", hmac_key.text())
        .client_keys("consumers", &format!("acme = {}\n", client_key.text()))
        .grants(ATTACH_GRANT)
        .grants(
            r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"
"#,
        )
        .route("billing", &backend.url())
        .inbound("require-client-key", json!({}))
        .inbound("attach-api-key", json!({}))
        .inbound(
            "hostile/thief",
            json!({ "attacks": ["open", "sign", "carry"], "names": names }),
        )
        .build();
    for path in ["/v1/charges", "/v1/not-granted"] {
        for key in [client_key.text(), "0123456789abcdef0123"] {
            let request = http::Request::get(path).header("x-client-key", key);
            gateway.send(request.body(Bytes::new()).unwrap()).await;
        }
    }
    gateway.set_grants("");
    gateway.get("/v1/charges").await;
    (vec![api_key, hmac_key, client_key], log.bytes())
}

#[tokio::test]
async fn no_secret_is_in_the_log_at_its_most_talkative() {
    let (canaries, log) = logged(false).await;
    assert!(log.len() > 1000, "something was logged");
    for canary in canaries {
        assert_eq!(canary.find_in(&log), None);
    }
}

#[tokio::test]
async fn control_a_secret_that_is_pasted_into_settings_is_found_in_the_log() {
    let (canaries, log) = logged(true).await;
    assert_eq!(canaries[0].find_in(&log), Some("raw"));
}
