//! The public parts of secrets: to policies those of connection strings, to operators
//! those of certificates too, and never a secret one.

use std::collections::BTreeMap;

use crate::support::*;
use keyward_vault::*;

/// A value of a kind that has public parts, what has to be among these, and what must
/// not be in them.
struct Case {
    kind: Kind,
    value: String,
    public: &'static [(&'static str, &'static str)],
    secret: Vec<String>,
}

fn cases() -> Vec<Case> {
    let case = |kind, public, secret: &[&str]| Case {
        kind,
        value: sample(kind),
        public,
        secret: secret.iter().map(|text| (*text).to_owned()).collect(),
    };
    let account = sample(Kind::StorageAccount);
    let key = account
        .split(';')
        .find_map(|part| part.strip_prefix("AccountKey="));
    let certificate = sample(Kind::Certificate);
    // A line of the private key's PEM.
    let (_, private) = certificate.split_once("PRIVATE KEY-----\n").unwrap();
    let private = private.lines().next().unwrap();
    vec![
        case(
            Kind::StorageAccount,
            &[
                ("account", "billing1"),
                ("blob-endpoint", "https://billing1.blob.core.windows.net"),
            ],
            &[key.unwrap()],
        ),
        case(
            Kind::ServiceBus,
            &[
                ("endpoint", "https://billing1.servicebus.windows.net"),
                ("entity-path", "orders"),
                ("key-name", "send"),
            ],
            &["q9vT0pYw3sXbE5nK8rJ2uLz7mHc4dGf1aVi6oQtBxWk="],
        ),
        case(
            Kind::Database,
            &[
                ("host", "db.example"),
                ("port", "5433"),
                ("database", "orders"),
            ],
            &["p%40ssword-1", "app:"],
        ),
        case(
            Kind::ConnectionString,
            &[("host", "cache.example"), ("ssl", "True")],
            &["correct-horse-1"],
        ),
        Case {
            kind: Kind::Certificate,
            public: &[("subject", "CN=rcgen self signed cert"), ("key", "P-256")],
            secret: vec![private.to_owned()],
            value: certificate,
        },
    ]
}

#[test]
fn public_parts_say_where_a_secret_leads_and_nothing_secret() {
    let test = TestVault::create();
    let vault = test.open();
    for case in cases() {
        let Case { kind, value, .. } = &case;
        let name = name(kind.as_str());
        vault.add(&name, *kind, secret(value), &actor()).unwrap();
        let parts: BTreeMap<_, _> = vault.public_parts(&name).into_iter().collect();
        for (part, text) in case.public {
            let found = parts.get(*part).map(String::as_str);
            assert_eq!(found, Some(*text), "{kind:?} {part}: {parts:?}");
        }
        let shown = format!("{parts:?}");
        for needle in &case.secret {
            assert!(value.contains(needle), "control: {kind:?}");
            // Percent-encoding is undone in what is stored.
            for form in [needle.as_str(), &needle.replace("%40", "@")] {
                assert!(!shown.contains(form), "{kind:?}");
            }
        }
    }
}

#[test]
fn a_certificates_public_parts_are_its_own() {
    let test = TestVault::create();
    let vault = test.open();
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    let name = name("certificate");
    vault
        .add(&name, Kind::Certificate, secret(&pem), &actor())
        .unwrap();
    let parts: BTreeMap<_, _> = vault.public_parts(&name).into_iter().collect();
    let said = ClientCertificate::from_der(made.cert.der()).unwrap();
    assert_eq!(parts["sha256"], said.sha256);
    assert_eq!(parts["issuer"], said.issuer);
    let end = i64::try_from(said.not_after / 1000).unwrap();
    let end = jiff::Timestamp::from_second(end).unwrap();
    assert_eq!(parts["not-after"], end.to_string());
}

#[test]
fn other_kinds_have_no_public_parts() {
    let test = TestVault::create();
    let vault = test.open();
    let with: Vec<_> = cases().iter().map(|case| case.kind).collect();
    for (index, kind) in Kind::all().enumerate() {
        if with.contains(&kind) {
            continue;
        }
        let name = name(&format!("secret-{index}"));
        let value = secret(&sample(kind));
        vault.add(&name, kind, value, &actor()).unwrap();
        assert_eq!(vault.public_parts(&name), [], "{kind:?}");
    }
}

#[test]
fn a_policy_reads_what_a_database_is_and_not_who_logs_in() {
    let test = TestVault::create();
    let vault = test.open();
    let value = secret(&sample(Kind::Database));
    vault
        .add(&name("db"), Kind::Database, value, &actor())
        .unwrap();
    let text = grant("g", "db", "shop", Use::Describe);
    vault.set_grants(grants(&text), &actor()).unwrap();
    let part = |asked: &str| {
        let mut ledger = new_ledger(&vault);
        let permit = vault.permit::<uses::Describe>(&policy(&["shop"]), "shop", &mut ledger);
        permit.unwrap().part(asked).unwrap()
    };
    assert_eq!(part("host").as_deref(), Some("db.example"));
    assert_eq!(part("port").as_deref(), Some("5433"));
    assert_eq!(part("database").as_deref(), Some("orders"));
    for hidden in ["user", "password", "sslmode", "url", ""] {
        assert_eq!(part(hidden), None, "{hidden}");
    }
}
