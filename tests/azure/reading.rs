//! Secrets are read as they are in the vault, and what goes wrong is told apart.

use std::time::Duration;

use keyward::names::SecretName;
use keyward::sources::{ContentType, Source as _, SourceError, Unreachable};
use keyward::vault::Kind;
use keyward_tests::key_vault::{Azure, Challenge, Place, TENANT};
use keyward_tests::{Backend, Canary, Log, TestGateway};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{machine, vault, vault_with, version};

const GRANT: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges/{id}"] }]
"#;

#[tokio::test]
async fn a_name_reads_the_newest_version_and_a_version_stays_what_it_is() {
    let azure = Azure::start();
    let first = azure.change(|state| state.set("stripe-key", "sk_live_first"));
    let vault = vault(&azure);
    assert_eq!(version(&vault, "stripe-key").await, Ok(first.clone()));
    let second = azure.change(|state| state.set("stripe-key", "sk_live_second"));
    assert_eq!(version(&vault, "stripe-key").await, Ok(second));
    let pinned = format!("stripe-key/{first}");
    assert_eq!(version(&vault, &pinned).await, Ok(first));
}

#[tokio::test]
async fn a_value_arrives_as_it_is() {
    let azure = Azure::start();
    let backend = Backend::start().await;
    // With what JSON has to escape.
    let value = "sk_live_\\\"quoted\"/<&>0123456789";
    azure.change(|state| state.set("stripe-key", value));
    let gateway = TestGateway::builder()
        .api_key("billing-key", Canary::new().text())
        .grants(GRANT)
        .route("billing", &backend.url())
        .inbound("attach-api-key", serde_json::json!({}))
        .build();
    let fetched = vault(&azure).fetch("stripe-key").await.unwrap();
    let name = SecretName::parse("billing-key").unwrap();
    let actor = TestGateway::actor();
    gateway
        .vault()
        .rotate(&name, fetched.value, &actor)
        .unwrap();
    gateway.get("/v1/charges/7").await;
    let received = backend.received().pop().unwrap();
    assert_eq!(received.header("x-api-key"), Some(value));
}

#[tokio::test]
async fn dates_content_type_and_being_disabled_are_told() {
    let azure = Azure::start();
    azure.change(|state| {
        state.set_typed("tls", "MIIK", Some("application/x-pkcs12"));
        let stored = state.newest("tls");
        stored.not_before = Some(1_000);
        stored.expires = Some(2_000);
        state.set("off", "sk_live_0123");
        state.newest("off").enabled = false;
    });
    let vault = vault(&azure);
    let fetched = vault.fetch("tls").await.unwrap();
    assert_eq!(fetched.content_type, Some(ContentType::Pkcs12));
    let validity = fetched.validity;
    assert_eq!(validity.not_before.unwrap().as_second(), 1_000);
    assert_eq!(validity.not_after.unwrap().as_second(), 2_000);
    assert_eq!(version(&vault, "off").await, Err(SourceError::Disabled));
}

#[tokio::test]
async fn certificates_are_read_in_pem_and_as_pfx() {
    let azure = Azure::start();
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    // The key first, as Key Vault writes it.
    let pem = made.signing_key.serialize_pem() + &made.cert.pem();
    azure.change(|state| {
        state.set_typed("pem", &pem, Some("application/x-pem-file"));
        // A PFX by its beginning only.
        state.set_typed("broken", "MIIKPAIBAzCC", Some("application/x-pkcs12"));
        let ciphers = ["plain", "old", "oldest", "new"];
        for cipher in ciphers {
            let pfx = openssl_pfx(&pem, cipher);
            state.set_typed(cipher, &pfx, Some("application/x-pkcs12"));
        }
    });
    let vault = vault(&azure);
    let fetched = vault.fetch("pem").await.unwrap();
    assert_eq!(fetched.content_type, Some(ContentType::Pem));
    assert!(Kind::Certificate.check(fetched.value).is_ok());
    for cipher in ["plain", "old", "oldest", "new"] {
        let fetched = vault.fetch(cipher).await.unwrap();
        assert_eq!(fetched.content_type, Some(ContentType::Pkcs12));
        assert_eq!(
            Kind::Certificate.check(fetched.value).err(),
            None,
            "{cipher}"
        );
    }
    let broken = vault.fetch("broken").await.unwrap();
    let refused = Kind::Certificate
        .check(broken.value)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("PFX"), "{refused}");
}

