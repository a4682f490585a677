//! The life of a secret: its versions, its state, when it may be used, its end.

use std::time::Duration;

use jiff::Timestamp;
use keyward_names::{Tag, ValueName};
use keyward_vault::*;

use crate::support::*;

fn numbers(info: &SecretInfo) -> Vec<(u64, VersionState)> {
    let versions = info.versions.iter();
    versions
        .map(|version| (version.number, version.state))
        .collect()
}

/// Another value of the same kind: `n` tells one from the others.
fn mac_key(n: u8) -> Secret {
    secret(&MAC_KEY.replacen("8f01", &format!("{n:02x}00"), 1))
}

/// Whether policy `p` may make codes with `mac` now.
fn allowed(vault: &Vault) -> bool {
    let mut ledger = new_ledger(vault);
    let policy = policy(&["k"]);
    vault
        .permit::<uses::MacSign>(&policy, "k", &mut ledger)
        .is_ok()
}

fn granted(vault: &Vault) {
    let set = grants(&grant("g", "mac", "k", Use::MacSign));
    vault.set_grants(set, &actor()).unwrap();
}

#[test]
fn a_version_is_rolled_back_to_and_its_number_never_comes_back() {
    use VersionState::{Current, Kept, Previous};
    let (test, vault) = TestVault::with_secrets();
    let api = name("api");
    let rotate = |text: &str| vault.rotate(&api, secret(text), &actor()).unwrap();
    rotate("second-value");
    let third = rotate("third-value-");
    assert_eq!(numbers(&third), [(1, Kept), (2, Kept), (3, Current)]);
    let back = vault.roll_back(&api, None, &actor()).unwrap();
    assert_eq!((back.version, back.updated), (2, third.versions[1].created));
    assert_eq!(numbers(&back), [(1, Kept), (2, Current), (3, Kept)]);
    let forth = vault.roll_back(&api, Some(3), &actor()).unwrap();
    assert_eq!(forth.version, 3);
    vault.roll_back(&api, Some(1), &actor()).unwrap();
    let none = vault.roll_back(&api, None, &actor());
    assert!(matches!(none, Err(VaultError::NothingBefore(_))));
    let same = vault.roll_back(&api, Some(1), &actor());
    assert!(matches!(
        same,
        Err(VaultError::VersionInUse { version: 1, .. })
    ));
    let unknown = vault.roll_back(&api, Some(9), &actor());
    assert!(matches!(
        unknown,
        Err(VaultError::NoSuchVersion { version: 9, .. })
    ));

    // The newest goes, and what comes next is not taken for it.
    let retired = vault.retire(&api, 3, &actor()).unwrap();
    assert_eq!(numbers(&retired), [(1, Current), (2, Kept)]);
    let in_use = vault.retire(&api, 1, &actor());
    assert!(matches!(
        in_use,
        Err(VaultError::VersionInUse { version: 1, .. })
    ));
    let gone = vault.retire(&api, 3, &actor());
    assert!(matches!(
        gone,
        Err(VaultError::NoSuchVersion { version: 3, .. })
    ));
    let fourth = vault
        .rotate(&api, secret("fourth-value"), &actor())
        .unwrap();
    assert_eq!(numbers(&fourth), [(1, Kept), (2, Kept), (4, Current)]);

    let rolled = vault.rotate(&name("mac"), mac_key(2), &actor()).unwrap();
    assert_eq!(numbers(&rolled), [(1, Previous), (2, Current)]);
    let back = vault.roll_back(&name("mac"), None, &actor()).unwrap();
    assert_eq!(numbers(&back), [(1, Current), (2, Previous)]);
    let retired = vault.retire(&name("mac"), 2, &actor()).unwrap();
    assert_eq!(numbers(&retired), [(1, Current)]);

    let before = vault.list();
    drop(vault);
    assert_eq!(test.open().list(), before);
}

