//! Secrets whose values come from a source: what they are before the first value,
//! between two, and once the source is gone.

use jiff::{SignedDuration, Timestamp};
use keyward_vault::*;

use crate::support::*;

const SECOND_KEY: &str = "second-value-of-the-source-0002";

fn source() -> Actor {
    Actor {
        name: "source kv".to_owned(),
        reason: None,
    }
}

fn origin(cache: Cache) -> Origin {
    Origin {
        reference: "kv:stripe-key".parse().unwrap(),
        cache,
    }
}

fn received(value: &str, version: &str) -> Received {
    Received {
        reference: origin(Cache::Memory).reference,
        value: secret(value),
        source_version: SourceVersion::parse(version).unwrap(),
        validity: Validity::default(),
        enabled: true,
    }
}

/// A vault with the secret `fed`, which a grant lets policy `p` use as `k`.
fn fed(kind: Kind, cache: Cache) -> (TestVault, Vault) {
    let test = TestVault::create();
    let vault = test.open();
    vault
        .add_sourced(&name("fed"), kind, origin(cache), &actor())
        .unwrap();
    grant_use(&vault, kind);
    (test, vault)
}

fn grant_use(vault: &Vault, kind: Kind) {
    let text = match kind {
        Kind::ApiKey => grant("attach", "fed", "k", Use::Attach),
        Kind::ClientKeys => grant("identify", "fed", "k", Use::Identify),
        _ => grant("sign", "fed", "k", Use::MacSign) + &grant("verify", "fed", "k", Use::MacVerify),
    };
    vault.set_grants(grants(&text), &actor()).unwrap();
}

fn reopened(test: &TestVault, kind: Kind) -> Vault {
    let vault = test.open();
    grant_use(&vault, kind);
    vault
}

fn receive(vault: &Vault, value: &str, version: &str) -> Receipt {
    vault
        .receive(&name("fed"), received(value, version), &source())
        .unwrap()
}

fn info(vault: &Vault) -> SecretInfo {
    vault.info(&name("fed")).unwrap()
}

fn code(vault: &Vault) -> Result<Vec<u8>, Denied> {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::MacSign>(&policy(&["k"]), "k", &mut ledger)?;
    Ok(permit.sign(b"message").unwrap().as_ref().to_vec())
}

fn verifies(vault: &Vault, code: &[u8]) -> bool {
    let mut ledger = new_ledger(vault);
    let permit = vault.permit::<uses::MacVerify>(&policy(&["k"]), "k", &mut ledger);
    permit.unwrap().verify(b"message", code).unwrap()
}

fn attaches(vault: &Vault) -> Result<(), Denied> {
    let permit = vault.permit::<uses::Attach>(&policy(&["k"]), "k", &mut new_ledger(vault));
    permit.map(drop)
}

/// The acts in the trail, with the source that each names, and the outcomes of uses.
fn trail(test: &TestVault) -> (Vec<(String, String)>, Vec<String>) {
    let (mut acts, mut outcomes) = (Vec::new(), Vec::new());
    for record in read_records(&test.files.audit).map(Result::unwrap) {
        let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        if record.get("act").is_some() {
            acts.push((text("act"), text("source")));
        }
        let uses = record["uses"].as_array().cloned().unwrap_or_default();
        outcomes.extend(
            uses.iter()
                .map(|used| used["outcome"].as_str().unwrap().to_owned()),
        );
    }
    (acts, outcomes)
}

#[test]
fn a_secret_is_unavailable_until_its_source_gives_a_value() {
    for cache in [Cache::Sealed, Cache::Memory] {
        let (test, vault) = fed(HMAC, cache);
        let before = info(&vault);
        assert_eq!((before.version, before.versions.len()), (0, 0));
        assert_eq!(before.origin, Some(origin(cache)));
        assert_eq!(before.unavailable, Some(Unavailability::NotFetched));
        assert_eq!(code(&vault), Err(Denied::Unavailable));
        // Who doesn't ask for it learns nothing of it.
        let mut stranger = policy(&["k"]);
        stranger.asks.clear();
        let denied = vault.permit::<uses::MacSign>(&stranger, "k", &mut new_ledger(&vault));
        assert_eq!(denied.err(), Some(Denied::Denied));

        let Receipt::NewVersion(after) = receive(&vault, MAC_KEY, "v1") else {
            panic!("a first value is a new version");
        };
        assert_eq!((after.version, after.unavailable), (1, None));
        assert_eq!(after.source_version.unwrap().as_str(), "v1");
        assert!(verifies(&vault, &code(&vault).unwrap()));
        drop(vault);
        let (acts, outcomes) = trail(&test);
        let of_source = acts.iter().filter(|(_, source)| source == "kv");
        let of_source: Vec<_> = of_source.map(|(act, _)| act.as_str()).collect();
        assert_eq!(of_source, ["secret-added", "secret-received"]);
        assert_eq!(outcomes[0], "unavailable");
        assert!(outcomes.contains(&"allowed".to_owned()));
    }
}

