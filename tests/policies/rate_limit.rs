use http::StatusCode;
use keyward::engine::Phase;
use keyward_tests::{Backend, Canary, TestGateway};
use serde_json::json;

#[tokio::test]
async fn a_client_that_sends_too_many_requests_is_turned_away_before_the_backend() {
    let backend = Backend::start().await;
    // The counts outlive an exchange, and a window the test.
    let settings = json!({ "limits": [{ "requests": 3, "seconds": 86400 }] });
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .policy(
            &[Phase::Inbound, Phase::Outbound],
            "rate-limit",
            "rate-limit",
            settings,
            &[],
        )
        .build();
    for left in ["2", "1", "0"] {
        let answer = gateway.get("/").await;
        assert_eq!(answer.status, StatusCode::OK);
        let told = answer.headers["ratelimit"].to_str().unwrap().to_owned();
        assert!(told.starts_with(&format!("\"0\";r={left};t=")), "{told}");
        assert_eq!(answer.headers["ratelimit-policy"], "\"0\";q=3;w=86400");
    }
    let answer = gateway.get("/").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    let after = answer.headers["retry-after"].to_str().unwrap();
    assert!((1..=86_400).contains(&after.parse::<u32>().unwrap()));
    assert_eq!(backend.received().len(), 3);
}

#[tokio::test]
async fn subjects_have_limits_of_their_own_although_they_share_an_address() {
    let backend = Backend::start().await;
    let (acme, globex) = (Canary::new(), Canary::new());
    let lines = format!("acme = {}\nglobex = {}\n", acme.text(), globex.text());
    let gateway = TestGateway::builder()
        .client_keys("consumers", &lines)
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
        .inbound(
            "rate-limit",
            json!({ "limits": [{ "requests": 1, "seconds": 86400 }], "by": "subject" }),
        )
        .build();
    let send = async |key: &Canary| {
        let request = http::Request::get("/").header("x-client-key", key.text());
        let request = request.body(bytes::Bytes::new()).unwrap();
        gateway.send(request).await.status
    };
    assert_eq!(send(&acme).await, StatusCode::OK);
    assert_eq!(send(&acme).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&globex).await, StatusCode::OK);
}
