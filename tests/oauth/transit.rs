//! Clients whose keys never leave OpenBao: they sign assertions and show certificates to
//! an authorisation server of others' making, which checks both.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use keyward::names::SecretName;
use keyward::sources::Source;
use keyward::vault::{Cache, Origin, Secret};
use keyward_tests::{Backend, OpenBaoServer, TestGateway};
use serde_json::{Value, json};

use crate::evil::{Evil, good};
use crate::provider::Provider;
use crate::{PATH, POLICY, bearers, grant, status, trail};

const JWT: &str = "auth = \"private_key_jwt\"\nclient-id = \"orders\"";
const TLS: &str = "auth = \"tls_client_auth\"\nclient-id = \"orders\"";

/// Whether the user said that this machine can't have one of both servers.
fn is_left_out() -> bool {
    Provider::is_left_out() || OpenBaoServer::is_left_out()
}

/// A gateway whose client has that certificate, and OpenBao its key `orders`.
fn gateway(
    backend: &Backend,
    identity: (&str, &str),
    chain: &str,
    server: &OpenBaoServer,
    (more, settings): (&str, Value),
) -> TestGateway {
    let mut gateway = TestGateway::builder()
        .route("orders", &backend.url())
        .secure_route("identity", identity.0, identity.1)
        .inbound(POLICY, settings)
        .build();
    let origin = Origin {
        reference: "bao:orders".parse().unwrap(),
        cache: Cache::Remote,
    };
    let chain = Secret::read_from(chain.as_bytes(), 1 << 16).unwrap();
    let (name, actor) = (SecretName::parse("client").unwrap(), TestGateway::actor());
    let vault = gateway.vault();
    let added = vault.add_remote_certificate(&name, origin, &chain, &actor);
    added.unwrap();
    gateway.set_grants(&grant(more));
    let source: Arc<dyn Source> = Arc::new(server.source_of_root());
    let sources = BTreeMap::from([(source.name().clone(), source)]);
    gateway.keyward = gateway.keyward.with_sources(Arc::new(sources)).unwrap();
    gateway
}

/// What a client gets, once the server has answered in time: a busy machine may take
/// longer for its first answer.
async fn settled(gateway: &TestGateway) -> StatusCode {
    for _ in 0..8 {
        match status(gateway).await {
            StatusCode::SERVICE_UNAVAILABLE => {
                // For a second after a failure nobody is asked.
                tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            }
            other => return other,
        }
    }
    status(gateway).await
}

#[tokio::test]
async fn a_client_whose_key_never_leaves_openbao_signs_an_assertion() {
    if is_left_out() {
        return;
    }
    for (type_, alg) in [("ecdsa-p256", "ES256"), ("rsa-2048", "PS256")] {
        let server = OpenBaoServer::start().await;
        server.make_transit_key("orders", type_).await;
        let key = server.transit_key("orders", 1).await;
        let mut chain = String::new();
        let provider = Provider::start(60, |authority| {
            chain = authority.certify_key("orders", &key);
            vec![json!({
                "client_id": "orders",
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": alg,
                "jwks": { "keys": [key.jwk(alg)] },
                "scope": "orders.read",
            })]
        });
        let backend = Backend::start().await;
        let pem = provider.authority.pem();
        let identity = (provider.url.as_str(), pem.as_str());
        let settings = (JWT, Value::Null);
        let client = gateway(&backend, identity, &chain, &server, settings.clone());
        let said = settled(&client).await;
        assert_eq!(said, StatusCode::OK, "{alg} {}", provider.log());
        let sent = bearers(&backend);
        let token = sent[0].strip_prefix("Bearer ").unwrap();
        let said = provider.introspect(token).await;
        assert_eq!(said["client_id"], json!("orders"));

        // Rotated there, the certificate's version still signs.
        server.make_transit_key("orders", type_).await;
        let again = gateway(&backend, identity, &chain, &server, settings.clone());
        assert_eq!(settled(&again).await, StatusCode::OK, "{}", provider.log());
        // The new version is nobody whom the provider knows.
        let key = server.transit_key("orders", 2).await;
        let other = provider.authority.certify_key("orders", &key);
        let control = gateway(&backend, identity, &other, &server, settings);
        assert_eq!(settled(&control).await, StatusCode::BAD_GATEWAY);
        assert_eq!(backend.received().len(), 2);
    }
}