#[test]
fn what_is_rolled_back_to_is_what_is_used() {
    let (_test, vault) = TestVault::with_secrets();
    granted(&vault);
    let code = || {
        let mut ledger = new_ledger(&vault);
        let policy = policy(&["k"]);
        let permit = vault.permit::<uses::MacSign>(&policy, "k", &mut ledger);
        permit.unwrap().sign(b"message").unwrap().as_ref().to_vec()
    };
    let first = code();
    vault.rotate(&name("mac"), mac_key(2), &actor()).unwrap();
    let second = code();
    assert_ne!(first, second);
    vault.roll_back(&name("mac"), None, &actor()).unwrap();
    assert_eq!(code(), first);
    vault.roll_back(&name("mac"), Some(2), &actor()).unwrap();
    assert_eq!(code(), second);
}

#[test]
fn eight_versions_are_kept_beside_the_one_in_use_and_of_client_keys_two() {
    let (_test, vault) = TestVault::with_secrets();
    for n in 0..12 {
        vault.rotate(&name("mac"), mac_key(n), &actor()).unwrap();
        let keys = format!("shop = shop-key-number-{n:04}");
        vault
            .rotate(&name("clients"), secret(&keys), &actor())
            .unwrap();
    }
    let info = vault.info(&name("mac")).unwrap();
    let found: Vec<_> = info.versions.iter().map(|version| version.number).collect();
    assert_eq!(found, (5..=13).collect::<Vec<_>>());
    let info = vault.info(&name("clients")).unwrap();
    let found: Vec<_> = info.versions.iter().map(|version| version.number).collect();
    assert_eq!(found, [11, 12, 13]);
}

#[test]
fn a_disabled_secret_serves_nobody_and_alone_can_be_removed() {
    let (test, vault) = TestVault::with_secrets();
    let mac = name("mac");
    granted(&vault);
    assert!(allowed(&vault));
    let enabled = vault.remove(&mac, &actor());
    assert!(matches!(enabled, Err(VaultError::NotDisabled(_))));
    let info = vault.disable(&mac, &actor()).unwrap();
    assert_eq!(info.state, SecretState::Disabled);
    assert!(!allowed(&vault));
    vault.enable(&mac, &actor()).unwrap();
    assert!(allowed(&vault));
    vault.disable(&mac, &actor()).unwrap();

    let named = vault.remove(&mac, &actor());
    assert!(matches!(named, Err(VaultError::SecretGranted { grant, .. }) if grant.as_str() == "g"));
    vault.set_grants(Grants::none(), &actor()).unwrap();
    let value = ValueName::parse("Signing-Key").unwrap();
    let bound = NamedValue::Secret(mac.clone());
    vault.set_value(&value, bound, [].into(), &actor()).unwrap();
    let bound = vault.remove(&mac, &actor());
    assert!(matches!(bound, Err(VaultError::SecretBound { value: by, .. }) if by == value));
    vault.remove_value(&value, &actor()).unwrap();
    vault.remove(&mac, &actor()).unwrap();
    assert_eq!(vault.info(&mac), None);
    let gone = vault.remove(&mac, &actor());
    assert!(matches!(gone, Err(VaultError::NoSuchSecret(_))));
    drop(vault);
    let vault = test.open();
    assert_eq!(vault.list().len(), 2);
    // The name is free, for something else too.
    vault
        .add(&mac, Kind::ApiKey, secret(API_KEY), &actor())
        .unwrap();
}