#[test]
fn what_is_kept_in_memory_is_gone_after_a_restart_and_its_numbers_are_not_given_again() {
    let (test, vault) = fed(HMAC, Cache::Memory);
    receive(&vault, MAC_KEY, "v1");
    receive(&vault, OTHER_MAC_KEY, "v2");
    assert_eq!(info(&vault).version, 2);
    drop(vault);
    let vault = reopened(&test, HMAC);
    let after = info(&vault);
    assert_eq!((after.version, after.source_version), (0, None));
    assert_eq!(code(&vault), Err(Denied::Unavailable));
    let Receipt::NewVersion(again) = receive(&vault, OTHER_MAC_KEY, "v2") else {
        panic!("nothing of the value was kept");
    };
    assert_eq!(again.version, 3);
}

#[test]
fn control_what_is_sealed_is_there_after_a_restart() {
    let (test, vault) = fed(HMAC, Cache::Sealed);
    receive(&vault, MAC_KEY, "v1");
    let expected = code(&vault).unwrap();
    drop(vault);
    let vault = reopened(&test, HMAC);
    assert_eq!(code(&vault).unwrap(), expected);
    assert_eq!(info(&vault).source_version.unwrap().as_str(), "v1");
    assert_eq!(receive(&vault, MAC_KEY, "v1"), Receipt::Unchanged);
}

#[test]
fn the_same_value_is_not_written_whatever_the_source_calls_it() {
    for (kind, value) in [
        (HMAC, MAC_KEY),
        (Kind::ApiKey, API_KEY),
        (Kind::ClientKeys, CLIENT_KEYS),
    ] {
        for cache in [Cache::Sealed, Cache::Memory] {
            let (test, vault) = fed(kind, cache);
            receive(&vault, value, "v1");
            let epoch = vault.status().epoch;
            assert_eq!(receive(&vault, value, "v1"), Receipt::Unchanged);
            assert_eq!(receive(&vault, value, "v2"), Receipt::Unchanged);
            assert_eq!(vault.status().epoch, epoch);
            let known = info(&vault);
            assert_eq!(
                (known.version, known.source_version.unwrap().as_str()),
                (1, "v2")
            );
            drop(vault);
            let vault = test.open();
            let again = receive(&vault, value, "v1");
            assert_eq!(
                again == Receipt::Unchanged,
                cache == Cache::Sealed,
                "{kind} {cache}"
            );
        }
    }
}

#[test]
fn another_value_under_the_same_name_of_a_version_is_a_new_version() {
    let (_test, vault) = fed(Kind::ApiKey, Cache::Memory);
    receive(&vault, API_KEY, "v1");
    let receipt = receive(&vault, SECOND_KEY, "v1");
    assert!(matches!(receipt, Receipt::NewVersion(info) if info.version == 2));
}

#[test]
fn a_version_in_memory_survives_every_other_change() {
    let (test, vault) = fed(HMAC, Cache::Memory);
    receive(&vault, OTHER_MAC_KEY, "v1");
    let first = code(&vault).unwrap();
    receive(&vault, MAC_KEY, "v2");
    let expected = code(&vault).unwrap();
    let fed = &name("fed");
    vault
        .add(&name("other"), HMAC, secret(MAC_KEY), &actor())
        .unwrap();
    vault.disable(fed, &actor()).unwrap();
    assert_eq!(code(&vault), Err(Denied::Denied));
    vault.enable(fed, &actor()).unwrap();
    vault.rewrap(&actor()).unwrap();
    let keys = vec![KeySource::KeyFile(test.files.key.clone())];
    vault.rekey(keys, &actor()).unwrap();
    grant_use(&vault, HMAC);
    vault
        .mark_unavailable(fed, Unavailability::Stale, &source())
        .unwrap();
    assert!(matches!(
        receive(&vault, MAC_KEY, "v2"),
        Receipt::BackInUse(_)
    ));
    assert_eq!(code(&vault).unwrap(), expected);
    let held: Vec<_> = info(&vault)
        .versions
        .iter()
        .map(|one| (one.number, one.state))
        .collect();
    assert_eq!(
        held,
        [(1, VersionState::Previous), (2, VersionState::Current)]
    );
    assert!(verifies(&vault, &first));
    vault.retire(fed, 1, &actor()).unwrap();
    assert!(!verifies(&vault, &first));
    assert!(verifies(&vault, &expected));
    let in_use = vault.retire(fed, 2, &actor());
    assert!(matches!(
        in_use,
        Err(VaultError::VersionInUse { version: 2, .. })
    ));
}

