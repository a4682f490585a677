//! A gateway makes new values when their time has come.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keyward::names::SecretName;
use keyward::vault::disk::{Disk, FileSystem};
use keyward::vault::{
    Actor, Clock, Durability, FileStorage, KeyEncoding, KeySource, Kind, MacAlgorithm, Opening,
    RotationChange, Vault, VaultFiles,
};
use keyward_gateway::control::{GrantsReloaded, Node, Status};
use keyward_gateway::rotation::rotate;
use keyward_tests::TestGateway;

struct OnlyVault(Vault, std::path::PathBuf);

impl Node for OnlyVault {
    fn vault(&self) -> &Vault {
        &self.0
    }

    fn trail(&self) -> &Path {
        &self.1
    }

    fn reload_grants(&self, _: &Actor) -> Result<GrantsReloaded, String> {
        Err("there are none".to_owned())
    }

    fn status(&self) -> Option<Status> {
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_made_when_its_time_has_come_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(folder.path());
    Vault::create(&files).unwrap();
    let time = Arc::new(AtomicI64::new(Timestamp::now().as_second()));
    let clock = {
        let time = Arc::clone(&time);
        Clock::of(move || Timestamp::from_second(time.load(Ordering::Relaxed)).unwrap())
    };
    let opening = Opening {
        key: KeySource::KeyFile(files.key.clone()),
        durability: Durability::Buffered,
    };
    let storage = Box::new(FileStorage::open(&files.audit).unwrap());
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let vault = Vault::open_apart(&disk, &files, opening, storage, clock).unwrap();
    let (name, actor) = (SecretName::parse("signing").unwrap(), TestGateway::actor());
    let kind = Kind::HmacKey {
        algorithm: MacAlgorithm::Sha256,
        encoding: KeyEncoding::Raw,
    };
    vault
        .add(&name, kind, kind.generate().unwrap(), &actor)
        .unwrap();
    let every = RotationChange {
        retire_previous_after: None,
        every: Some(Some(Duration::from_secs(3600))),
    };
    vault.set_rotation(&name, every, &actor).unwrap();
    let node = Arc::new(OnlyVault(vault, files.audit.clone()));
    let work = tokio::spawn(rotate(node.clone(), Duration::from_millis(1)));
    let version = || node.0.info(&name).unwrap().version;
    for (passes, expected) in [(3599, 1), (1, 2), (36_000, 3)] {
        time.fetch_add(passes, Ordering::Relaxed);
        let began = Instant::now();
        while version() < expected {
            assert!(began.elapsed() < Duration::from_secs(20), "not made");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Some periods more, in which nothing is due.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(version(), expected);
    }
    work.abort();
}
