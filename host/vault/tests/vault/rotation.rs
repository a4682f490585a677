//! How one version follows another: what is accepted for how long, what an exchange
//! keeps to, what is made on schedule, what is attached once more.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{Method, Request};
use jiff::Timestamp;
use keyward_vault::disk::{Disk, FileSystem};
use keyward_vault::*;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const AUTHORITY: &str = "billing.example.com";

/// A vault whose time passes when a test says so.
struct Timed {
    test: TestVault,
    time: Arc<AtomicI64>,
    vault: Option<Vault>,
}

impl Timed {
    fn new() -> Self {
        let (test, vault) = TestVault::with_secrets();
        drop(vault);
        let mut timed = Self {
            test,
            time: Arc::new(AtomicI64::new(Timestamp::now().as_second())),
            vault: None,
        };
        timed.reopen();
        timed
    }

    fn reopen(&mut self) {
        drop(self.vault.take());
        let disk: Arc<dyn Disk> = Arc::new(FileSystem);
        let opening = Opening {
            key: KeySource::KeyFile(self.test.files.key.clone()),
            durability: Durability::Buffered,
        };
        let storage = Box::new(FileStorage::open(&self.test.files.audit).unwrap());
        let time = Arc::clone(&self.time);
        let clock =
            Clock::of(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap());
        let vault = Vault::open_apart(&disk, &self.test.files, opening, storage, clock).unwrap();
        let set = [
            grant("sign", "mac", "k", Use::MacSign),
            grant("verify", "mac", "k", Use::MacVerify),
            grant("attach", "api", "backend", Use::Attach),
        ];
        vault.set_grants(grants(&set.concat()), &actor()).unwrap();
        self.vault = Some(vault);
    }

    fn vault(&self) -> &Vault {
        self.vault.as_ref().unwrap()
    }

    fn pass(&self, time: Duration) {
        let seconds = i64::try_from(time.as_secs()).unwrap();
        self.time.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.time.load(Ordering::Relaxed)).unwrap()
    }

    fn rotate(&self, text: &str, retire_previous_after: Option<Duration>) -> SecretInfo {
        let (secret_name, value) = match text {
            "mac" => ("mac", HMAC.generate().unwrap()),
            value => ("api", secret(value)),
        };
        let replacement = Replacement {
            retire_previous_after,
            ..Replacement::of(value)
        };
        let rotated = self
            .vault()
            .rotate_with(&name(secret_name), replacement, &actor());
        rotated.unwrap()
    }

    fn accepts(&self, code: &[u8]) -> bool {
        accepts(self.vault(), code)
    }
}

fn identity() -> PolicyIdentity {
    policy(&["k", "backend"])
}

/// The code of one message, made in that exchange.
fn sign(vault: &Vault, ledger: &mut Ledger) -> Vec<u8> {
    let permit = vault.permit::<uses::MacSign>(&identity(), "k", ledger);
    permit.unwrap().sign(b"message").unwrap().as_ref().to_vec()
}

fn accepts(vault: &Vault, code: &[u8]) -> bool {
    let permit = vault.permit::<uses::MacVerify>(&identity(), "k", &mut new_ledger(vault));
    permit.unwrap().verify(b"message", code).unwrap()
}

fn note(vault: &Vault, ledger: &mut Ledger) -> Notes {
    let permit = vault.permit::<uses::Attach>(&identity(), "backend", ledger);
    let mut notes = Notes::default();
    notes.push(permit.unwrap().note());
    notes
}

/// What of the notes is written into a request.
fn written(vault: &Vault, ledger: &mut Ledger, notes: Notes) -> String {
    let (route, method) = (route("billing"), Method::GET);
    let path_and_query = PathAndQuery::from_static("/v1/charges");
    let target = Target {
        route: &route,
        method: &method,
        address: "",
        authority: AUTHORITY,
        path_and_query: &path_and_query,
    };
    let checked = notes.check(vault, ledger, &target).unwrap();
    let durable = block_on(ledger.barrier()).unwrap();
    let request = Request::get(format!("https://{AUTHORITY}/v1/charges"));
    let mut head = request.body(()).unwrap().into_parts().0;
    let _ = checked.write(&durable, &mut head, None).unwrap();
    head.headers["x-api-key"].to_str().unwrap().to_owned()
}

fn state_of(info: &SecretInfo, number: u64) -> (VersionState, Option<Timestamp>) {
    let mut versions = info.versions.iter();
    let version = versions.find(|version| version.number == number).unwrap();
    (version.state, version.accepted_until)
}