/// A PFX without a password, in base64, by OpenSSL.
fn openssl_pfx(pem: &str, ciphers: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let (pem_file, pfx) = (directory.path().join("pem"), directory.path().join("pfx"));
    std::fs::write(&pem_file, pem).unwrap();
    let arguments: &[&str] = match ciphers {
        "plain" => &["-keypbe", "NONE", "-certpbe", "NONE"],
        "old" => &[
            "-keypbe",
            "PBE-SHA1-3DES",
            "-certpbe",
            "PBE-SHA1-3DES",
            "-macalg",
            "sha1",
        ],
        "oldest" => &["-legacy"],
        _ => &[],
    };
    let output = std::process::Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:", "-in"])
        .arg(&pem_file)
        .arg("-out")
        .arg(&pfx)
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{ciphers}: {said}");
    data_encoding::BASE64.encode(&std::fs::read(pfx).unwrap())
}

#[tokio::test]
async fn the_vault_is_asked_without_a_token_once_and_then_with_one() {
    let azure = Azure::start();
    azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    for _ in 0..3 {
        vault.fetch("a").await.unwrap();
    }
    let seen = azure.seen_at(Place::Vault);
    let with: Vec<bool> = seen.iter().map(|seen| seen.has_credential()).collect();
    assert_eq!(with, [false, true, true, true]);
    assert_eq!(azure.seen_at(Place::Imds).len(), 1, "one token serves all");
    assert!(seen.iter().all(|seen| seen.host == "shop.vault.azure.net"));
    assert!(
        seen.iter()
            .all(|seen| seen.target.contains("api-version=7.4"))
    );
    // Nothing that Microsoft's clients would tell of this machine.
    for name in ["user-agent", "x-ms-client-request-id"] {
        assert!(seen.iter().all(|seen| !seen.headers.contains_key(name)));
    }
}