#[test]
fn a_version_is_used_within_its_validity_only() {
    let (test, vault) = TestVault::with_secrets();
    granted(&vault);
    let mac = name("mac");
    let now = Timestamp::now();
    let (before, after) = (now - Duration::from_secs(60), now + Duration::from_secs(60));
    let validity = |not_before, not_after| Validity {
        not_before,
        not_after,
    };
    for (not_before, not_after, expected) in [
        (None, Some(after), true),
        (None, Some(before), false),
        (Some(before), None, true),
        (Some(after), None, false),
        (Some(before), Some(after), true),
        (None, None, true),
    ] {
        let set = validity(not_before, not_after);
        let info = vault.set_validity(&mac, 1, set, &actor()).unwrap();
        assert_eq!(info.versions[0].validity.is_bounded(), set.is_bounded());
        assert_eq!(allowed(&vault), expected, "{set:?}");
    }
    let empty = vault.set_validity(&mac, 1, validity(Some(after), Some(before)), &actor());
    assert!(matches!(empty, Err(VaultError::EmptyValidity)));
    let unknown = vault.set_validity(&mac, 2, validity(None, None), &actor());
    assert!(matches!(unknown, Err(VaultError::NoSuchVersion { .. })));

    // Each version has its own.
    let later = validity(Some(after), None);
    vault
        .rotate_valid(&mac, mac_key(2), later, &actor())
        .unwrap();
    assert!(!allowed(&vault));
    vault.roll_back(&mac, None, &actor()).unwrap();
    assert!(allowed(&vault));
    drop(vault);
    let info = test.open().info(&mac).unwrap();
    let seconds = |time: Option<Timestamp>| time.map(Timestamp::as_second);
    assert_eq!(
        seconds(info.versions[1].validity.not_before),
        seconds(Some(after))
    );
}

#[test]
fn a_certificate_ends_when_its_leaf_does() {
    let (_test, vault) = TestVault::with_secrets();
    let text = certificate();
    let add = |to: &str, validity| {
        vault.add_valid(
            &name(to),
            Kind::Certificate,
            secret(&text),
            validity,
            &actor(),
        )
    };
    let info = add("tls", Validity::default()).unwrap();
    let end = info.versions[0].validity.not_after.unwrap();
    // rcgen's certificates last to the year 4096.
    assert_eq!(end.to_string(), "4096-01-01T00:00:00Z");
    let sooner = Timestamp::from_second(end.as_second() - 1).unwrap();
    let validity = Validity {
        not_before: None,
        not_after: Some(sooner),
    };
    let info = add("tls-2", validity).unwrap();
    assert_eq!(info.versions[0].validity.not_after, Some(sooner));
}

#[test]
fn named_values_are_set_replaced_and_removed() {
    let (test, vault) = TestVault::with_secrets();
    let value = |text| ValueName::parse(text).unwrap();
    let tag = |text: &str| Tag::parse(text).unwrap();
    let plain = NamedValue::Plain("https://billing.example/".to_owned());
    let set = vault
        .set_value(&value("Backend-URL"), plain, [tag("prod")].into(), &actor())
        .unwrap();
    let bound = NamedValue::Secret(name("api"));
    vault
        .set_value(&value("key"), bound, [].into(), &actor())
        .unwrap();
    let reference = NamedValue::Reference("kv:billing/key".parse().unwrap());
    vault
        .set_value(&value("KEY"), reference, [].into(), &actor())
        .unwrap();
    let names: Vec<_> = vault
        .values()
        .iter()
        .map(|value| value.name.to_string())
        .collect();
    assert_eq!(names, ["Backend-URL", "KEY", "key"]);

    let other = NamedValue::Plain("https://other.example/".to_owned());
    let again = vault
        .set_value(&value("Backend-URL"), other, [].into(), &actor())
        .unwrap();
    assert_eq!((again.id, again.created), (set.id, set.created));
    assert!(again.tags.is_empty());
    let unknown = NamedValue::Secret(name("nothing"));
    let refused = vault.set_value(&value("x"), unknown, [].into(), &actor());
    assert!(matches!(refused, Err(VaultError::NoSuchSecret(_))));
    for text in [
        String::new(),
        "x".repeat(4097),
        "a\0b".to_owned(),
        "\u{7f}".to_owned(),
    ] {
        let refused = vault.set_value(&value("x"), NamedValue::Plain(text), [].into(), &actor());
        assert!(matches!(refused, Err(VaultError::PlainValue { max: 4096 })));
    }
    let tags = (0..33).map(|n| tag(&format!("t{n}"))).collect();
    let many = vault.set_value(&value("x"), NamedValue::Plain("y".into()), tags, &actor());
    assert!(matches!(many, Err(VaultError::TooManyTags { max: 32 })));
    vault.remove_value(&value("KEY"), &actor()).unwrap();
    let gone = vault.remove_value(&value("KEY"), &actor());
    assert!(matches!(gone, Err(VaultError::NoSuchValue(_))));

    let before = vault.values();
    drop(vault);
    let vault = test.open();
    assert_eq!(vault.values(), before);
    assert_eq!(vault.value(&value("Backend-URL")), Some(again));
}