#[test]
fn the_version_before_is_accepted_until_its_time_is_over_and_nobody_has_to_do_anything() {
    let mut timed = Timed::new();
    let code = sign(timed.vault(), &mut new_ledger(timed.vault()));
    let rotated = timed.rotate("mac", Some(HOUR));
    let until = timed.now() + HOUR;
    assert_eq!(state_of(&rotated, 1), (VersionState::Previous, Some(until)));
    timed.pass(HOUR - Duration::from_secs(1));
    assert!(timed.accepts(&code));
    timed.pass(Duration::from_secs(1));
    assert!(!timed.accepts(&code));
    let info = timed.vault().info(&name("mac")).unwrap();
    assert_eq!(state_of(&info, 1), (VersionState::Kept, None));
    assert_eq!(
        timed.vault().list().iter().find(|one| **one == info),
        Some(&info)
    );
    timed.reopen();
    assert!(!timed.accepts(&code), "nor after a restart");
    // It can be brought back, and then counts like any version in use.
    timed
        .vault()
        .roll_back(&name("mac"), None, &actor())
        .unwrap();
    assert!(timed.accepts(&code));
}

#[test]
fn control_without_a_time_it_is_accepted_until_the_next_rotation() {
    let mut timed = Timed::new();
    let code = sign(timed.vault(), &mut new_ledger(timed.vault()));
    let rotated = timed.rotate("mac", None);
    assert_eq!(state_of(&rotated, 1), (VersionState::Previous, None));
    timed.pass(3650 * DAY);
    assert!(timed.accepts(&code));
    timed.reopen();
    assert!(timed.accepts(&code));
    timed.rotate("mac", None);
    assert!(!timed.accepts(&code));
}

#[test]
fn a_version_that_is_retired_is_accepted_no_more_at_once() {
    let timed = Timed::new();
    let code = sign(timed.vault(), &mut new_ledger(timed.vault()));
    timed.rotate("mac", Some(HOUR));
    assert!(timed.accepts(&code));
    let retired = timed.vault().retire(&name("mac"), 1, &actor()).unwrap();
    assert_eq!(retired.versions.len(), 1);
    assert!(!timed.accepts(&code));
}

#[test]
fn the_time_of_a_secret_counts_at_each_rotation_and_from_now_where_it_is_changed() {
    let timed = Timed::new();
    let change = |after: Option<Duration>| {
        let change = RotationChange {
            retire_previous_after: Some(after),
            every: None,
        };
        timed
            .vault()
            .set_rotation(&name("mac"), change, &actor())
            .unwrap()
    };
    let set = change(Some(DAY));
    assert_eq!(set.rotation.retire_previous_after, Some(DAY));
    let code = sign(timed.vault(), &mut new_ledger(timed.vault()));
    for _ in 0..2 {
        let rotated = timed.rotate("mac", None);
        let before = rotated.version - 1;
        assert_eq!(state_of(&rotated, before).1, Some(timed.now() + DAY));
    }
    assert!(!timed.accepts(&code), "two rotations ago");
    let code = sign(timed.vault(), &mut new_ledger(timed.vault()));
    // For one rotation alone.
    let rotated = timed.rotate("mac", Some(HOUR));
    assert_eq!(rotated.rotation.retire_previous_after, Some(DAY));
    assert_eq!(state_of(&rotated, 3).1, Some(timed.now() + HOUR));
    timed.pass(HOUR / 2);
    let set = change(Some(2 * HOUR));
    assert_eq!(state_of(&set, 3).1, Some(timed.now() + 2 * HOUR));
    timed.pass(2 * HOUR);
    assert!(!timed.accepts(&code));
    change(None);
    assert!(!timed.accepts(&code), "what is over stays over");
    let out_of_bounds = RotationChange {
        retire_previous_after: Some(Some(Duration::ZERO)),
        every: None,
    };
    let refused = timed
        .vault()
        .set_rotation(&name("mac"), out_of_bounds, &actor());
    assert!(matches!(
        refused,
        Err(VaultError::RotationTime { min: 1, .. })
    ));
}

