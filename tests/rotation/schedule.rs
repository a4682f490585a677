//! A gateway makes new values when their time has come, one that serves, too.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jiff::{SignedDuration, Timestamp};
use keyward::names::SecretName;
use keyward::vault::disk::{Disk, FileSystem};
use keyward::vault::{
    Actor, Clock, Durability, FileStorage, KeyEncoding, KeySource, Kind, MacAlgorithm, Opening,
    RotationChange, Secret, Vault, VaultFiles, read_records,
};
use keyward_gateway::Gateway;
use keyward_gateway::config::Config;
use keyward_gateway::control::{GrantsReloaded, Node, Status};
use keyward_gateway::rotation::rotate;
use keyward_tests::{Backend, TestGateway, policy_file};
use tokio::sync::oneshot;

use crate::verify;

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

/// Lets the gateway below sign.
const GRANTS: &str = r#"
[[grant]]
id = "sign"
policy = "sign-request"
secret = "signing"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing" }]
"#;

fn configuration(folder: &Path, backend: &Backend) -> Config {
    let component = policy_file("sign-request").display().to_string();
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "sign-request"
component = "{component}"
settings = {{}}
[[pipeline]]
path = "/"
route = "billing"
inbound = ["sign-request"]
"#,
        backend.url()
    );
    std::fs::write(folder.join("grants.toml"), GRANTS).unwrap();
    std::fs::write(folder.join("keyward.toml"), text).unwrap();
    Config::load(&folder.join("keyward.toml")).unwrap_or_else(|error| panic!("{error}"))
}

/// A vault with keys whose schedules were set two hours ago, each of another length.
fn made_two_hours_ago(files: &VaultFiles, keys: &[(&SecretName, Duration)]) {
    let opening = Opening {
        key: KeySource::KeyFile(files.key.clone()),
        durability: Durability::Buffered,
    };
    let storage = Box::new(FileStorage::open(&files.audit).unwrap());
    let disk: Arc<dyn Disk> = Arc::new(FileSystem);
    let clock = Clock::of(|| Timestamp::now() - SignedDuration::from_hours(2));
    let vault = Vault::open_apart(&disk, files, opening, storage, clock).unwrap();
    for (name, every) in keys {
        let kind = Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Raw,
        };
        let actor = TestGateway::actor();
        let first = Secret::read_from(FIRST.as_bytes(), 4096).unwrap();
        vault.add(name, kind, first, &actor).unwrap();
        let every = RotationChange {
            retire_previous_after: None,
            every: Some(Some(*every)),
        };
        vault.set_rotation(name, every, &actor).unwrap();
    }
}

/// The value of version 1 of both.
const FIRST: &str = "the-first-signing-key-0000000001";

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_serves_makes_the_values_that_are_due_and_signs_with_them() {
    let (backend, folder) = (Backend::start().await, tempfile::tempdir().unwrap());
    let config = configuration(folder.path(), &backend);
    let files = config.vault_files();
    Vault::create(&files).unwrap();
    let due = SecretName::parse("signing").unwrap();
    let control = SecretName::parse("due-tomorrow").unwrap();
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    made_two_hours_ago(&files, &[(&due, hour), (&control, day)]);

    let key = KeySource::KeyFile(files.key.clone());
    let open = move || Gateway::open(config, key, &TestGateway::actor());
    let gateway = tokio::task::spawn_blocking(open).await.unwrap();
    let bound = gateway
        .unwrap_or_else(|error| panic!("{error}"))
        .bind()
        .await
        .unwrap();
    let (address, gateway) = (bound.address(), Arc::clone(bound.gateway()));
    let version = |name| gateway.vault().info(name).unwrap().version;
    assert_eq!((version(&due), version(&control)), (1, 1));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.serve(async {
        let _ = stopped.await;
    }));
    let began = Instant::now();
    while version(&due) == 1 {
        assert!(began.elapsed() < Duration::from_secs(20), "not made");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(format!("http://{address}/v1/charges"));
    let answer = client.request(request.body(Full::default()).unwrap());
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    let received = backend.received();
    assert!(received[0].header("signature").is_some());
    assert!(!verify::request(&received[0], FIRST, b""), "the old one");
    // Once for what was missed, and nothing that is not due.
    assert_eq!((version(&due), version(&control)), (2, 1));
    drop(stop);
    serving.await.unwrap();
    drop(gateway);
    let records = read_records(&files.audit).map(Result::unwrap);
    let rotated: Vec<_> = records
        .filter(|record| record["act"] == "secret-rotated")
        .collect();
    assert_eq!(rotated.len(), 1);
    assert_eq!(rotated[0]["actor"], "schedule", "{}", rotated[0]);
}
