//! A gateway whose `[sources]` names the server: what is put into the server is what
//! backends are sent.

use http::StatusCode;
use keyward::sources::refresh::Freshness;
use keyward_tests::{Served, is_in_a_file};
use serde_json::json;

use crate::server;

const FIRST: &str = "sk-live-9b1f64a07c2e5d83f0a4719ce2b85d36";
const SECOND: &str = "sk-live-47f08b9e1c6a5d2f3e7b40819acd5f26";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_into_the_server_is_what_backends_are_sent_without_a_restart() {
    let server = server!();
    server
        .policy("reader", &[("secret/data/stripe", "read")])
        .await;
    let role = server.app_role(&["reader"], json!({})).await;
    let secret_id = server.secret_id().await;
    server.put("stripe", &json!({ "key": FIRST })).await;
    let sources = format!(
        r#"
[sources.bao]
kind = "openbao"
address = "{}"
networks = ["127.0.0.0/8", "::1/128"]
ca-file = "ca.pem"
refresh = "1s"
auth = {{ method = "approle", role-id = "{role}", secret-id-file = "{}" }}
"#,
        server.address(),
        secret_id.display()
    );
    let served = Served::start(&sources, server.certificate(), "bao:stripe#key").await;
    // Ready means that the server was asked: the first request has the value.
    assert_eq!(
        served.send().await,
        (StatusCode::OK, Some(FIRST.to_owned()))
    );
    server.put("stripe", &json!({ "key": SECOND })).await;
    assert_eq!(served.send_until_it_is_not(FIRST).await, SECOND);
    let report = served.gateway.refresher().secret(&Served::secret());
    assert_eq!(report.unwrap().freshness, Freshness::Fresh);

    // Sealed, it gives nothing, and what it gave is used on.
    server.seal().await;
    for _ in 0..3 {
        let sent = served.send().await;
        assert_eq!(sent, (StatusCode::OK, Some(SECOND.to_owned())));
    }
    server.unseal().await;
    server.put("stripe", &json!({ "key": FIRST })).await;
    assert_eq!(served.send_until_it_is_not(SECOND).await, FIRST);
    let folder = served.stop().await;
    for value in [FIRST, SECOND] {
        assert!(!is_in_a_file(folder.path(), value));
    }
    std::fs::write(folder.path().join("note"), FIRST).unwrap();
    assert!(is_in_a_file(folder.path(), FIRST), "control");
}
