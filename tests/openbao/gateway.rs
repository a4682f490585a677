//! Through whole gateways: rotation in the server while requests run, and policies
//! whose key never leaves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::{Method, Request, StatusCode};
use keyward::engine::Phase;
use keyward::names::{SecretName, SourceName};
use keyward::sources::Source;
use keyward::sources::openbao::OpenBao;
use keyward::vault::{
    Cache, KeyEncoding, Kind, MacAlgorithm, Origin, Receipt, Received, Reference, SourceVersion,
};
use keyward_tests::{ATTACH_GRANT, Backend, Builder, OpenBaoServer, TestGateway};
use serde_json::{Value, json};

use crate::{code_of, server};

const BODY: &[u8] = b"{\"action\":\"opened\"}";
const FIRST: &str = "sk-live-9b1f64a07c2e5d83f0a4719ce2b85d36";
const SECOND: &str = "sk-live-47f08b9e1c6a5d2f3e7b40819acd5f26";

const MAC_GRANTS: &str = r#"
[[grant]]
id = "make"
policy = "sign-body"
secret = "remote-key"
alias = "signing-key"
use = "mac-sign"

[[grant]]
id = "check"
policy = "github-webhook"
secret = "remote-key"
alias = "webhook-key"
use = "mac-verify"
"#;

fn reference(key: &str) -> Reference {
    Reference::new(SourceName::parse("bao").unwrap(), key).unwrap()
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

/// A gateway whose secret `remote-key` is the server's transit key `webhook`.
pub(crate) async fn remote(
    server: &OpenBaoServer,
    builder: Builder,
    source: OpenBao,
) -> TestGateway {
    let key = json!({ "type": "hmac", "key_size": 32 });
    server.write("transit/keys/webhook", &key).await;
    let mut gateway = builder.build();
    let kind = Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding: KeyEncoding::Raw,
    };
    let origin = Origin {
        reference: reference("webhook"),
        cache: Cache::Remote,
    };
    let actor = TestGateway::actor();
    let vault = gateway.vault();
    let added = vault.add_sourced(&name("remote-key"), kind, origin, &actor);
    // There is no version that could hold a value.
    assert!(added.unwrap().versions.is_empty());
    gateway.set_grants(MAC_GRANTS);
    let source: Arc<dyn Source> = Arc::new(source);
    let sources = BTreeMap::from([(source.name().clone(), source)]);
    gateway.keyward = gateway.keyward.with_sources(Arc::new(sources)).unwrap();
    gateway
}

fn signs(backend: &Backend) -> Builder {
    TestGateway::builder()
        .route("billing", &backend.url())
        .policy(
            &[Phase::Backend],
            "sign-body",
            "sign-body",
            Value::Null,
            &[],
        )
}

fn checks(backend: &Backend) -> Builder {
    TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("github-webhook", Value::Null)
}

async fn post(gateway: &TestGateway, signature: Option<&str>) -> StatusCode {
    let mut request = Request::post("/events");
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    let body = Bytes::from_static(BODY);
    gateway.send(request.body(body).unwrap()).await.status
}