#[test]
fn an_exchange_signs_and_attaches_with_the_versions_that_it_began_with() {
    let timed = Timed::new();
    let vault = timed.vault();
    let mut early = new_ledger(vault);
    let (code, first) = (sign(vault, &mut early), note(vault, &mut early));
    timed.rotate("mac", None);
    timed.rotate("second-value-of-it", None);
    assert_eq!(sign(vault, &mut early), code);
    let second = note(vault, &mut early);
    assert_eq!(written(vault, &mut early, first), API_KEY);
    assert_eq!(written(vault, &mut early, second), API_KEY);
    // Control: another exchange begins with what is in use now.
    let mut late = new_ledger(vault);
    assert_ne!(sign(vault, &mut late), code);
    let other = note(vault, &mut late);
    assert_eq!(written(vault, &mut late, other), "second-value-of-it");
    // It verifies with what is accepted now.
    let late = sign(vault, &mut late);
    let permit = vault.permit::<uses::MacVerify>(&identity(), "k", &mut early);
    assert!(permit.unwrap().verify(b"message", &late).unwrap());
}

#[test]
fn a_version_that_is_destroyed_or_over_is_left_by_the_exchanges_that_began_with_it() {
    let timed = Timed::new();
    let vault = timed.vault();
    for end in ["retired", "not valid"] {
        let mut ledger = new_ledger(vault);
        let (code, early) = (sign(vault, &mut ledger), note(vault, &mut ledger));
        let before = vault.info(&name("api")).unwrap().version;
        timed.rotate("mac", None);
        timed.rotate("value-that-is-newer", None);
        for secret in ["mac", "api"].map(name) {
            if end == "retired" {
                vault.retire(&secret, before, &actor()).unwrap();
                continue;
            }
            let validity = Validity {
                not_before: None,
                not_after: Some(timed.now()),
            };
            vault
                .set_validity(&secret, before, validity, &actor())
                .unwrap();
        }
        assert_ne!(sign(vault, &mut ledger), code, "{end}");
        assert_eq!(
            written(vault, &mut ledger, early),
            "value-that-is-newer",
            "{end}"
        );
    }
}

#[test]
fn a_secret_that_is_disabled_is_dead_for_exchanges_that_began_with_it_too() {
    let timed = Timed::new();
    let vault = timed.vault();
    let mut ledger = new_ledger(vault);
    let early = note(vault, &mut ledger);
    sign(vault, &mut ledger);
    for secret in ["mac", "api"].map(name) {
        timed.rotate(
            if secret == name("mac") {
                "mac"
            } else {
                "another-value"
            },
            None,
        );
        vault.disable(&secret, &actor()).unwrap();
    }
    assert!(
        vault
            .permit::<uses::MacSign>(&identity(), "k", &mut ledger)
            .is_err()
    );
    let (route, method) = (route("billing"), Method::GET);
    let path_and_query = PathAndQuery::from_static("/v1/charges");
    let target = Target {
        route: &route,
        method: &method,
        address: "",
        authority: AUTHORITY,
        path_and_query: &path_and_query,
    };
    assert!(early.check(vault, &mut ledger, &target).is_err());
}

fn schedule(every: Option<Duration>) -> RotationChange {
    RotationChange {
        retire_previous_after: None,
        every: Some(every),
    }
}

#[test]
fn a_new_value_is_made_each_time_and_what_was_missed_once() {
    let mut timed = Timed::new();
    let mac = name("mac");
    let set = timed
        .vault()
        .set_rotation(&mac, schedule(Some(DAY)), &actor());
    let next = timed.now() + DAY;
    assert_eq!(
        set.unwrap().rotation.schedule,
        Some(Schedule { every: DAY, next })
    );
    assert_eq!(timed.vault().next_rotation(), Some(next));
    let run = |timed: &Timed| -> Vec<u64> {
        let due = timed.vault().rotate_due(&actor());
        due.into_iter()
            .map(|(_, rotated)| rotated.unwrap().version)
            .collect()
    };
    assert_eq!(run(&timed), [0; 0]);
    timed.pass(DAY);
    assert_eq!(run(&timed), [2]);
    assert_eq!(run(&timed), [0; 0]);
    // Nothing ran for ten days.
    timed.pass(10 * DAY + HOUR);
    timed.reopen();
    assert_eq!(run(&timed), [3]);
    assert_eq!(run(&timed), [0; 0]);
    assert_eq!(timed.vault().next_rotation(), Some(timed.now() + DAY));
    // Who rotates by hand begins anew.
    timed.pass(HOUR);
    timed.rotate("mac", None);
    assert_eq!(timed.vault().next_rotation(), Some(timed.now() + DAY));
    // What is disabled rests.
    timed.vault().disable(&mac, &actor()).unwrap();
    timed.pass(2 * DAY);
    assert_eq!((timed.vault().next_rotation(), run(&timed)), (None, vec![]));
    timed.vault().enable(&mac, &actor()).unwrap();
    assert_eq!(run(&timed), [5]);
    timed
        .vault()
        .set_rotation(&mac, schedule(None), &actor())
        .unwrap();
    timed.pass(2 * DAY);
    assert_eq!((timed.vault().next_rotation(), run(&timed)), (None, vec![]));
}

