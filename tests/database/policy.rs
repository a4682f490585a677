//! The policy `lookup-postgres` in a gateway, with a real database behind it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward_tests::{Answer, Backend, Log, TestGateway};
use serde_json::json;

use crate::world::login;
use crate::{PASSWORD, server};

const GRANTS: &str = r#"
[[grant]]
id = "look-up"
policy = "lookup-postgres"
secret = "customers"
alias = "database"
use = "query"
to = [{ route = "customers-db" }]

[[grant.statement]]
name = "lookup"
sql = "SELECT plan, id FROM customers WHERE name = $1"
parameters = ["text"]
max-rows = 1
"#;

async fn ask(gateway: &TestGateway, tenant: &str) -> Answer {
    let request = Request::get("/")
        .header("x-tenant", tenant)
        .header("x-plan", "platinum");
    gateway.send(request.body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn a_policy_lets_pass_whom_the_database_knows_and_never_sees_the_password() {
    let server = server!();
    let log = Log::default();
    let _guard = log.capture();
    let backend = Backend::start().await;
    let memory: Arc<Mutex<Vec<u8>>> = Arc::default();
    let seen = Arc::clone(&memory);
    let gateway = TestGateway::builder()
        .database("customers", &login("app", PASSWORD, server.port()))
        .grants(GRANTS)
        .route("billing", &backend.url())
        .route(
            "customers-db",
            &format!("postgres://localhost:{}", server.port()),
        )
        .trusting(str::from_utf8(server.certificate()).unwrap())
        .observe_memory(move |bytes| seen.lock().unwrap().extend_from_slice(bytes))
        .inbound(
            "lookup-postgres",
            json!({ "of-header": "x-tenant", "result-header": "x-plan" }),
        )
        .build();

    assert_eq!(ask(&gateway, "acme").await.status, StatusCode::OK);
    let refused = ["initech", "acme' OR '1'='1", "'; DROP TABLE customers; --"];
    let mut answers = Vec::new();
    for tenant in refused {
        let answer = ask(&gateway, tenant).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{tenant}");
        answers.extend(answer.everything());
    }
    assert_eq!(ask(&gateway, "globex").await.status, StatusCode::OK);
    let received = backend.received();
    let plans = received.iter().map(|request| request.header("x-plan"));
    assert_eq!(plans.collect::<Vec<_>>(), [Some("gold"), Some("free")]);

    // Another password: the client is told nothing of it, and the operator its code.
    let actor = TestGateway::actor();
    let wrong = login("app", "not-the-password", server.port());
    let wrong = keyward::vault::Secret::read_from(wrong.as_bytes(), 4096).unwrap();
    let name = keyward::names::SecretName::parse("customers").unwrap();
    gateway.vault().rotate(&name, wrong, &actor).unwrap();
    let answer = ask(&gateway, "acme").await;
    assert!(answer.status.is_server_error());
    assert!(!answer.text().contains("28P01") && !answer.text().contains("password"));
    assert!(log.contains("28P01"), "the operator sees the code");
    answers.extend(answer.everything());

    let memory = memory.lock().unwrap();
    let holds = |bytes: &[u8], text: &str| String::from_utf8_lossy(bytes).contains(text);
    assert!(
        holds(&memory, "globex"),
        "control: the memory was looked at"
    );
    for (what, bytes) in [
        ("a guest's memory", &*memory),
        ("answers", &answers),
        ("the log", &log.bytes()),
        ("files", &gateway.files()),
    ] {
        assert!(!holds(bytes, PASSWORD), "{what}");
    }
}
