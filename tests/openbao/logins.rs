//! How a source logs in, and what it does when its token or its permission goes.

use std::time::{Duration, Instant};

use http::Method;
use keyward::sources::openbao::OpenBaoAuth;
use keyward::sources::{IdentityError, Source as _, SourceError};
use keyward_tests::{Backend, OpenBaoServer};
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};

use crate::{outcome, server, tokens};

const VALUE: &str = "9b1f64a07c2e5d83f0a4719ce2b85d36";
/// How long a test waits for what happens in the background.
const PATIENCE: Duration = Duration::from_secs(20);
const READ: &[(&str, &str)] = &[("secret/data/stripe", "read")];

async fn app_role(server: &OpenBaoServer, more: Value) -> OpenBaoAuth {
    server.put("stripe", &json!({ "key": VALUE })).await;
    server.policy("reader", READ).await;
    OpenBaoAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: server.app_role(&["reader"], more).await,
        secret_id_file: server.secret_id().await,
        wrapped: false,
    }
}

fn refused() -> Result<String, SourceError> {
    Err(SourceError::Identity(IdentityError::LoginRefused))
}

#[tokio::test]
async fn one_login_of_an_app_role_serves_many_fetches_at_once() {
    let server = server!();
    let source = server.source(app_role(&server, json!({})).await);
    let before = tokens(&server).await;
    let fetches = (0..16).map(|_| source.fetch("stripe"));
    for fetched in futures_util::future::join_all(fetches).await {
        assert!(fetched.is_ok());
    }
    assert_eq!(tokens(&server).await, before + 1);
    let other = source.fetch("other").await;
    assert_eq!(outcome(other), Err(SourceError::Denied { firewall: false }));
}

#[tokio::test]
async fn a_secret_id_that_is_not_the_roles_is_refused_and_a_new_one_in_the_file_is_taken() {
    let server = server!();
    let source = server.source(app_role(&server, json!({})).await);
    server.file("secret-id", "00000000-0000-0000-0000-000000000000");
    assert_eq!(outcome(source.fetch("stripe").await), refused());
    server.secret_id().await;
    assert!(source.fetch("stripe").await.is_ok());
}

#[tokio::test]
async fn a_wrapped_secret_id_is_taken_out_once() {
    let server = server!();
    let OpenBaoAuth::AppRole { role_id, .. } = app_role(&server, json!({})).await else {
        unreachable!("it is an app role's");
    };
    let wrapped = |token: &str| OpenBaoAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: role_id.clone(),
        secret_id_file: server.file("wrapped", token),
        wrapped: true,
    };
    let token = wrap(&server, "auth/approle/role/keyward/secret-id").await;
    let source = server.source(wrapped(&token));
    assert!(source.fetch("stripe").await.is_ok());
    // It logs in again with what it took out.
    server
        .write(
            "sys/leases/revoke-prefix/auth/approle",
            &json!({ "sync": true }),
        )
        .await;
    assert!(fetches_soon(&source).await);
    // Another one finds it used: that is how a theft shows.
    let thief = server.source(wrapped(&token));
    assert_eq!(outcome(thief.fetch("stripe").await), refused());
    // What somebody else has wrapped is not taken for a secret id.
    let token = wrap(&server, "sys/wrapping/wrap").await;
    let misled = server.source(wrapped(&token));
    let expected = Err(SourceError::Identity(IdentityError::WrongToken));
    assert_eq!(outcome(misled.fetch("stripe").await), expected);
}

/// What a path answers, wrapped.
async fn wrap(server: &OpenBaoServer, path: &str) -> String {
    let answer = server
        .wrapped(path, &json!({ "secret_id": "of-somebody-else" }))
        .await;
    answer["wrap_info"]["token"].as_str().unwrap().to_owned()
}

/// Whether a fetch works within some seconds: what is revoked goes in the background.
async fn fetches_soon(source: &dyn keyward::sources::Source) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if source.fetch("stripe").await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let server = server!();
    let auth = app_role(&server, json!({ "token_ttl": "3s", "token_max_ttl": "1h" })).await;
    let source = server.source(auth);
    assert!(source.fetch("stripe").await.is_ok());
    let tokens_before = tokens(&server).await;
    // For longer than one lease, and never with another token.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        assert!(source.fetch("stripe").await.is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(tokens(&server).await, tokens_before);
}