#[test]
fn a_version_before_in_memory_is_accepted_as_long_as_the_rotation_says() {
    let (_test, vault) = fed(HMAC, Cache::Memory);
    let change = RotationChange {
        retire_previous_after: Some(Some(std::time::Duration::from_secs(3600))),
        ..RotationChange::default()
    };
    vault.set_rotation(&name("fed"), change, &actor()).unwrap();
    receive(&vault, OTHER_MAC_KEY, "v1");
    let first = code(&vault).unwrap();
    receive(&vault, MAC_KEY, "v2");
    assert!(verifies(&vault, &first));
    let until = info(&vault).versions[0].accepted_until.unwrap();
    let left = until.duration_since(Timestamp::now());
    assert!(left > SignedDuration::from_mins(59) && left <= SignedDuration::from_mins(60));
}

#[test]
fn a_value_that_cannot_be_of_the_kind_leaves_the_last_good_one_in_use() {
    for cache in [Cache::Sealed, Cache::Memory] {
        let (_test, vault) = fed(HMAC, cache);
        receive(&vault, MAC_KEY, "v1");
        let expected = code(&vault).unwrap();
        let epoch = vault.status().epoch;
        for bad in [
            "short",
            "not hexadecimal at all, but long enough for a key of it",
        ] {
            let error = vault.receive(&name("fed"), received(bad, "v2"), &source());
            let error = error.unwrap_err();
            assert!(matches!(error, VaultError::Import(_)), "{error}");
            assert!(!error.to_string().contains(bad));
        }
        assert_eq!(
            (code(&vault).unwrap(), vault.status().epoch),
            (expected, epoch)
        );
    }
}

#[test]
fn what_a_source_disables_is_refused_until_it_says_otherwise_and_loses_no_version() {
    for cache in [Cache::Sealed, Cache::Memory] {
        let (_test, vault) = fed(Kind::ApiKey, cache);
        receive(&vault, API_KEY, "v1");
        // The control: until then it is permitted.
        assert_eq!(attaches(&vault), Ok(()));
        let disabled = || Received {
            enabled: false,
            ..received("whatever", "v1")
        };
        let receipt = vault.receive(&name("fed"), disabled(), &source()).unwrap();
        assert!(matches!(receipt, Receipt::Disabled(_)));
        let epoch = vault.status().epoch;
        assert_eq!(attaches(&vault), Err(Denied::Unavailable));
        vault.receive(&name("fed"), disabled(), &source()).unwrap();
        assert_eq!(vault.status().epoch, epoch, "once is enough");
        let known = info(&vault);
        assert_eq!(
            (known.version, known.unavailable),
            (1, Some(Unavailability::Disabled))
        );
        let receipt = receive(&vault, API_KEY, "v1");
        assert!(matches!(receipt, Receipt::BackInUse(info) if info.version == 1));
        assert_eq!(attaches(&vault), Ok(()));
    }
}

#[test]
fn what_is_stale_stays_refused_over_a_restart() {
    let (test, vault) = fed(HMAC, Cache::Sealed);
    receive(&vault, MAC_KEY, "v1");
    vault
        .mark_unavailable(&name("fed"), Unavailability::Stale, &source())
        .unwrap();
    drop(vault);
    let vault = reopened(&test, HMAC);
    assert_eq!(info(&vault).unavailable, Some(Unavailability::Stale));
    assert_eq!(code(&vault), Err(Denied::Unavailable));
    let receipt = receive(&vault, MAC_KEY, "v1");
    assert!(matches!(receipt, Receipt::BackInUse(_)));
    assert!(code(&vault).is_ok());
    drop(vault);
    let (acts, _) = trail(&test);
    let acts: Vec<_> = acts.iter().map(|(act, _)| act.as_str()).collect();
    assert!(acts.contains(&"secret-unavailable") && acts.contains(&"secret-available"));
}

#[test]
fn a_note_of_a_secret_that_became_unavailable_is_not_written() {
    let (_test, vault) = fed(Kind::ApiKey, Cache::Memory);
    receive(&vault, API_KEY, "v1");
    let check = |vault: &Vault, stale: bool| {
        let mut ledger = new_ledger(vault);
        let permit = vault.permit::<uses::Attach>(&policy(&["k"]), "k", &mut ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note());
        if stale {
            let why = Unavailability::Stale;
            vault
                .mark_unavailable(&name("fed"), why, &source())
                .unwrap();
        }
        let target = Target {
            route: &route("billing"),
            method: &http::Method::GET,
            address: "",
            authority: "billing.example",
            path_and_query: &"/v1/charges".parse().unwrap(),
        };
        notes.check(vault, &mut ledger, &target).map(drop)
    };
    assert_eq!(check(&vault, false), Ok(()), "the control");
    assert_eq!(check(&vault, true), Err(Denied::Unavailable));
}

