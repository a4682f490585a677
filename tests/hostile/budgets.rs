//! Attacks while a phase runs.

use http::StatusCode;
use keyward::engine::{Exchange, Phase, PolicyBody, PolicyStop, Verdict};
use keyward::names::ExchangeId;
use keyward::vault::new_exchange_id;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

async fn gateway(attack: &str, backend: &Backend) -> TestGateway {
    TestGateway::builder()
        .route("billing", &backend.url())
        .policy(
            &[Phase::Inbound],
            "hostile/vandal",
            "vandal",
            json!({ "attack": attack }),
            &["billing"],
        )
        .build()
}

/// Runs an attack straight in the engine and says how it ended.
async fn attack(attack: &str) -> (Box<Exchange>, Result<Verdict, PolicyStop>) {
    let backend = Backend::start().await;
    let gateway = gateway(attack, &backend).await;
    let (mut head, ()) = http::Request::get("/").body(()).unwrap().into_parts();
    let vault = gateway.vault();
    let presented = vault.take_client_keys(&[], &mut head);
    let id: ExchangeId = new_exchange_id();
    let client = "192.0.2.7".parse().unwrap();
    let exchange = Exchange::new(
        client,
        "a.example".to_owned(),
        head,
        PolicyBody::empty(),
        presented,
        vault.begin(id),
        gateway.keyward.outside(),
    );
    let policy = gateway
        .pipelines()
        .of("/")
        .unwrap()
        .policies(Phase::Inbound)[0]
        .clone();
    let ended = gateway
        .keyward
        .engine()
        .run(&policy, Phase::Inbound, Box::new(exchange))
        .await;

    // The host is as it was: an honest policy still runs.
    let honest = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("ip-filter", json!({ "allow": ["192.0.2.0/24"] }))
        .build();
    assert_eq!(honest.get("/").await.status, StatusCode::OK);
    ended
}

#[tokio::test]
async fn a_policy_that_never_returns_is_stopped() {
    let (_, ended) = attack("loop").await;
    assert_eq!(ended.unwrap_err(), PolicyStop::Deadline(50));
}

#[tokio::test]
async fn a_policy_that_takes_all_memory_is_stopped_at_its_limit() {
    let (_, ended) = attack("grow").await;
    assert!(matches!(
        ended.unwrap_err(),
        PolicyStop::Memory { .. } | PolicyStop::Deadline(_)
    ));
}

#[tokio::test]
async fn a_policy_that_traps_or_recurses_ends_only_itself() {
    for name in ["trap", "recurse"] {
        let (_, ended) = attack(name).await;
        assert_eq!(ended.unwrap_err(), PolicyStop::Trap, "{name}");
    }
}

#[tokio::test]
async fn a_policy_that_calls_the_host_without_end_is_stopped() {
    for name in ["flood-calls", "flood-log"] {
        let (_, ended) = attack(name).await;
        assert_eq!(ended.unwrap_err(), PolicyStop::HostCalls(1_000), "{name}");
    }
}

