//! What needs no database. With one: `tests/database/policy.rs`.

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

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
sql = "SELECT plan FROM customers WHERE name = $1"
parameters = ["text"]
"#;

#[tokio::test]
async fn while_the_database_is_away_nobody_passes() {
    let backend = Backend::start().await;
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    let gateway = TestGateway::builder()
        .database(
            "customers",
            &format!("postgres://app:correct-horse-1@localhost:{port}/shop"),
        )
        .grants(GRANTS)
        .route("billing", &backend.url())
        .route("customers-db", &format!("postgres://localhost:{port}"))
        .inbound("lookup-postgres", json!({ "of-header": "x-tenant" }))
        .build();
    let ask = async |tenant: Option<&str>| {
        let mut request = Request::get("/");
        if let Some(tenant) = tenant {
            request = request.header("x-tenant", tenant);
        }
        gateway.send(request.body(Bytes::new()).unwrap()).await
    };
    let answer = ask(Some("acme")).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    let text = answer.text();
    assert!(!text.contains("correct-horse") && !text.contains("localhost"));
    // Who names nobody is refused without a query.
    assert_eq!(ask(None).await.status, StatusCode::FORBIDDEN);
    assert_eq!(backend.received().len(), 0);
}