#[tokio::test]
async fn a_token_that_can_not_be_renewed_any_more_is_replaced_before_a_fetch_fails() {
    let server = server!();
    let auth = app_role(&server, json!({ "token_ttl": "2s", "token_max_ttl": "2s" })).await;
    let source = server.source(auth);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        assert!(source.fetch("stripe").await.is_ok());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_permission_that_is_gone_denies_without_another_login() {
    let server = server!();
    let source = server.source(app_role(&server, json!({})).await);
    assert!(source.fetch("stripe").await.is_ok());
    server
        .policy("reader", &[("secret/data/stripe", "deny")])
        .await;
    let before = tokens(&server).await;
    let denied = Err(SourceError::Denied { firewall: false });
    for _ in 0..3 {
        assert_eq!(outcome(source.fetch("stripe").await), denied);
    }
    assert_eq!(tokens(&server).await, before);
    server.policy("reader", READ).await;
    assert!(source.fetch("stripe").await.is_ok());
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_replaced() {
    let server = server!();
    let source = server.source(app_role(&server, json!({})).await);
    assert!(source.fetch("stripe").await.is_ok());
    let before = tokens(&server).await;
    let now = json!({ "sync": true });
    server
        .write("sys/leases/revoke-prefix/auth/approle", &now)
        .await;
    let start = Instant::now();
    while tokens(&server).await == before {
        assert!(start.elapsed() < PATIENCE, "it was not taken back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(fetches_soon(&source).await);
    assert_eq!(tokens(&server).await, before);
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes() {
    let server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    let file = server.file("token", "s.aaaaaaaaaaaaaaaaaaaaaaaa");
    let source = server.source(OpenBaoAuth::TokenFile { file: file.clone() });
    let fetched = outcome(source.fetch("stripe").await);
    assert_eq!(fetched, Err(SourceError::Unauthenticated));
    server.policy("reader", READ).await;
    let made = server
        .write(
            "auth/token/create",
            &json!({ "policies": ["reader"], "ttl": "1h" }),
        )
        .await;
    server.file("token", made["auth"]["client_token"].as_str().unwrap());
    assert!(source.fetch("stripe").await.is_ok());
    // A file that others may write, or that isn't there, is nobody's token.
    use std::os::unix::fs::PermissionsExt as _;
    server.file("token", server.root());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let unusable = Err(SourceError::Identity(IdentityError::CredentialFile));
    assert_eq!(outcome(source.fetch("stripe").await), unusable);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(outcome(source.fetch("stripe").await), unusable);
}

/// A JWT (RFC 7519) signed with Ed25519, whatever it says of itself, and the key that
/// checks it.
fn jwt(algorithm: &str, mut claims: Value) -> (String, String) {
    use data_encoding::BASE64URL_NOPAD;
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let head = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
    let head = BASE64URL_NOPAD.encode(head.as_bytes());
    claims["nbf"] = json!(1_700_000_000);
    claims["exp"] = json!(4_000_000_000u64);
    let body = BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
    let signed = format!("{head}.{body}");
    let signature = BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes()).unwrap());
    (format!("{signed}.{signature}"), key.public_key_pem())
}

#[tokio::test]
async fn a_jwt_logs_in_as_its_role() {
    let server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    server.policy("reader", READ).await;
    let claims = json!({ "sub": "gateway", "aud": "bao", "iss": "tests" });
    let (token, public) = jwt("EdDSA", claims.clone());
    server
        .write("sys/auth/jwt", &json!({ "type": "jwt" }))
        .await;
    let config = json!({
        "jwt_validation_pubkeys": [public], "jwt_supported_algs": ["EdDSA"],
        "bound_issuer": "tests",
    });
    server.write("auth/jwt/config", &config).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["bao"],
        "bound_subject": "gateway", "token_policies": ["reader"],
    });
    server.write("auth/jwt/role/keyward", &role).await;
    let auth = |role: &str| OpenBaoAuth::Jwt {
        mount: "jwt".to_owned(),
        role: role.to_owned(),
        token_file: server.file("jwt", &token),
    };
    assert!(server.source(auth("keyward")).fetch("stripe").await.is_ok());
    let other = server.source(auth("other")).fetch("stripe").await;
    assert_eq!(outcome(other), refused());
    let (forged, _) = jwt("EdDSA", claims);
    let source = server.source(auth("keyward"));
    server.file("jwt", &forged);
    assert_eq!(outcome(source.fetch("stripe").await), refused());
}

#[tokio::test]
async fn a_pods_service_account_logs_in_as_its_role() {
    let server = server!();
    server.put("stripe", &json!({ "key": VALUE })).await;
    server.policy("reader", READ).await;
    // Kubernetes, as far as OpenBao asks it: whose token is this?
    let account = "system:serviceaccount:gateways:keyward";
    let cluster = Backend::answering(move |_| {
        let review = json!({
            "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
            "status": {
                "authenticated": true, "audiences": ["bao"],
                "user": { "username": account, "uid": "1f1a", "groups": [] },
            },
        });
        http::Response::new(http_body_util::Full::new(review.to_string().into()))
    })
    .await;
    server
        .write("sys/auth/kubernetes", &json!({ "type": "kubernetes" }))
        .await;
    let config = json!({
        "kubernetes_host": cluster.url(), "token_reviewer_jwt": "reviewer",
        "disable_local_ca_jwt": true,
        "kubernetes_ca_cert": String::from_utf8_lossy(server.certificate()),
    });
    server.write("auth/kubernetes/config", &config).await;
    let role = json!({
        "bound_service_account_names": ["keyward"],
        "bound_service_account_namespaces": ["gateways"], "token_policies": ["reader"],
    });
    server.write("auth/kubernetes/role/keyward", &role).await;
    // Which it alone can check.
    let (token, _) = jwt(
        "ES256",
        json!({
            "sub": account, "aud": ["bao"], "iss": "kubernetes/serviceaccount",
            "kubernetes.io": {
                "namespace": "gateways", "serviceaccount": { "name": "keyward", "uid": "1f1a" },
            },
        }),
    );
    let auth = |role: &str| OpenBaoAuth::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: role.to_owned(),
        token_file: server.file("service-account", &token),
    };
    let fetched = server.source(auth("keyward")).fetch("stripe").await;
    assert!(outcome(fetched).is_ok());
    assert!(!cluster.received().is_empty(), "the cluster was asked");
    let other = server.source(auth("other")).fetch("stripe").await;
    assert_eq!(outcome(other), refused());
    let (status, _) = server
        .ask(Method::DELETE, "auth/kubernetes/role/keyward", None)
        .await;
    assert!(status.is_success());
}