#[tokio::test]
async fn floods_are_refused_at_their_limits() {
    for name in [
        "flood-handles",
        "flood-headers",
        "flood-variables",
        "flood-body",
        "flood-requests",
    ] {
        let (exchange, ended) = attack(name).await;
        match ended {
            // The guest stopped when the host refused, or the host stopped the guest.
            Ok(Verdict::Proceed) | Err(PolicyStop::HostCalls(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert!(exchange.request.headers.len() <= 128, "{name}");
    }
}

#[tokio::test]
async fn no_malformed_name_value_or_path_is_taken() {
    let (exchange, ended) = attack("forge").await;
    assert_eq!(ended.unwrap(), Verdict::Proceed);
    let accepted = exchange
        .variable("vandal", "accepted")
        .map(|value| value.to_vec());
    let accepted = String::from_utf8(accepted.unwrap_or_default()).unwrap();
    assert_eq!(accepted, "", "the host took what it must not");
}

#[tokio::test]
async fn a_response_that_was_never_made_is_not_sent() {
    let (_, ended) = attack("lie").await;
    assert_eq!(ended.unwrap_err(), PolicyStop::NoResponse);
}

#[tokio::test]
async fn every_stop_is_a_fixed_answer_for_the_client() {
    for name in ["loop", "trap", "lie", "fail", "flood-calls"] {
        let backend = Backend::start().await;
        let gateway = gateway(name, &backend).await;
        let answer = gateway.get("/").await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{name}");
        let problem: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(problem["title"], "policy failure", "{name}");
        assert!(backend.received().is_empty(), "{name}: never \"continue\"");
    }
}

#[tokio::test]
async fn others_are_served_while_a_policy_burns_its_time() {
    // One thread: without yielding, the honest exchange would have to wait for
    // every one of the runaways to reach its deadline.
    let backend = Backend::start().await;
    let runaway = std::sync::Arc::new(gateway("loop", &backend).await);
    let honest = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("ip-filter", json!({ "allow": ["192.0.2.0/24"] }))
        .build();
    let runaways: Vec<_> = (0..10)
        .map(|_| {
            let runaway = std::sync::Arc::clone(&runaway);
            tokio::spawn(async move { runaway.get("/").await.status })
        })
        .collect();
    tokio::task::yield_now().await;
    assert_eq!(honest.get("/").await.status, StatusCode::OK);
    let finished = runaways.iter().filter(|task| task.is_finished()).count();
    assert!(
        finished < runaways.len(),
        "the honest exchange did not come last"
    );
    for task in runaways {
        assert_eq!(task.await.unwrap(), StatusCode::BAD_GATEWAY);
    }
}

#[tokio::test]
async fn one_call_leaves_nothing_for_the_next() {
    // The thief notes what it sees in a variable; a second exchange must not see it.
    let backend = Backend::start().await;
    let settings = json!({ "attacks": ["read-back"], "respond": true });
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .policy(&[Phase::Inbound], "hostile/thief", "thief", settings, &[])
        .build();
    let with = http::Request::get("/")
        .header("x-mark", "left-behind")
        .body(bytes::Bytes::new());
    assert!(
        gateway
            .send(with.unwrap())
            .await
            .text()
            .contains("left-behind")
    );
    for _ in 0..50 {
        assert!(!gateway.get("/").await.text().contains("left-behind"));
    }
}

#[tokio::test]
async fn a_call_beyond_the_last_sandbox_is_told_to_come_back_and_harms_no_other() {
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("hostile/vandal", json!({ "attack": "loop" }))
        .engine(|engine| engine.concurrent_calls = 1)
        .build();
    let gateway = std::sync::Arc::new(gateway);
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            tokio::spawn(async move { gateway.get("/").await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    // The first holds the only sandbox until its time is up; it yields meanwhile.
    let count = |status| statuses.iter().filter(|each| **each == status).count();
    assert_eq!(count(StatusCode::BAD_GATEWAY), 1, "{statuses:?}");
    assert_eq!(count(StatusCode::SERVICE_UNAVAILABLE), 2, "{statuses:?}");
}

/// A policy that calls a route of its own and then answers with what came of it.
async fn call_out(url: &str) -> String {
    let settings = json!({
        "attacks": ["call"], "names": ["backend"], "routes": ["billing"], "respond": true,
    });
    let gateway = TestGateway::builder()
        .api_key("billing-key", keyward_tests::Canary::new().text())
        .grants(
            &keyward_tests::ATTACH_GRANT
                .replace("attach-api-key", "thief")
                .replace("/v1/charges", "/elsewhere"),
        )
        .route("billing", url)
        .policy(
            &[Phase::Inbound],
            "hostile/thief",
            "thief",
            settings,
            &["billing"],
        )
        .engine(|engine| engine.limits.wall_milliseconds = 300)
        .build();
    gateway.get("/").await.text()
}

#[tokio::test]
async fn a_backend_that_never_answers_does_not_hold_a_policy_beyond_its_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let said = call_out(&url).await;
    assert!(said.contains("outcome=not available now"), "{said}");
    // Control: a backend that answers is heard.
    let backend = Backend::start().await;
    let said = call_out(&backend.url()).await;
    assert!(said.contains("outcome=ok"), "{said}");
}