#[tokio::test]
async fn a_policy_signs_with_a_key_that_never_leaves_the_server() {
    let server = server!();
    let backend = Backend::start().await;
    let gateway = remote(&server, signs(&backend), server.source_of_root()).await;
    // The server gives it to nobody, whatever they may do.
    let export = "transit/export/hmac-key/webhook";
    let (status, _) = server.ask(Method::GET, export, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    assert_eq!(post(&gateway, None).await, StatusCode::OK);
    let received = &backend.received()[0];
    let code = received.header("x-signature").unwrap().to_owned();
    let code = HEXLOWER
        .decode(code.strip_prefix("sha256=").unwrap().as_bytes())
        .unwrap();
    // The server says that it is its own code, of this body.
    let verified = |body: &[u8]| {
        let (input, code) = (
            data_encoding::BASE64.encode(body),
            data_encoding::BASE64.encode(&code),
        );
        json!({ "input": input, "hmac": format!("vault:v1:{code}") })
    };
    let path = "transit/verify/webhook/sha2-256";
    let answer = server.write(path, &verified(BODY)).await;
    assert_eq!(answer["data"]["valid"], json!(true));
    let answer = server.write(path, &verified(b"other")).await;
    assert_eq!(answer["data"]["valid"], json!(false), "control");
}

#[tokio::test]
async fn a_policy_has_codes_checked_by_the_server() {
    let server = server!();
    let backend = Backend::start().await;
    let gateway = remote(&server, checks(&backend), server.source_of_root()).await;
    let source = server.source_of_root();
    let keys = source.remote_keys().unwrap();
    let code = keys
        .hmac("webhook", MacAlgorithm::Sha256, BODY)
        .await
        .unwrap();
    let signature = format!("sha256={}", HEXLOWER.encode(&code));
    assert_eq!(post(&gateway, Some(&signature)).await, StatusCode::OK);
    let forged = format!("sha256={}", HEXLOWER.encode(&code_of(b"another key", BODY)));
    assert_eq!(
        post(&gateway, Some(&forged)).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        post(&gateway, Some("sha256=00")).await,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn without_the_server_or_the_permission_nothing_is_signed_and_nothing_leaves() {
    let server = server!();
    server
        .policy("signer", &[("transit/hmac/webhook/*", "update")])
        .await;
    let made = server
        .write(
            "auth/token/create",
            &json!({ "policies": ["signer"], "ttl": "1h" }),
        )
        .await;
    let file = server.file("token", made["auth"]["client_token"].as_str().unwrap());
    let auth = keyward::sources::openbao::OpenBaoAuth::TokenFile { file };
    let backend = Backend::start().await;
    let gateway = remote(&server, signs(&backend), server.source(auth)).await;
    assert_eq!(post(&gateway, None).await, StatusCode::OK, "control");

    server
        .policy("signer", &[("transit/hmac/webhook/*", "deny")])
        .await;
    let refused = post(&gateway, None).await;
    assert!(refused.is_server_error(), "{refused}");
    server
        .policy("signer", &[("transit/hmac/webhook/*", "update")])
        .await;
    assert_eq!(post(&gateway, None).await, StatusCode::OK);
    server.seal().await;
    let refused = post(&gateway, None).await;
    assert!(refused.is_server_error(), "{refused}");
    server.unseal().await;
    assert_eq!(post(&gateway, None).await, StatusCode::OK);
    assert_eq!(
        backend.received().len(),
        3,
        "what was not signed was not sent"
    );
}

#[tokio::test]
async fn nothing_is_asked_of_the_server_before_the_use_is_on_record() {
    let server = server!();
    let backend = Backend::start().await;
    let builder = signs(&backend).controlled_disk();
    let gateway = remote(&server, builder, server.source_of_root()).await;
    assert_eq!(post(&gateway, None).await, StatusCode::OK, "control");
    // Each request that reaches the server from here on counts.
    let quota = json!({ "path": "transit", "rate": 1, "interval": "1h" });
    server.write("sys/quotas/rate-limit/one", &quota).await;
    gateway.disk().fail();
    let refused = post(&gateway, None).await;
    assert!(refused.is_server_error(), "{refused}");
    let path = "transit/hmac/webhook/sha2-256";
    let message = json!({ "input": "" });
    let (status, _) = server.ask(Method::POST, path, Some(&message)).await;
    assert_eq!(status, StatusCode::OK, "nobody has asked");
    let (status, _) = server.ask(Method::POST, path, Some(&message)).await;
    assert_eq!(
        status,
        StatusCode::TOO_MANY_REQUESTS,
        "control: one request is counted"
    );
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn a_value_that_is_put_into_the_server_is_attached_from_the_next_fetch_on() {
    let server = server!();
    let backend = Backend::start().await;
    let gateway = TestGateway::builder()
        .route("billing", &backend.url())
        .inbound("attach-api-key", json!({}))
        .build();
    let secret = name("billing-key");
    let origin = Origin {
        reference: reference("stripe#key"),
        cache: Cache::Memory,
    };
    let actor = TestGateway::actor();
    gateway
        .vault()
        .add_sourced(&secret, Kind::ApiKey, origin, &actor)
        .unwrap();
    gateway.set_grants(ATTACH_GRANT);
    let unavailable = gateway.get("/v1/charges").await.status;
    assert!(unavailable.is_server_error(), "{unavailable}");

    let source = server.source_of_root();
    let mut versions = Vec::new();
    for value in [FIRST, FIRST, SECOND] {
        server.put("stripe", &json!({ "key": value })).await;
        versions.push(fetch(&gateway, &source, &secret).await);
        let answer = gateway.get("/v1/charges").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let received = backend.received();
        let attached = received.last().unwrap().header("x-api-key");
        assert_eq!(attached, Some(value));
    }
    assert_eq!(versions[0], 1);
    assert!(versions[2] > versions[0]);
    // Nothing of a value is in a file.
    let files = gateway.files();
    for value in [FIRST, SECOND] {
        let found = files
            .windows(value.len())
            .any(|part| part == value.as_bytes());
        assert!(!found);
    }
}

/// Fetches once, as the refresher does, and returns the version's number.
async fn fetch(gateway: &TestGateway, source: &OpenBao, secret: &SecretName) -> u64 {
    let fetched = source.fetch("stripe#key").await;
    let fetched = fetched.unwrap_or_else(|error| panic!("{error}"));
    let received = Received {
        reference: reference("stripe#key"),
        value: fetched.value,
        source_version: fetched.version.as_str().parse::<SourceVersion>().unwrap(),
        validity: fetched.validity,
        enabled: fetched.enabled,
    };
    let actor = TestGateway::actor();
    match gateway.vault().receive(secret, received, &actor).unwrap() {
        Receipt::NewVersion(info) | Receipt::BackInUse(info) => info.version,
        Receipt::Unchanged => gateway.vault().info(secret).unwrap().version,
        Receipt::Disabled(_) => panic!("it is enabled"),
    }
}
