use bytes::Bytes;
use http::{Request, StatusCode};
use keyward_tests::{Answer, Backend, Canary, TestGateway};
use serde_json::json;

const BY_HEADER: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
header = "x-client-key"
"#;

const BY_QUERY: &str = r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "consumers"
use = "identify"
query = "subscription-key"
"#;

struct World {
    backend: Backend,
    gateway: TestGateway,
    first: Canary,
    second: Canary,
}

async fn world(grants: &str) -> World {
    let backend = Backend::start().await;
    let (first, second, other) = (Canary::new(), Canary::new(), Canary::new());
    let lines = format!(
        "acme = {}\nacme = {}\nglobex = {}\n",
        first.text(),
        second.text(),
        other.text()
    );
    let gateway = TestGateway::builder()
        .client_keys("consumers", &lines)
        .grants(grants)
        .route("billing", &backend.url())
        .inbound(
            "require-client-key",
            json!({ "subject-header": "x-subject" }),
        )
        .build();
    World {
        backend,
        gateway,
        first,
        second,
    }
}

async fn send(world: &World, path: &str, header: Option<&str>) -> Answer {
    let mut request = Request::get(path).header("x-subject", "root");
    if let Some(value) = header {
        request = request.header("X-Client-Key", value);
    }
    world
        .gateway
        .send(request.body(Bytes::new()).unwrap())
        .await
}

/// What a policy reads of a request with a key in its query, if it can; the key first.
async fn read_by_a_thief(is_granted: bool) -> (Canary, String) {
    let backend = Backend::start().await;
    let key = Canary::new();
    let reads = json!({ "attacks": ["read-back", "carry"] });
    let builder = TestGateway::builder()
        .client_keys("consumers", &format!("acme = {}\n", key.text()))
        .route("billing", &backend.url())
        .inbound("hostile/thief", reads);
    let gateway = match is_granted {
        true => builder
            .grants(BY_QUERY)
            .inbound("require-client-key", json!({})),
        false => builder,
    };
    let request = Request::get(format!("/a?subscription-key={}&page=7", key.text()))
        .header("x-tag", "one")
        .header("x-tag", "two");
    let answer = gateway
        .build()
        .send(request.body(Bytes::new()).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let loot = backend.received()[0].body.to_vec();
    (key, String::from_utf8(loot).unwrap())
}

#[tokio::test]
async fn a_key_in_the_query_is_in_nothing_that_a_policy_reads_before() {
    let (key, loot) = read_by_a_thief(true).await;
    assert_eq!(key.find_in(loot.as_bytes()), None);
    for read in ["request-line=", "page=7", "x-tag=one", "x-tag=two"] {
        assert!(loot.contains(read), "{read} in {loot}");
    }
}

#[tokio::test]
async fn control_a_key_that_nobody_may_identify_is_a_text_like_others() {
    let (key, loot) = read_by_a_thief(false).await;
    assert_eq!(key.find_in(loot.as_bytes()), Some("raw"));
}

#[tokio::test]
async fn both_keys_of_a_subject_are_known_and_neither_reaches_the_backend() {
    let world = world(BY_HEADER).await;
    for key in [world.first.text(), world.second.text()] {
        assert_eq!(send(&world, "/a", Some(key)).await.status, StatusCode::OK);
    }
    let received = world.backend.received();
    assert_eq!(received.len(), 2);
    for request in received {
        assert_eq!(request.header("x-subject"), Some("acme"));
        assert_eq!(world.first.find_in(&request.everything()), None);
        assert_eq!(world.second.find_in(&request.everything()), None);
    }
}

#[tokio::test]
async fn a_client_can_not_have_the_header_that_names_it_dropped_or_doubled() {
    // `Connection` names headers that end at the next hop (RFC 9110, 7.6.1). What a
    // policy adds later is not the client's to name.
    let world = world(BY_HEADER).await;
    let request = Request::get("/a")
        .header("connection", "x-subject, x-hop, close")
        .header("x-hop", "1")
        .header("x_subject", "root")
        .header("x_other", "1")
        .header("x-client-key", world.first.text());
    let answer = world
        .gateway
        .send(request.body(Bytes::new()).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let received = world.backend.received();
    assert_eq!(received[0].header("x-subject"), Some("acme"));
    // Many backends take `_` for `-`: the client's spelling is gone, others stay.
    assert_eq!(received[0].header("x_subject"), None);
    assert_eq!(received[0].header("x_other"), Some("1"));
    // Control: what the client itself named and sent does end here.
    assert_eq!(received[0].header("x-hop"), None);
}

#[tokio::test]
async fn a_key_in_the_query_is_taken_out_and_the_rest_of_the_query_stays() {
    let world = world(BY_QUERY).await;
    let path = format!("/a?x=1&subscription-key={}&y=%20", world.first.text());
    assert_eq!(send(&world, &path, None).await.status, StatusCode::OK);
    assert_eq!(world.backend.received()[0].target, "GET /a?x=1&y=%20");
}

/// The body without the exchange's identifier, which is random.
fn without_id(answer: &Answer) -> serde_json::Value {
    let mut body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    assert!(body.as_object_mut().unwrap().remove("exchange").is_some());
    body
}

#[tokio::test]
async fn no_key_and_a_wrong_key_look_the_same_to_the_client() {
    let world = world(BY_HEADER).await;
    let none = send(&world, "/a", None).await;
    let wrong = send(&world, "/a", Some("0123456789abcdef0123456789abcdef")).await;
    let place = send(
        &world,
        &format!("/a?subscription-key={}", world.first.text()),
        None,
    )
    .await;
    for answer in [&none, &wrong, &place] {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers.get("www-authenticate").unwrap(), "ApiKey");
        assert_eq!(without_id(answer), without_id(&none));
    }
    assert!(world.backend.received().is_empty());
}
