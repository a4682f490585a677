use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, StatusCode};
use keyward_tests::{Answer, Backend, Canary, TestGateway};
use serde_json::json;
use sha2::Sha256;

const GRANT: &str = r#"
[[grant]]
id = "webhook"
policy = "verify-webhook"
secret = "stripe-key"
alias = "webhook-key"
use = "mac-verify"
"#;

struct World {
    backend: Backend,
    gateway: TestGateway,
    key: Canary,
}

async fn world(settings: serde_json::Value) -> World {
    let backend = Backend::start().await;
    let key = Canary::new();
    let gateway = TestGateway::builder()
        .hmac_key("stripe-key", key.text())
        .grants(GRANT)
        .route("billing", &backend.url())
        .inbound("verify-webhook", settings)
        .build();
    World {
        backend,
        gateway,
        key,
    }
}

/// With another implementation of HMAC than the one that verifies.
fn sign(key: &str, message: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(message);
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

impl World {
    async fn send(&self, header: &str, value: &str, body: &[u8]) -> Answer {
        let request = Request::post("/hook").header(header, value);
        let request = request.body(Bytes::copy_from_slice(body)).unwrap();
        self.gateway.send(request).await
    }

    async fn stripe(&self, time: u64, signed: &[u8], body: &[u8]) -> Answer {
        let message = [format!("{time}.").as_bytes(), signed].concat();
        let header = format!("t={time},v1={}", sign(self.key.text(), &message));
        self.send("stripe-signature", &header, body).await
    }
}

#[tokio::test]
async fn a_signed_webhook_reaches_the_backend_as_it_came_and_a_changed_one_does_not() {
    let world = world(json!({ "scheme": "stripe" })).await;
    let body = vec![b'x'; 300_000];
    let answer = world.stripe(now(), &body, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(world.backend.received()[0].body, body);
    for answer in [
        world.stripe(now(), b"{}", b"{\"a\":1}").await,
        world.stripe(now() - 301, b"{}", b"{}").await,
        world.send("stripe-signature", "t=1,v1=00", b"{}").await,
        world.send("x-other", "", b"{}").await,
    ] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.backend.received().len(), 1);
}

#[tokio::test]
async fn every_refusal_has_the_same_answer() {
    let world = world(json!({ "scheme": "stripe" })).await;
    assert_eq!(
        world.stripe(now(), b"{}", b"{}").await.status,
        StatusCode::OK
    );
    let mut answers = Vec::new();
    for answer in [
        // Another body, too old, seen before, malformed, none.
        world.stripe(now(), b"{}", b"[]").await,
        world.stripe(now() - 301, b"{}", b"{}").await,
        world.stripe(now(), b"{}", b"{}").await,
        world.send("stripe-signature", "v1=zz", b"{}").await,
        world.send("x-other", "", b"{}").await,
    ] {
        let mut body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        // Each exchange has its own identifier.
        body.as_object_mut().unwrap().remove("exchange").unwrap();
        let mut headers: Vec<_> = answer.headers.keys().map(|name| name.to_string()).collect();
        headers.sort();
        answers.push((answer.status, headers, body.to_string()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
}

/// How many codes the host compared in the exchange of each answer, by the audit
/// trail.
fn comparisons(gateway: TestGateway, answers: &[Answer]) -> Vec<u64> {
    let directory = gateway.close();
    let records: Vec<_> = keyward::vault::read_records(&directory.path().join("audit"))
        .map(Result::unwrap)
        .collect();
    let of = |answer: &Answer| {
        let problem: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        let mut uses = records
            .iter()
            .filter(|record| record["exchange"] == problem["exchange"])
            .flat_map(|record| record["uses"].as_array().unwrap());
        let compared = |one: &&serde_json::Value| one["use"] == "mac-verify";
        uses.by_ref()
            .filter(compared)
            .map(|one| one["count"].as_u64().unwrap())
            .sum()
    };
    answers.iter().map(of).collect()
}

#[tokio::test]
async fn every_refusal_takes_the_same_work_with_the_key() {
    let world = world(json!({ "scheme": "stripe" })).await;
    let passed = world.stripe(now(), b"{}", b"{}").await;
    assert_eq!(passed.status, StatusCode::OK);
    let message = format!("{}.{{}}", now());
    let code = sign(world.key.text(), message.as_bytes());
    let two = format!("t={},v1={code},v1={code}", now() - 301);
    let answers = [
        // Another body, too old, seen before, malformed, none.
        world.stripe(now(), b"{}", b"[]").await,
        world.stripe(now() - 301, b"{}", b"{}").await,
        world.stripe(now(), b"{}", b"{}").await,
        world.send("stripe-signature", "v1=zz", b"{}").await,
        world.send("stripe-signature", "t=1", b"{}").await,
        world.send("stripe-signature", "", b"{}").await,
        world.send("x-other", "", b"{}").await,
        // Control: who sends two codes has two compared, and is seen to.
        world.send("stripe-signature", &two, b"{}").await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    let compared = comparisons(world.gateway, &answers);
    let (control, refusals) = compared.split_last().unwrap();
    assert_eq!(refusals, [1; 7]);
    assert_eq!(*control, 2);
}

#[tokio::test]
async fn a_replay_passes_where_that_is_set_and_only_there() {
    let body = b"{\"paid\":true}";
    let (refused, let_pass) = (
        world(json!({ "scheme": "stripe" })).await,
        world(json!({ "scheme": "stripe", "refuse-replays": false })).await,
    );
    let time = now();
    for (world, expected) in [
        (&refused, StatusCode::UNAUTHORIZED),
        (&let_pass, StatusCode::OK),
    ] {
        assert_eq!(world.stripe(time, body, body).await.status, StatusCode::OK);
        assert_eq!(world.stripe(time, body, body).await.status, expected);
    }
}

#[tokio::test]
async fn while_a_key_is_replaced_the_sender_may_still_use_the_old_one() {
    use keyward::names::SecretName;
    use keyward::vault::Secret;
    let world = world(json!({ "scheme": "github" })).await;
    let old = sign(world.key.text(), b"{}");
    let new = Canary::new();
    let name = SecretName::parse("stripe-key").unwrap();
    let secret = Secret::read_from(new.text().as_bytes(), 4096).unwrap();
    let vault = world.gateway.vault();
    vault.rotate(&name, secret, &TestGateway::actor()).unwrap();
    for code in [old, sign(new.text(), b"{}")] {
        let header = format!("sha256={code}");
        let answer = world.send("x-hub-signature-256", &header, b"{}").await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    let header = format!(
        "sha256={}",
        sign("another key of at least 32 bytes!", b"{}")
    );
    let answer = world.send("x-hub-signature-256", &header, b"{}").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