#[test]
fn a_schedule_is_for_keys_that_nobody_has_to_know_and_has_bounds() {
    let timed = Timed::new();
    for kind in ["api", "clients"].map(name) {
        let refused = timed
            .vault()
            .set_rotation(&kind, schedule(Some(DAY)), &actor());
        assert!(matches!(refused, Err(VaultError::NotScheduled { .. })));
    }
    for every in [Duration::from_secs(59), MAX_ROTATION_TIME * 2] {
        let refused = timed
            .vault()
            .set_rotation(&name("mac"), schedule(Some(every)), &actor());
        assert!(matches!(
            refused,
            Err(VaultError::RotationTime { min: 60, .. })
        ));
    }
    let data = Kind::DataKey {
        encoding: KeyEncoding::Hex,
    };
    let vault = timed.vault();
    vault
        .add(&name("data"), data, data.generate().unwrap(), &actor())
        .unwrap();
    let refused = vault.set_rotation(&name("data"), schedule(Some(DAY)), &actor());
    assert!(matches!(refused, Err(VaultError::NotScheduled { .. })));
}

#[test]
fn after_a_401_there_are_notes_once_more_only_with_another_version_and_where_the_grant_says_so() {
    let timed = Timed::new();
    let vault = timed.vault();
    let post = Method::POST;
    let plain = grant("attach", "api", "backend", Use::Attach);
    let idempotent = format!("{plain}retry-on-401 = true\n");
    let any = format!("{idempotent}retry-any-method = true\n");
    for (text, methods) in [
        (&plain, [false, false]),
        (&idempotent, [true, false]),
        (&any, [true; 2]),
    ] {
        vault.set_grants(grants(text), &actor()).unwrap();
        let notes = note(vault, &mut new_ledger(vault));
        let found = [&Method::GET, &post].map(|method| notes.replay(method).is_some());
        assert_eq!(found, methods, "{text}");
    }
    let get = &Method::GET;
    let mut ledger = new_ledger(vault);
    let replay = || note(vault, &mut new_ledger(vault)).replay(get).unwrap();
    assert!(replay().secrets(get).eq([&name("api")]));
    assert!(
        replay().renew(vault, &mut ledger, get).is_none(),
        "the same version"
    );
    let mut ledger = new_ledger(vault);
    let kept = note(vault, &mut ledger).replay(get).unwrap();
    timed.rotate("value-number-two", None);
    let renewed = kept.renew(vault, &mut ledger, get).unwrap();
    assert_eq!(written(vault, &mut ledger, renewed), "value-number-two");
    let again = note(vault, &mut ledger);
    assert_eq!(
        written(vault, &mut ledger, again),
        "value-number-two",
        "from then on"
    );
    // A grant that is gone, or no longer says so.
    let mut ledger = new_ledger(vault);
    let (one, two) = (note(vault, &mut ledger), note(vault, &mut ledger));
    timed.rotate("value-number-three", None);
    vault.set_grants(grants(&plain), &actor()).unwrap();
    let said_so = one.replay(get).unwrap();
    assert!(said_so.renew(vault, &mut ledger, get).is_none());
    vault.set_grants(Grants::none(), &actor()).unwrap();
    assert!(
        two.replay(get)
            .unwrap()
            .renew(vault, &mut ledger, get)
            .is_none()
    );
}

#[test]
fn a_schedule_and_its_rotations_are_on_record() {
    let timed = Timed::new();
    let seen = Mutex::new(Vec::new());
    timed
        .vault()
        .set_rotation(&name("mac"), schedule(Some(HOUR)), &actor())
        .unwrap();
    timed.pass(HOUR);
    let by = Actor {
        name: "schedule".to_owned(),
        reason: None,
    };
    timed.vault().rotate_due(&by);
    let trail = timed.test.files.audit.clone();
    drop(timed.vault);
    for record in read_records(&trail).map(Result::unwrap) {
        if record["act"] == "rotation-set" || record["act"] == "secret-rotated" {
            let act = (record["act"].clone(), record["actor"].clone());
            seen.lock().unwrap().push(act);
        }
    }
    let seen = seen.into_inner().unwrap();
    assert_eq!(
        seen,
        [
            ("rotation-set".into(), "uid 1000".into()),
            ("secret-rotated".into(), "schedule".into())
        ]
    );
}
