use http::{Request, StatusCode};
use keyward::vault::Kind;
use keyward_tests::{Backend, TestGateway};
use serde_json::json;

const PASSWORD: &str = "correct-horse-battery";

const GRANTS: &str = r#"
[[grant]]
id = "basic"
policy = "basic-auth"
secret = "orders-login"
alias = "login"
use = "attach"
header = "authorization"
template = "Basic {secret}"
to = [{ route = "orders", methods = ["GET"], paths = ["/v1/orders"] }]

[[grant]]
id = "form"
policy = "basic-auth"
secret = "orders-login"
alias = "form"
use = "attach"
form = { username = "{user}", password = "{password}", scope = "{scope}" }
holes = { scope = "text" }
to = [{ route = "orders", methods = ["POST"], paths = ["/login"] }]

[[grant]]
id = "query"
policy = "basic-auth"
secret = "orders-login"
alias = "query"
use = "attach"
query = "password"
template = "{password}"
to = [{ route = "orders", methods = ["GET"], paths = ["/v1/orders"] }]
"#;

fn gateway(backend: &Backend, settings: serde_json::Value) -> TestGateway {
    TestGateway::builder()
        .secret("orders-login", Kind::Basic, &format!("alice:{PASSWORD}"))
        .grants(GRANTS)
        .route("orders", &backend.url())
        .inbound("basic-auth", settings)
        .build()
}

#[tokio::test]
async fn logs_in_with_the_base64_of_user_and_password() {
    let backend = Backend::start().await;
    let gateway = gateway(&backend, json!({}));
    let request = Request::get("/v1/orders")
        .header("authorization", "Basic bWU6bWluZQ==")
        .body(bytes::Bytes::new())
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    let received = &backend.received()[0];
    let encoded = data_encoding::BASE64.encode(format!("alice:{PASSWORD}").as_bytes());
    let expected = format!("Basic {encoded}");
    assert_eq!(received.header("authorization"), Some(expected.as_str()));
}

#[tokio::test]
async fn has_the_host_write_the_whole_body_and_its_headers() {
    let backend = Backend::start().await;
    let settings = json!({ "alias": "form", "holes": { "scope": "x-scope" } });
    let gateway = gateway(&backend, settings);
    let request = Request::post("/login")
        .header("content-type", "text/plain")
        .header("x-scope", "read&admin=1")
        .body(bytes::Bytes::from_static(b"password={password}"))
        .unwrap();
    assert_eq!(gateway.send(request).await.status, StatusCode::OK);
    let received = &backend.received()[0];
    let body = format!("password={PASSWORD}&scope=read%26admin%3D1&username=alice");
    assert_eq!(received.body, body.as_bytes());
    let header = |name| received.header(name);
    assert_eq!(
        header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header("content-length"), Some(&*body.len().to_string()));
}

#[tokio::test]
async fn a_parameter_of_the_query_reaches_the_backend_and_no_client() {
    let backend = Backend::start().await;
    let gateway = gateway(&backend, json!({ "alias": "query" }));
    let answer = gateway.get("/v1/orders?a=1&password=mine").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.text().contains(PASSWORD));
    let received = backend.received()[0].everything();
    let received = String::from_utf8_lossy(&received).into_owned();
    assert!(
        received.contains(&format!("/v1/orders?a=1&password={PASSWORD}")),
        "{received}"
    );
}