#[test]
fn when_a_value_may_be_used_is_what_its_source_says() {
    let hour = SignedDuration::from_hours(1);
    let until = |time: Timestamp| Received {
        validity: Validity {
            not_before: None,
            not_after: Some(time),
        },
        ..received(API_KEY, "v1")
    };
    for cache in [Cache::Sealed, Cache::Memory] {
        let (_test, vault) = fed(Kind::ApiKey, cache);
        let now = Timestamp::now();
        let fed = &name("fed");
        vault.receive(fed, until(now - hour), &source()).unwrap();
        assert_eq!(attaches(&vault), Err(Denied::Denied));
        // Extended there, extended here: the same version.
        let receipt = vault.receive(fed, until(now + hour), &source()).unwrap();
        assert!(matches!(receipt, Receipt::BackInUse(info) if info.version == 1));
        assert_eq!(attaches(&vault), Ok(()));
        let receipt = vault.receive(fed, until(now + hour), &source()).unwrap();
        assert_eq!(receipt, Receipt::Unchanged);
        let empty = Received {
            validity: Validity {
                not_before: Some(now),
                not_after: Some(now),
            },
            ..received(API_KEY, "v1")
        };
        let refused = vault.receive(fed, empty, &source());
        assert!(matches!(refused, Err(VaultError::EmptyValidity)));
    }
}

#[test]
fn only_its_source_changes_a_secret_and_only_by_its_reference() {
    let (_test, vault) = fed(Kind::ApiKey, Cache::Sealed);
    receive(&vault, API_KEY, "v1");
    let fed = &name("fed");
    let refused = [
        vault.rotate(fed, secret(SECOND_KEY), &actor()),
        vault.roll_back(fed, None, &actor()),
        vault.set_validity(fed, 1, Validity::default(), &actor()),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(VaultError::HasOrigin { .. })));
    }
    let elsewhere = Received {
        reference: "kv:another-key".parse().unwrap(),
        ..received(SECOND_KEY, "v2")
    };
    let refused = vault.receive(fed, elsewhere, &source());
    assert!(matches!(refused, Err(VaultError::OtherOrigin(_))));
    vault
        .add(&name("own"), Kind::ApiKey, secret(API_KEY), &actor())
        .unwrap();
    let refused = vault.receive(&name("own"), received(SECOND_KEY, "v2"), &source());
    assert!(matches!(refused, Err(VaultError::NoOrigin(_))));
    let why = Unavailability::Stale;
    let refused = vault.mark_unavailable(&name("own"), why, &source());
    assert!(matches!(refused, Err(VaultError::NoOrigin(_))));
    assert_eq!(info(&vault).version, 1);
}

#[test]
fn client_keys_of_a_source_are_changed_there() {
    let (_test, vault) = fed(Kind::ClientKeys, Cache::Memory);
    let subject = keyward_names::Subject::parse("shop").unwrap();
    receive(&vault, CLIENT_KEYS, "v1");
    let refused = vault.disable_client(&name("fed"), &subject, &actor());
    assert!(matches!(refused, Err(VaultError::HasOrigin { .. })));
    let refused = vault.clients(&name("fed"));
    assert!(matches!(refused, Err(VaultError::NothingSealed(_))));
}

#[test]
fn an_origin_is_set_changed_and_removed_without_a_moment_without_a_value() {
    let test = TestVault::create();
    let vault = test.open();
    let fed = &name("fed");
    vault.add(fed, HMAC, secret(MAC_KEY), &actor()).unwrap();
    grant_use(&vault, HMAC);
    let own = code(&vault).unwrap();
    vault
        .set_origin(fed, origin(Cache::Memory), &actor())
        .unwrap();
    assert_eq!(code(&vault).unwrap(), own, "until the source gives another");
    let removed = vault.remove_origin(fed, &actor());
    assert!(matches!(removed, Err(VaultError::NothingSealed(_))));
    // The same value again is a new version: it came from elsewhere before.
    assert!(matches!(
        receive(&vault, MAC_KEY, "v1"),
        Receipt::NewVersion(_)
    ));
    vault
        .set_origin(fed, origin(Cache::Sealed), &actor())
        .unwrap();
    assert_eq!(code(&vault).unwrap(), own);
    assert!(matches!(
        receive(&vault, MAC_KEY, "v1"),
        Receipt::NewVersion(_)
    ));
    let removed = vault.remove_origin(fed, &actor()).unwrap();
    assert_eq!((removed.origin, removed.version), (None, 3));
    assert_eq!(code(&vault).unwrap(), own);
    vault.rotate(fed, secret(OTHER_MAC_KEY), &actor()).unwrap();
    drop(vault);
    let vault = reopened(&test, HMAC);
    assert_eq!(info(&vault).version, 4);
    let removed = vault.remove_origin(fed, &actor());
    assert!(matches!(removed, Err(VaultError::NoOrigin(_))));
}