#[tokio::test]
async fn a_token_that_the_vault_no_longer_takes_is_replaced_once() {
    let azure = Azure::start();
    azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    vault.fetch("a").await.unwrap();
    azure.change(|state| state.revoke_tokens());
    vault.fetch("a").await.unwrap();
    assert_eq!(azure.seen_at(Place::Imds).len(), 2);
    // A vault that takes none is not asked for ever.
    let unauthorised = || (401, String::new(), None);
    azure.change(|state| {
        state.vault_faults.extend([unauthorised(), unauthorised()]);
    });
    let refused = version(&vault, "a").await.unwrap_err();
    assert!(matches!(refused, SourceError::Challenge(_)), "{refused}");
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart_and_says_what_to_do() {
    let azure = Azure::start();
    azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    let firewall = r#"{"error":{"code":"Forbidden","message":"Client address is not authorized and caller is not a trusted service.","innererror":{"code":"ForbiddenByFirewall"}}}"#;
    let rbac = r#"{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.","innererror":{"code":"ForbiddenByRbac"}}}"#;
    for (status, body, wait, error) in [
        (
            429,
            "{}",
            Some("7"),
            SourceError::Throttled {
                retry_after: Some(Duration::from_secs(7)),
            },
        ),
        (429, "", None, SourceError::Throttled { retry_after: None }),
        (403, firewall, None, SourceError::Denied { firewall: true }),
        (403, rbac, None, SourceError::Denied { firewall: false }),
        (404, "", None, SourceError::NotFound),
        (500, "oops", None, SourceError::Failing { status: 500 }),
        (503, "", None, SourceError::Failing { status: 503 }),
    ] {
        let fault = (status, body.to_owned(), wait.map(str::to_owned));
        azure.change(|state| state.vault_faults.push_back(fault));
        assert_eq!(version(&vault, "a").await, Err(error.clone()));
        assert!(!error.advice().is_empty());
    }
    for (body, what) in [("", "nothing"), ("{", "half"), ("[1]", "another shape")] {
        let fault = (200, body.to_owned(), None);
        azure.change(|state| state.vault_faults.push_back(fault));
        let error = version(&vault, "a").await.unwrap_err();
        assert!(
            matches!(error, SourceError::Malformed { .. }),
            "{what}: {error}"
        );
    }
    assert_eq!(version(&vault, "none").await, Err(SourceError::NotFound));
    let long = "x".repeat(300 * 1024);
    azure.change(|state| state.vault_faults.push_back((200, long, None)));
    let error = version(&vault, "a").await.unwrap_err();
    assert!(matches!(error, SourceError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_vault_that_answers_with_another_secret_is_not_believed() {
    let azure = Azure::start();
    azure.change(|state| state.set("a", "sk_live_0123"));
    let vault = vault(&azure);
    let other = r#"{"value":"sk_live_evil","id":"https://shop.vault.azure.net/secrets/b/0123456789abcdef0123456789abcdef"}"#;
    azure.change(|state| state.vault_faults.push_back((200, other.to_owned(), None)));
    let error = version(&vault, "a").await.unwrap_err();
    assert!(matches!(error, SourceError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn keys_that_no_secret_has_are_not_asked_for() {
    let azure = Azure::start();
    let vault = vault(&azure);
    for key in ["", "a/b", "../keys/x", "a?x=y", "a%2f..", "a b"] {
        assert!(
            matches!(vault.check_key(key), Err(SourceError::Key { .. })),
            "{key}"
        );
        assert!(
            matches!(vault.fetch(key).await, Err(SourceError::Key { .. })),
            "{key}"
        );
    }
    assert!(azure.seen().is_empty());
}

#[tokio::test]
async fn an_address_that_is_not_public_needs_to_be_listed() {
    let azure = Azure::start();
    // As a name with a private endpoint looks up.
    let mut settings = azure.settings();
    settings.vault = azure.url();
    settings.authority = Some(azure.url());
    settings.resource = Some("https://vault.azure.net".to_owned());
    settings.identity_endpoint = Some(azure.imds_url());
    azure.name_authority(&azure.url());
    azure.change(|state| state.set("a", "sk_live_0123"));
    let local = vault_with(&settings, &machine(), &Default::default());
    assert!(version(&local, "a").await.is_ok());
    settings.networks = Some(vec![keyward::egress::Network::Public]);
    let public = vault_with(&settings, &machine(), &Default::default());
    assert_eq!(
        version(&public, "a").await,
        Err(SourceError::Unreachable(Unreachable::Address))
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_token() {
    let azure = Azure::start();
    azure.change(|state| state.set("a", "sk_live_0123"));
    let mut settings = azure.settings();
    settings.roots = keyward::egress::Roots::Pem(Azure::start().authority_pem().into());
    let vault = vault_with(&settings, &machine(), &azure.names().dialer());
    assert_eq!(
        version(&vault, "a").await,
        Err(SourceError::Unreachable(Unreachable::Certificate))
    );
    assert!(azure.seen().is_empty());
}

#[tokio::test]
async fn nothing_that_can_be_shown_holds_a_value_or_a_token() {
    let azure = Azure::start();
    let value = "sk_live_canary_5f2b";
    azure.change(|state| {
        state.set("a", value);
        state.challenge = Challenge::Honest;
    });
    let vault = vault(&azure);
    let echo = format!(r#"{{"error":{{"code":"{value}","message":"stub-token {value}"}}}}"#);
    azure.change(|state| state.vault_faults.push_back((403, echo, None)));
    let error = vault.fetch("a").await.err().unwrap();
    let steps = vault.check(Some("a")).await;
    let shown = format!("{error} {error:?} {} {steps:?} {TENANT}", error.advice());
    assert!(
        !shown.contains(value) && !shown.contains("stub-token"),
        "{shown}"
    );
}

#[tokio::test]
async fn microsofts_crates_log_neither_value_nor_token_nor_what_a_vault_said() {
    let azure = Azure::start();
    let value = "sk_live_canary_77c1";
    azure.change(|state| state.set("a", value));
    let log = Log::default();
    let written = log.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || written.clone());
    let theirs = filter_fn(|line| {
        let is_of = |name| line.target().starts_with(name);
        is_of("azure_") || is_of("typespec")
    });
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(theirs));
    let _guard = tracing::subscriber::set_default(subscriber);
    let vault = vault(&azure);
    vault.fetch("a").await.unwrap();
    let words = r#"{"error":{"code":"Forbidden","message":"words of a vault"}}"#;
    azure.change(|state| {
        let fault = (403, words.to_owned(), None);
        state.vault_faults.push_back(fault);
    });
    assert!(vault.fetch("a").await.is_err());
    azure.name_authority("https://login.evil.example");
    azure.change(|state| state.revoke_tokens());
    assert!(vault.fetch("a").await.is_err());
    // Control: they do log.
    assert!(log.contains("/secrets/a"));
    for text in [value, "stub-token", "words of a vault", "evil.example"] {
        assert!(!log.contains(text), "{text}");
    }
}