#[tokio::test]
async fn a_client_whose_key_never_leaves_openbao_shows_its_certificate() {
    if is_left_out() {
        return;
    }
    for type_ in ["ecdsa-p384", "rsa-2048"] {
        let server = OpenBaoServer::start().await;
        server.make_transit_key("orders", type_).await;
        let key = server.transit_key("orders", 1).await;
        let mut chain = String::new();
        let provider = Provider::start(60, |authority| {
            chain = authority.certify_key("orders.example", &key);
            vec![json!({
                "client_id": "orders",
                "token_endpoint_auth_method": "tls_client_auth",
                "tls_client_auth_san_dns": "orders.example",
                "tls_client_certificate_bound_access_tokens": true,
                "scope": "orders.read",
            })]
        });
        let backend = Backend::start().await;
        let pem = provider.authority.pem();
        let identity = (provider.url.as_str(), pem.as_str());
        let settings = (TLS, Value::Null);
        let client = gateway(&backend, identity, &chain, &server, settings.clone());
        let said = settled(&client).await;
        assert_eq!(said, StatusCode::OK, "{type_} {}", provider.log());
        let sent = bearers(&backend);
        let token = sent[0].strip_prefix("Bearer ").unwrap();
        let said = provider.introspect(token).await;
        assert_eq!(said["client_id"], json!("orders"));
        assert!(said["cnf"]["x5t#S256"].is_string(), "{said}");

        let other = provider.authority.certify_key("others.example", &key);
        let control = gateway(&backend, identity, &other, &server, settings);
        assert_eq!(settled(&control).await, StatusCode::BAD_GATEWAY);
    }
}

/// The fields of the form that a request carried.
fn form(request: &str) -> BTreeMap<String, String> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let fields = url::form_urlencoded::parse(body.as_bytes());
    fields.into_owned().collect()
}

#[tokio::test]
async fn on_behalf_of_a_client_the_assertion_is_signed_once_and_without_openbao_nothing_is_asked() {
    if OpenBaoServer::is_left_out() {
        return;
    }
    const TOKEN: &str = "the-token-of-the-exchange-0123456789";
    let server = OpenBaoServer::start().await;
    server.make_transit_key("orders", "ecdsa-p256").await;
    let key = server.transit_key("orders", 1).await;
    let chain = crate::authority::Authority::new().certify_key("orders", &key);
    let provider = Evil::start(TOKEN, Arc::new(|_, token| good(token, 60))).await;
    let backend = Backend::start().await;
    let identity = (provider.url.as_str(), provider.authority.as_str());
    let more = format!("{JWT}\nflow = \"jwt-bearer\"");
    let settings = json!({ "on-behalf-of": true });
    let client = gateway(&backend, identity, &chain, &server, (&more, settings));
    let ask = async |subject: &str| {
        let request = Request::get(PATH).header("authorization", format!("Bearer {subject}"));
        client
            .send(request.body(Bytes::new()).unwrap())
            .await
            .status
    };
    let mut said = ask("alice.alice.alice").await;
    if said == StatusCode::SERVICE_UNAVAILABLE {
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        said = ask("alice.alice.alice").await;
    }
    assert_eq!(said, StatusCode::OK);
    let requests = provider.requests();
    assert_eq!(requests.len(), 1);
    let fields = form(&requests[0]);
    let type_ = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    assert_eq!(fields["grant_type"], type_);
    assert_eq!(fields["assertion"], "alice.alice.alice");
    let type_ = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(fields["client_assertion_type"], type_);
    // As another implementation reads it, with what the server shows of its key.
    let jwk: Jwk = serde_json::from_value(key.jwk("ES256")).unwrap();
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[format!("{}/token", provider.url)]);
    rules.set_issuer(&["orders"]);
    let half = DecodingKey::from_jwk(&jwk).unwrap();
    let read = decode::<Value>(&fields["client_assertion"], &half, &rules).unwrap();
    assert_eq!(read.claims["sub"], "orders");
    let second = form(&requests[0])["client_assertion"].clone();
    assert!(!bearers(&backend)[0].contains(&second));

    // Without OpenBao the endpoint is not asked, and what failed is on record.
    server.seal().await;
    let said = ask("bob.bob.bob").await;
    assert_eq!(said, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(provider.requests().len(), 1);
    assert_eq!(backend.received().len(), 1);
    server.unseal().await;
    let uses = trail(client);
    let failed = uses.iter().filter(|(_, outcome)| outcome == "failed");
    assert_eq!(failed.count(), 1, "{uses:?}");
}
