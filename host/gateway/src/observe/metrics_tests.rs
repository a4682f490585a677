#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keyward::names::{PolicyName, SecretName};
use keyward::vault::{Actor, Durability, Kind, Secret, Validity, VaultFiles};

use super::*;

fn vault() -> (tempfile::TempDir, Vault) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    (folder, vault)
}

/// Adds a secret that ends tomorrow.
fn ends(vault: &Vault) {
    let name = SecretName::parse("short-lived").unwrap();
    let value = Secret::read_from(&b"a-value-that-ends"[..], 64).unwrap();
    let actor = Actor {
        name: "test".into(),
        reason: None,
    };
    vault.add(&name, Kind::ApiKey, value, &actor).unwrap();
    let tomorrow = Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let validity = Validity {
        not_before: None,
        not_after: Some(tomorrow),
    };
    vault.set_validity(&name, 1, validity, &actor).unwrap();
}

fn ended(method: &Method) -> Ended<'_> {
    Ended {
        method,
        status: Some(StatusCode::OK),
        failure: None,
        took: Duration::from_millis(3),
        received: 5,
        sent: 7,
        whole: true,
    }
}

/// One of everything.
fn all(metrics: &Arc<Metrics>) {
    let pipeline = metrics.pipeline(Some("/billing"));
    pipeline.ended(&ended(&Method::GET));
    pipeline.ended(&Ended {
        failure: Some("internal"),
        whole: false,
        ..ended(&Method::POST)
    });
    metrics.backend_answered("billing", true, Duration::from_millis(2));
    metrics.backend_answered("billing", false, Duration::from_millis(2));
    metrics.policy_called("p", "inbound", "proceed", Duration::from_micros(20));
    metrics.reloaded(Some(2));
    metrics.reloaded(None);
    drop(metrics.connection());
}

fn families(text: &str) -> BTreeSet<&str> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split(' ').next()).collect()
}

#[test]
fn what_is_counted_is_shown_with_the_labels_of_the_configuration() {
    let (_folder, vault) = vault();
    let metrics = Arc::new(Metrics::new());
    all(&metrics);
    let text = metrics.render(&vault);
    for line in [
        "keyward_requests_total{pipeline=\"/billing\",method=\"GET\",status=\"2xx\"} 1",
        "keyward_request_failures_total{pipeline=\"/billing\",failure=\"internal\"} 1",
        "keyward_request_body_bytes_total{pipeline=\"/billing\"} 10",
        "keyward_responses_broken_off_total{pipeline=\"/billing\"} 1",
        "keyward_backend_failures_total{route=\"billing\"} 1",
        "keyward_policy_calls_total{policy=\"p\",phase=\"inbound\",outcome=\"proceed\"} 1",
        "keyward_config_reloads_total{result=\"failed\"} 1",
        "keyward_config_generation 2",
        "keyward_config_last_reload_ok 0",
        "keyward_connections 0",
        "keyward_connections_accepted_total 1",
        "keyward_audit_failed 0",
        "keyward_vault_secrets 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_million_different_requests_make_no_more_series() {
    let (_folder, vault) = vault();
    let metrics = Arc::new(Metrics::new());
    let unserved = metrics.pipeline(None);
    let odd = |number: u32| Method::from_bytes(format!("M{number}").as_bytes()).unwrap();
    unserved.ended(&ended(&odd(0)));
    let before = metrics.render(&vault).lines().count();
    for number in 1..1_000_000 {
        unserved.ended(&ended(&odd(number)));
    }
    let text = metrics.render(&vault);
    assert_eq!(text.lines().count(), before, "{text}");
    let counted = "keyward_requests_total{pipeline=\"\",method=\"other\",status=\"2xx\"} 1000000";
    assert!(text.contains(counted), "{text}");
}

#[test]
fn the_document_lists_the_metrics_and_no_others() {
    let (_folder, vault) = vault();
    ends(&vault);
    let metrics = Arc::new(Metrics::new());
    all(&metrics);
    metrics.denied(&[Refusal {
        policy: PolicyName::parse("p").unwrap(),
        use_: keyward::vault::Use::Attach,
        outcome: keyward::vault::Outcome::NotGranted,
    }]);
    let grant = "attach".to_owned();
    let outcome = "allowed";
    drop(metrics.scraped.uses.get_or_create(&Uses { grant, outcome }));
    let source = || "azure".to_owned();
    let scraped = &metrics.scraped;
    drop(scraped.fetches.get_or_create(&Fetches {
        source: source(),
        outcome: "unchanged",
    }));
    let of = OfSource { source: source() };
    drop(scraped.source_open.get_or_create(&of));
    drop(scraped.source_success.get_or_create(&of));
    drop(scraped.sourced.get_or_create(&Sourced {
        source: source(),
        state: "fresh",
    }));
    let text = metrics.render(&vault);
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("OBSERVABILITY.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: BTreeSet<&str> = rows
        .filter_map(|row| row.split('`').next())
        .filter(|name| name.starts_with("keyward_"))
        .collect();
    assert_eq!(listed, families(&text));
}
