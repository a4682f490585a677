//! The recipe `vouch-for-user` in a gateway, before a backend that checks the token with
//! another library: attached by the host, and signed for the policy.

use bytes::Bytes;
use http::{Request, StatusCode};
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use keyward_tests::{Answer, Backend, TestGateway};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};

const KEY: &str = "the-key-of-the-client-acme-0123456789";

fn grants(returns: &str) -> String {
    format!(
        r#"
[[grant]]
id = "who"
policy = "require-client-key"
secret = "partners"
alias = "consumers"
use = "identify"
header = "x-api-key"

[[grant]]
id = "vouch"
policy = "vouch-for-user"
secret = "vouching"
alias = "vouching-key"
use = "jws-sign"
algorithm = "ES256"
issuer = "https://gateway.example"
audience = "https://orders.example"
subject-prefix = "consumer:"
claims = ["method"]
lifetime-seconds = 30
to = [{{ route = "orders", paths = ["/orders"] }}]
{returns}
"#
    )
}

/// A key of the gateway's, and a certificate of it: what is imported, and its public half.
fn key() -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "gateway");
    let certificate = params.self_signed(&key).unwrap();
    (format!("{}{}", certificate.pem(), key.serialize_pem()), key)
}

fn gateway(backend: &Backend, certificate: &str, returns: &str, settings: Value) -> TestGateway {
    TestGateway::builder()
        .client_keys("partners", &format!("acme = {KEY}\n"))
        .certificate("vouching", certificate)
        .grants(&grants(returns))
        .route("orders", &backend.url())
        .inbound("require-client-key", Value::Null)
        .inbound("vouch-for-user", settings)
        .build()
}

async fn post(gateway: &TestGateway, path: &str) -> Answer {
    let request = Request::post(path)
        .header("x-api-key", KEY)
        .header("authorization", "Bearer forged")
        .header("x-user", "root");
    gateway.send(request.body(Bytes::new()).unwrap()).await
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&["https://orders.example"]);
    validation.set_issuer(&["https://gateway.example"]);
    validation
}

/// What a backend that has the public key makes of a token.
fn checked(token: &str, key: &KeyPair) -> Result<Value, jsonwebtoken::errors::Error> {
    // An uncompressed point, after its first byte.
    let point = &key.public_key_raw()[1..];
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let (x, y) = point.split_at(32);
    let key = DecodingKey::from_ec_components(&text(x), &text(y))?;
    Ok(decode::<Value>(token, &key, &validation())?.claims)
}

fn assert_vouches(token: &str, key: &KeyPair) {
    let claims = checked(token, key).unwrap();
    assert_eq!(claims["sub"], "consumer:acme");
    assert_eq!(claims["method"], "POST");
    let (iat, exp) = (claims["iat"].as_i64(), claims["exp"].as_i64());
    assert_eq!(exp.unwrap() - iat.unwrap(), 30);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    let point = &key.public_key_raw()[1..];
    let text = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let (x, y) = point.split_at(32);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) });
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk).unwrap();
    let head = decode_header(token).unwrap();
    assert_eq!(head.kid, jwk.thumbprint(ThumbprintHash::SHA256).ok());
    // A control: another key's owner is not believed, nor a token that was changed.
    assert!(checked(token, &KeyPair::generate().unwrap()).is_err());
    let (start, end) = token.rsplit_once('.').unwrap();
    let (head, claims) = start.split_once('.').unwrap();
    let other = claims.replacen('e', "f", 1);
    assert!(checked(&format!("{head}.{other}.{end}"), key).is_err());
}

#[tokio::test]
async fn the_backend_believes_the_token_that_the_host_attached() {
    let backend = Backend::start().await;
    let (certificate, key) = key();
    let gateway = gateway(&backend, &certificate, "", json!({}));
    assert_eq!(post(&gateway, "/orders").await.status, StatusCode::OK);
    let sent = backend.received();
    let mut values = sent[0].headers.get_all("authorization").iter();
    let value = values.next().unwrap().to_str().unwrap();
    assert!(values.next().is_none(), "in place of the client's");
    assert_vouches(value.strip_prefix("Bearer ").unwrap(), &key);
    assert_eq!(sent[0].header("x-user"), Some("root"), "not this policy's");

    let refused = post(&gateway, "/admin").await.status;
    assert_eq!(refused, StatusCode::BAD_GATEWAY);
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn the_backend_believes_the_token_that_the_policy_was_given() {
    let backend = Backend::start().await;
    let (certificate, key) = key();
    let settings = json!({ "header": "x-user" });
    let gateway = gateway(&backend, &certificate, "returns = \"jws\"", settings);
    assert_eq!(post(&gateway, "/orders").await.status, StatusCode::OK);
    let sent = backend.received();
    let mut values = sent[0].headers.get_all("x-user").iter();
    let value = values.next().unwrap().to_str().unwrap().to_owned();
    assert!(values.next().is_none(), "in place of the client's");
    assert_vouches(&value, &key);
}

#[tokio::test]
async fn where_the_grant_returns_nothing_the_policy_gets_no_token() {
    let backend = Backend::start().await;
    let (certificate, _) = key();
    let gateway = gateway(&backend, &certificate, "", json!({ "header": "x-user" }));
    let answer = post(&gateway, "/orders").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert!(backend.received().is_empty());
}
