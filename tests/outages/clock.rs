//! Clocks that jump, by hours and by years, forward and back: what is stale or due is
//! told by a clock that only goes forward, and only the validity of a value by the wall
//! clock; and, at the start of a gateway, how old a sealed value is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyward::names::{Alias, PolicyName};
use keyward::names::{SecretName, SourceName};
use keyward::sources::refresh::{
    Freshness, HasVault, IntoVault, Refresher, Schedule, Scheduled, Selection, tracked_in,
};
use keyward::sources::{CheckStep, Fetched, Source, SourceError, SourceVersion};
use keyward::vault::{
    Ask, Durability, Grants, PolicyIdentity, Use, digest_component, new_exchange_id, uses,
};
use keyward::vault::{
    Cache, Clock, FileStorage, KeySource, Kind, Opening, Origin, Secret, SecretInfo, Validity,
    Vault, VaultFiles,
};

use crate::world::actor;

const GRANTS: &str = r#"
[[grant]]
id = "sign"
policy = "signer"
secret = "signing"
alias = "key"
use = "mac-sign"
"#;

/// In seconds.
const HOUR: i64 = 3600;
/// A decade.
const FAR: i64 = 10 * 365 * 24 * HOUR;

type Future<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// A source that answers once, with a value for that time.
struct Once(SourceName, Mutex<Option<Validity>>);

impl Source for Once {
    fn name(&self) -> &SourceName {
        &self.0
    }

    fn kind(&self) -> &'static str {
        "once"
    }

    fn fetch<'a>(&'a self, _: &'a str) -> Future<'a, Result<Fetched, SourceError>> {
        let validity = self.1.lock().unwrap().take();
        Box::pin(std::future::ready(match validity {
            None => Err(SourceError::TimedOut),
            Some(validity) => Ok(Fetched {
                value: Secret::generate(43),
                version: SourceVersion::parse("1").unwrap(),
                validity,
                enabled: true,
                content_type: None,
            }),
        }))
    }

    fn check<'a>(&'a self, _: Option<&'a str>) -> Future<'a, Vec<CheckStep>> {
        Box::pin(async { Vec::new() })
    }

    fn check_key(&self, _: &str) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A vault whose wall clock a test moves.
struct Moved(Vault);

/// The same, for what fetches.
struct Held(Arc<Moved>);

impl HasVault for Held {
    fn vault(&self) -> &Vault {
        &self.0.0
    }
}

impl Moved {
    fn signs(&self) -> bool {
        let policy = PolicyIdentity {
            name: PolicyName::parse("signer").unwrap(),
            component: digest_component(b"code"),
            asks: vec![Ask {
                alias: Alias::parse("key").unwrap(),
                use_: Use::MacSign,
            }],
        };
        let mut ledger = self.0.begin(new_exchange_id());
        let permit = self.0.permit::<uses::MacSign>(&policy, "key", &mut ledger);
        permit.is_ok()
    }

    fn info(&self) -> SecretInfo {
        self.0.info(&name()).unwrap()
    }
}

fn name() -> SecretName {
    SecretName::parse("signing").unwrap()
}

/// A vault file whose one secret comes from a source.
fn created(folder: &std::path::Path, cache: Cache) {
    let files = VaultFiles::in_directory(folder);
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let origin = Origin {
        reference: "once:k".parse().unwrap(),
        cache,
    };
    let kind: Kind = "hmac-key".parse().unwrap();
    vault.add_sourced(&name(), kind, origin, &actor()).unwrap();
}

/// A gateway's start, with a clock that is off by so many seconds and a source that has
/// this, once.
fn started(
    folder: &std::path::Path,
    seconds: i64,
    gives: Option<Validity>,
) -> (Arc<Moved>, Arc<AtomicI64>, Refresher) {
    let files = VaultFiles::in_directory(folder);
    let off = Arc::new(AtomicI64::new(seconds));
    let moved = Arc::clone(&off);
    let clock = Clock::of(move || {
        let off = SignedDuration::from_secs(moved.load(Ordering::SeqCst));
        Timestamp::now().checked_add(off).unwrap()
    });
    let opening = Opening {
        key: KeySource::KeyFile(files.key.clone()),
        durability: Durability::Buffered,
    };
    let storage = FileStorage::open(&files.audit).unwrap();
    let disk: Arc<dyn keyward::vault::disk::Disk> = Arc::new(keyward::vault::disk::FileSystem);
    let vault = Vault::open_apart(&disk, &files, opening, Box::new(storage), clock).unwrap();
    let grants = Grants::parse("grants.toml", GRANTS).unwrap();
    vault.set_grants(grants, &actor()).unwrap();
    let vault = Arc::new(Moved(vault));
    let refresher = Refresher::seeded(Arc::new(IntoVault(Held(Arc::clone(&vault)))), 7);
    let source = Once(SourceName::parse("once").unwrap(), Mutex::new(gives));
    let schedule = Schedule::default();
    let source = Arc::new(source) as Arc<dyn Source>;
    refresher.start();
    refresher.apply(vec![Scheduled { source, schedule }], tracked_in(&vault.0));
    (vault, off, refresher)
}

