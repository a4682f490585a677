//! Restarts while a source doesn't answer: a value that is sealed in the vault is not
//! used for longer than if the gateway had run on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use keyward::sources::refresh::tracked_in;
use keyward::vault::{
    Cache, Clock, Durability, FileStorage, KeySource, Kind, Opening, Origin, Received, Secret,
    SourceVersion, Validity, Vault, VaultFiles,
};

use crate::world::{actor, name};

/// A vault that is opened anew for each thing that is asked of it, by a clock of the
/// test's.
struct Restarting {
    files: VaultFiles,
    seconds: Arc<AtomicI64>,
}

impl Restarting {
    fn new(folder: &Path) -> Self {
        let files = VaultFiles::in_directory(folder);
        Vault::create(&files).unwrap();
        Self {
            files,
            seconds: Arc::new(AtomicI64::new(0)),
        }
    }

    fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    fn open(&self) -> Vault {
        let (start, seconds) = (Timestamp::now(), Arc::clone(&self.seconds));
        let clock = Clock::of(move || {
            let passed = SignedDuration::from_secs(seconds.load(Ordering::SeqCst));
            start.checked_add(passed).unwrap()
        });
        let opening = Opening {
            key: KeySource::KeyFile(self.files.key.clone()),
            durability: Durability::Buffered,
        };
        let storage = Box::new(FileStorage::open(&self.files.audit).unwrap());
        let disk: Arc<dyn keyward::vault::disk::Disk> = Arc::new(keyward::vault::disk::FileSystem);
        Vault::open_apart(&disk, &self.files, opening, storage, clock).unwrap()
    }

    /// For how long the source has not confirmed the value, at the next start.
    fn unconfirmed(&self) -> Option<u64> {
        let vault = self.open();
        let tracked = tracked_in(&vault).remove(0);
        assert_eq!(tracked.has_value, tracked.confirmed_ago.is_some());
        tracked.confirmed_ago.map(|ago| ago.as_secs())
    }
}

fn received(value: &str) -> Received {
    Received {
        reference: "far:key".parse().unwrap(),
        value: Secret::read_from(value.as_bytes(), 100).unwrap(),
        source_version: SourceVersion::parse("1").unwrap(),
        validity: Validity::default(),
        enabled: true,
    }
}

fn close_to(found: Option<u64>, expected: u64) {
    let found = found.unwrap();
    assert!(
        (expected..=expected + 5).contains(&found),
        "{found}, and {expected} was expected"
    );
}

#[test]
fn the_time_of_the_last_good_answer_outlives_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let world = Restarting::new(folder.path());
    let (name, source) = (name(), "far".parse().unwrap());
    let origin = |cache| Origin {
        reference: "far:key".parse().unwrap(),
        cache,
    };
    let vault = world.open();
    let sealed = origin(Cache::Sealed);
    vault
        .add_sourced(&name, Kind::ApiKey, sealed, &actor())
        .unwrap();
    drop(vault);
    assert_eq!(world.unconfirmed(), None, "nothing came yet");
    let value = "sk-live-9b1f64a07c2e5d83f0a4719ce2b85d36";
    world
        .open()
        .receive(&name, received(value), &actor())
        .unwrap();
    close_to(world.unconfirmed(), 0);
    // However often it is started anew, time passes.
    for hours in 1..4 {
        world.pass(3600);
        close_to(world.unconfirmed(), hours * 3600);
    }
    // The same value again is no write of its own; that it was confirmed is.
    let vault = world.open();
    vault.receive(&name, received(value), &actor()).unwrap();
    let confirmed = [(name.clone(), Duration::from_secs(60))];
    vault.confirm(&source, &confirmed, &actor()).unwrap();
    drop(vault);
    close_to(world.unconfirmed(), 60);
    // Never back, and not by another source.
    let vault = world.open();
    let before = vault.confirmed_ago(&name);
    let earlier = [(name.clone(), Duration::from_secs(600))];
    vault.confirm(&source, &earlier, &actor()).unwrap();
    assert_eq!(vault.confirmed_ago(&name), before);
    world.pass(100);
    let now = [(name.clone(), Duration::ZERO)];
    vault
        .confirm(&"other".parse().unwrap(), &now, &actor())
        .unwrap();
    drop(vault);
    close_to(world.unconfirmed(), 160);
    // What is here when the source changes counts from then.
    let vault = world.open();
    let other = Origin {
        reference: "other:key".parse().unwrap(),
        cache: Cache::Sealed,
    };
    vault.set_origin(&name, other, &actor()).unwrap();
    drop(vault);
    world.pass(50);
    close_to(world.unconfirmed(), 50);
    // A clock that was set back makes nothing older than it is.
    world.pass(-7200);
    assert_eq!(world.unconfirmed(), Some(0));
    let vault = world.open();
    let memory = origin(Cache::Memory);
    vault.set_origin(&name, memory, &actor()).unwrap();
    drop(vault);
    assert_eq!(world.unconfirmed(), None, "nothing is kept");
}