#[test]
fn a_revoked_grant_is_dead_until_it_is_reinstated() {
    let (test, vault) = TestVault::with_secrets();
    let id = "g".parse().unwrap();
    granted(&vault);
    let loaded = || grants(&grant("g", "mac", "k", Use::MacSign));
    assert!(allowed(&vault));
    vault.revoke_grant(&id, &actor()).unwrap();
    assert!(!allowed(&vault));
    assert_eq!(vault.revoked(), std::slice::from_ref(&id));
    assert!(vault.grants().is_empty());
    // The file that has it does not bring it back, nor does a restart.
    vault.set_grants(loaded(), &actor()).unwrap();
    assert!(!allowed(&vault));
    drop(vault);
    let vault = test.open();
    vault.set_grants(loaded(), &actor()).unwrap();
    assert!(!allowed(&vault));
    vault.reinstate_grant(&id, &actor()).unwrap();
    assert!(allowed(&vault));
    let not = vault.reinstate_grant(&id, &actor());
    assert!(matches!(not, Err(VaultError::NotRevoked(_))));
    let unknown = vault.revoke_grant(&"other".parse().unwrap(), &actor());
    assert!(matches!(unknown, Err(VaultError::NoSuchGrant(_))));

    // Nor does a file that comes back after one without it.
    vault.revoke_grant(&id, &actor()).unwrap();
    let without = grants(&grant("h", "api", "a", Use::Attach));
    vault.set_grants(without, &actor()).unwrap();
    assert_eq!(vault.revoked(), std::slice::from_ref(&id));
    vault.set_grants(loaded(), &actor()).unwrap();
    assert!(!allowed(&vault));
    drop(vault);
    verify_trail(&test.files.audit, &test.verifier_key).unwrap();
}

/// A certificate that ends on the last day of a year, and its key.
fn certificate_until(year: i32) -> Secret {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let certificate = params.self_signed(&key).unwrap();
    secret(&(certificate.pem() + &key.serialize_pem()))
}

#[test]
fn a_certificate_without_an_end_has_none_in_the_vault() {
    let (test, vault) = TestVault::with_secrets();
    let kind = Kind::Certificate;
    // "99991231…" is how one says so (RFC 5280, section 4.1.2.5).
    let added = vault.add(&name("tls"), kind, certificate_until(9999), &actor());
    assert_eq!(added.unwrap().versions[0].validity, Validity::default());
    drop(vault);
    assert_eq!(test.open().info(&name("tls")).unwrap().kind, kind);
}

#[test]
fn a_validity_that_begins_after_the_leaf_has_ended_is_empty() {
    let (_test, vault) = TestVault::with_secrets();
    let validity = Validity {
        not_before: Some("2101-01-01T00:00:00Z".parse().unwrap()),
        not_after: None,
    };
    let (name, kind) = (name("tls"), Kind::Certificate);
    let leaf = certificate_until(2100);
    let added = vault.add_valid(&name, kind, leaf, validity, &actor());
    assert!(matches!(added, Err(VaultError::EmptyValidity)));
    assert!(vault.info(&name).is_none());
}
