//! Requests that are signed with a key that never leaves the server.

use bytes::Bytes;
use http::{Request, StatusCode};
use keyward_tests::{Backend, Received, TestGateway};
use serde_json::json;

use crate::gateway::remote;
use crate::server;

const SIGN_GRANT: &str = r#"
[[grant]]
id = "sign"
policy = "sign-request"
secret = "remote-key"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/refunds"] }]
"#;

/// The text that RFC 9421 has signed, from what the backend received.
fn signature_base(received: &Received, authority: &str) -> String {
    let input = received.header("signature-input").unwrap();
    let (_, params) = input.split_once('=').unwrap();
    let list = params.trim_start_matches('(').split_once(')').unwrap().0;
    let (method, target) = received.target.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut base = String::new();
    for component in list.split(' ') {
        let value = match component.trim_matches('"') {
            "@method" => method.to_owned(),
            "@authority" => authority.to_owned(),
            "@path" => path.to_owned(),
            "@query" => format!("?{query}"),
            header => received.header(header).unwrap().to_owned(),
        };
        base.push_str(&format!("{component}: {value}\n"));
    }
    base + &format!("\"@signature-params\": {params}")
}

#[tokio::test]
async fn a_request_is_signed_by_a_key_that_never_leaves_the_server() {
    let server = server!();
    let backend = Backend::start().await;
    let builder = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("sign-request", json!({}));
    let gateway = remote(&server, builder, server.source_of_root()).await;
    gateway.set_grants(SIGN_GRANT);
    let send = async |amount: &'static str| {
        let request = Request::post("/v1/refunds?limit=2");
        let request = request.body(Bytes::from_static(amount.as_bytes())).unwrap();
        gateway.send(request).await.status
    };
    assert_eq!(send("amount=5").await, StatusCode::OK);
    // The key is rotated there, and no one here has to know.
    let none = json!({});
    server.write("transit/keys/webhook/rotate", &none).await;
    assert_eq!(send("amount=6").await, StatusCode::OK);

    let authority = backend.url().trim_start_matches("http://").to_owned();
    let path = "transit/verify/webhook/sha2-256";
    for (received, version) in backend.received().iter().zip([1, 2]) {
        let signature = received.header("signature").unwrap();
        let code = signature.split_once("=:").unwrap().1.trim_end_matches(':');
        let verified = async |base: &str, version: u32| {
            let input = data_encoding::BASE64.encode(base.as_bytes());
            let hmac = format!("vault:v{version}:{code}");
            let asked = json!({ "input": input, "hmac": hmac });
            server.write(path, &asked).await["data"]["valid"] == json!(true)
        };
        let base = signature_base(received, &authority);
        assert!(verified(&base, version).await, "{base}");
        assert!(
            !verified(&base, 3 - version).await,
            "one version and no other"
        );
        let other = base.replace("POST", "PUT");
        assert!(!verified(&other, version).await, "control");
    }

    server.seal().await;
    assert_eq!(send("amount=7").await, StatusCode::SERVICE_UNAVAILABLE);
    server.unseal().await;
    assert_eq!(send("amount=8").await, StatusCode::OK);
    assert_eq!(
        backend.received().len(),
        3,
        "what was not signed was not sent"
    );
}
