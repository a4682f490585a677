//! Tokens: from a real authorisation server of others' making, from an evil one, and
//! what is kept of them.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod authority;
mod behalf;
mod disabled;
mod evil;
mod keeping;
mod provider;
mod real;
mod rotation;
mod send;
mod transit;

use http::StatusCode;
use keyward::vault::Kind;
use keyward_tests::{Backend, Builder, TestGateway};
use serde_json::{Value, json};

/// What a client of the gateway asks for.
const PATH: &str = "/v1/orders";
const POLICY: &str = "oauth2-client-credentials";

/// A grant of `token` at `/token` of the route `identity`, with more of it.
fn grant(more: &str) -> String {
    format!(
        "[[grant]]\nid = \"token\"\npolicy = \"{POLICY}\"\nsecret = \"client\"\n\
         alias = \"oauth-client\"\nuse = \"token\"\n\
         endpoint = {{ route = \"identity\", path = \"/token\" }}\n\
         to = [{{ route = \"orders\", paths = [\"{PATH}\"] }}]\n{more}\n"
    )
}

/// A gateway before a backend, with a client of an identity provider.
fn gateway(
    backend: &Backend,
    identity: (&str, &str),
    id: &str,
    secret: &str,
    more: &str,
) -> Builder {
    let client = json!({ "client_id": id, "client_secret": secret }).to_string();
    TestGateway::builder()
        .secret("client", Kind::OauthClient, &client)
        .route("orders", &backend.url())
        .secure_route("identity", identity.0, identity.1)
        .inbound(POLICY, Value::Null)
        .grants(&grant(more))
}

/// What the backend was sent as `authorization`, in order.
fn bearers(backend: &Backend) -> Vec<String> {
    let received = backend.received();
    let sent = received.iter().map(|request| {
        let mut values = request.headers.get_all("authorization").iter();
        let value = values.next().unwrap().to_str().unwrap().to_owned();
        assert!(values.next().is_none());
        value
    });
    sent.collect()
}

/// What a gateway's audit trail says of tokens: the route and the outcome of each use,
/// each as often as it was.
fn trail(gateway: TestGateway) -> Vec<(String, String)> {
    let directory = gateway.close();
    let records = keyward::vault::read_records(&directory.path().join("audit"));
    let mut uses = Vec::new();
    for record in records {
        let record: Value = serde_json::from_str(&record.unwrap().to_string()).unwrap();
        for one in record["uses"].as_array().into_iter().flatten() {
            if one["use"] == "token" {
                let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
                uses.push((word("route"), word("outcome")));
            }
        }
    }
    uses
}

async fn status(gateway: &TestGateway) -> StatusCode {
    gateway.get(PATH).await.status
}