/// Ends it, so that its files can be opened again.
async fn ended((vault, _, refresher): (Arc<Moved>, Arc<AtomicI64>, Refresher)) {
    drop(refresher);
    for _ in 0..1000 {
        if Arc::strong_count(&vault) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("what fetches has not ended");
}

async fn fetched_once(
    folder: &std::path::Path,
    cache: Cache,
    validity: Validity,
) -> (Arc<Moved>, Arc<AtomicI64>, Refresher) {
    created(folder, cache);
    let (vault, off, refresher) = started(folder, 0, Some(validity));
    let missing = refresher.first_values(Duration::from_secs(10)).await;
    assert!(missing.is_empty());
    assert_eq!(vault.info().version, 1);
    (vault, off, refresher)
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_makes_nothing_stale_and_nothing_due() {
    let folder = tempfile::tempdir().unwrap();
    let (vault, off, refresher) =
        fetched_once(folder.path(), Cache::Memory, Validity::default()).await;
    for jump in [6 * HOUR, -6 * HOUR, FAR, -FAR, 0] {
        off.store(jump, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(600)).await;
        assert!(vault.signs(), "{jump}");
        let report = refresher.secret(&name()).unwrap();
        assert_eq!(report.freshness, Freshness::Stale, "{jump}");
    }
    // What passes by the clock that only goes forward does count.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let report = refresher.secret(&name()).unwrap();
    assert_eq!(report.freshness, Freshness::Unavailable);
    assert!(!vault.signs());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_ends_what_is_valid_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let from_now = |hours| Timestamp::now().checked_add(SignedDuration::from_hours(hours));
    let validity = Validity {
        not_before: from_now(-1).ok(),
        not_after: from_now(10).ok(),
    };
    let (vault, off, refresher) = fetched_once(folder.path(), Cache::Memory, validity).await;
    for (jump, expected) in [
        (0, true),
        (6 * HOUR, true),
        (11 * HOUR, false),
        (FAR, false),
        (-2 * HOUR, false),
        (-FAR, false),
        (0, true),
    ] {
        off.store(jump, Ordering::SeqCst);
        assert_eq!(vault.signs(), expected, "{jump}");
    }
    // It was asked for nothing meanwhile.
    let refreshed = refresher.refresh(&Selection::All).await;
    assert!(refreshed[0].outcome.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_sealed_value_is_as_old_as_the_wall_clock_says_when_a_gateway_starts() {
    let folder = tempfile::tempdir().unwrap();
    let first = fetched_once(folder.path(), Cache::Sealed, Validity::default()).await;
    ended(first).await;
    for (jump, is_served) in [(0, true), (6 * HOUR, false), (-6 * HOUR, true), (0, true)] {
        // Its source doesn't answer.
        let (vault, off, refresher) = started(folder.path(), jump, None);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(vault.signs(), is_served, "{jump}");
        let report = refresher.secret(&name()).unwrap();
        let expected = match is_served {
            true => Freshness::Fresh,
            false => Freshness::Unavailable,
        };
        assert_eq!(report.freshness, expected, "{jump}");
        // Set right while it runs, the clock changes nothing more: a clock that was
        // behind never lets a value be used for longer than the limit.
        off.store(0, Ordering::SeqCst);
        assert_eq!(vault.signs(), is_served, "{jump}");
        if jump < 0 {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert!(!vault.signs());
        }
        ended((vault, off, refresher)).await;
        // A good answer ends whatever a jump did.
        let (vault, off, refresher) = started(folder.path(), 0, Some(Validity::default()));
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if vault.signs() {
                break;
            }
        }
        assert!(vault.signs(), "{jump}: control");
        ended((vault, off, refresher)).await;
    }
}
