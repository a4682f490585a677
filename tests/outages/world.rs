//! A gateway that serves on loopback and attaches a key that comes from a source,
//! and a source that fails as a test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use keyward::names::{SecretName, SourceName};
use keyward::sources::refresh::{Freshness, Schedule, SecretReport};
use keyward::sources::{CheckStep, ContentType, Fetched, Source, SourceError, SourceVersion};
use keyward::vault::{Actor, Cache, KeySource, Kind, Origin, Secret, Validity, Vault, VaultError};
use keyward_gateway::Gateway;
use keyward_gateway::assemble::OpenError;
use keyward_gateway::config::Config;
use keyward_tests::{ATTACH_GRANT, Backend, TestGateway, policy_file};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Future<'a, T> = std::pin::Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// How long what is to come about may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What the source gives until a test says otherwise.
pub(crate) const GOOD: &str = "key-of-the-backend-00000001";

/// What the source does when it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// It gives this value.
    Gives(&'static str),
    /// It gives this value after so long a time.
    GivesAfter(&'static str, Duration),
    /// It gives this value and calls it a certificate.
    GivesAsCertificate(&'static str),
    /// It gives this value and says that it is over since that many seconds.
    GivesExpired(&'static str),
    /// It gives this value and says that it is not to be used.
    GivesDisabled(&'static str),
    /// It fails.
    Fails(SourceError),
    /// It never answers.
    Hangs,
}

pub(crate) struct Fake {
    name: SourceName,
    does: Mutex<Does>,
    asked: Mutex<u64>,
}

impl Fake {
    fn answer(&self) -> Result<Option<Fetched>, SourceError> {
        *self.asked.lock().unwrap() += 1;
        let does = self.does.lock().unwrap().clone();
        let (value, validity, enabled, content_type) = match does {
            Does::Gives(value) | Does::GivesAfter(value, _) => {
                (value, Validity::default(), true, None)
            }
            Does::GivesAsCertificate(value) => {
                let pfx = Some(ContentType::Pkcs12);
                (value, Validity::default(), true, pfx)
            }
            Does::GivesExpired(value) => {
                let not_after = "2020-01-01T00:00:00Z".parse().ok();
                let validity = Validity {
                    not_before: None,
                    not_after,
                };
                (value, validity, true, None)
            }
            Does::GivesDisabled(value) => (value, Validity::default(), false, None),
            Does::Fails(error) => return Err(error),
            Does::Hangs => return Ok(None),
        };
        let value = Secret::read_from(value.as_bytes(), 1 << 16).map_err(|_| SourceError::Empty)?;
        Ok(Some(Fetched {
            value,
            version: SourceVersion::parse("7")?,
            validity,
            enabled,
            content_type,
        }))
    }
}

impl Source for Fake {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "fake"
    }

    fn fetch<'a>(&'a self, _: &'a str) -> Future<'a, Result<Fetched, SourceError>> {
        Box::pin(async move {
            let answer = self.answer()?;
            let does = self.does.lock().unwrap().clone();
            if let Does::GivesAfter(_, time) = does {
                tokio::time::sleep(time).await;
            }
            match answer {
                Some(fetched) => Ok(fetched),
                None => std::future::pending().await,
            }
        })
    }

    fn check<'a>(&'a self, _: Option<&'a str>) -> Future<'a, Vec<CheckStep>> {
        Box::pin(async { vec![CheckStep::passed("it is there", "")] })
    }

    fn check_key(&self, _: &str) -> Result<(), SourceError> {
        Ok(())
    }
}

/// When the source of a test is asked.
pub(crate) fn schedule() -> Schedule {
    Schedule {
        refresh: Duration::from_secs(1),
        stale_limit: Duration::from_secs(6),
        timeout: Duration::from_millis(500),
        concurrency: 4,
    }
}

pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) gateway: Arc<Gateway>,
    address: SocketAddr,
    admin: SocketAddr,
    pub(crate) source: Arc<Fake>,
    backend: Backend,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

pub(crate) fn name() -> SecretName {
    SecretName::parse("billing-key").unwrap()
}

fn config(folder: &Path, backend: &Backend) -> Config {
    let component = policy_file("attach-api-key").display().to_string();
    let text = format!(
        r#"
[gateway]
listen = "127.0.0.1:0"
start-wait = "2s"
[gateway.admin]
listen = "127.0.0.1:0"
[grants]
file = "grants.toml"
# The one that the tests bring takes its place.
[sources.far]
kind = "files"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "attach-api-key"
component = "{component}"
[[pipeline]]
path = "/"
route = "billing"
inbound = ["attach-api-key"]
"#,
        backend.url()
    );
    std::fs::write(folder.join("grants.toml"), ATTACH_GRANT).unwrap();
    std::fs::write(folder.join("keyward.toml"), text).unwrap();
    Config::load(&folder.join("keyward.toml")).unwrap_or_else(|error| panic!("{error}"))
}

impl World {
    /// A gateway whose source does `does` from the start.
    pub(crate) async fn start(does: Does, cache: Cache) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, does, cache).await
    }

    /// The same in a folder that has a vault already.
    pub(crate) async fn start_in(folder: tempfile::TempDir, does: Does, cache: Cache) -> Self {
        let backend = Backend::answering(|received| {
            let known = received.header("x-api-key").is_some();
            let status = match known {
                true => StatusCode::OK,
                false => StatusCode::UNAUTHORIZED,
            };
            Response::builder()
                .status(status)
                .body(Full::from("done"))
                .unwrap()
        })
        .await;
        let config = config(folder.path(), &backend);
        let (files, file) = (config.vault_files(), config.file.clone());
        if !files.vault.exists() {
            Vault::create(&files).unwrap();
        }
        let opening = move || {
            // The one before may be about to let go of the vault.
            let limit = std::time::Instant::now() + Duration::from_secs(20);
            loop {
                let key = KeySource::KeyFile(files.key.clone());
                match Gateway::open(Config::load(&file).unwrap(), key, &actor()) {
                    Ok(gateway) => return gateway,
                    Err(OpenError::Vault(VaultError::Locked { .. }))
                        if std::time::Instant::now() < limit =>
                    {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let gateway = tokio::task::spawn_blocking(opening).await.unwrap();
        let keyward = gateway.keyward();
        let vault = keyward.vault();
        if vault.info(&name()).is_none() {
            let reference = "far:k".parse().unwrap();
            let origin = Origin { reference, cache };
            vault
                .add_sourced(&name(), Kind::ApiKey, origin, &actor())
                .unwrap();
        }
        let source = Arc::new(Fake {
            name: SourceName::parse("far").unwrap(),
            does: Mutex::new(does),
            asked: Mutex::default(),
        });
        gateway.bring_source(Arc::clone(&source) as Arc<dyn Source>, schedule());
        let bound = gateway.bind().await.unwrap();
        let (address, admin) = (bound.address(), bound.admin_address().unwrap());
        let gateway = Arc::clone(bound.gateway());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            bound
                .serve(async {
                    let _ = stopped.await;
                })
                .await;
        });
        let world = Self {
            folder,
            gateway,
            address,
            admin,
            source,
            backend,
            stop: Some(stop),
            serving,
        };
        world
            .until("it serves", async || {
                world.page("/ready").await.starts_with("ready")
            })
            .await;
        world
    }

    pub(crate) fn does(&self, does: Does) {
        *self.source.does.lock().unwrap() = does;
    }

    pub(crate) fn times_asked(&self) -> u64 {
        *self.source.asked.lock().unwrap()
    }

    /// How the gateway answers a request that needs the key, and which key the backend
    /// was shown.
    pub(crate) async fn ask(&self) -> (StatusCode, Option<String>) {
        let before = self.backend.received().len();
        let status = self.get(self.address, "/v1/charges").await.0;
        let received = self.backend.received();
        let shown = received.get(before..).unwrap_or_default().last();
        let key = shown.and_then(|received| received.header("x-api-key"));
        (status, key.map(str::to_owned))
    }

    /// A page of the administrators' port.
    pub(crate) async fn page(&self, path: &str) -> String {
        self.get(self.admin, path).await.1
    }

    async fn get(&self, address: SocketAddr, path: &str) -> (StatusCode, String) {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let uri = format!("http://{address}{path}");
        let request = Request::get(uri).body(Full::default()).unwrap();
        let answer = client.request(request).await.unwrap();
        let status = answer.status();
        let body = http_body_util::BodyExt::collect(answer.into_body());
        let body = body.await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) fn report(&self) -> SecretReport {
        self.gateway.refresher().secret(&name()).unwrap()
    }

    /// Waits until the secret is so.
    pub(crate) async fn until_it_is(&self, freshness: Freshness) {
        let what = format!("the secret is {}", freshness.as_str());
        self.until(&what, async || self.report().freshness == freshness)
            .await;
    }

    pub(crate) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let limit = tokio::time::Instant::now() + PATIENCE;
        while !holds().await {
            assert!(tokio::time::Instant::now() < limit, "never: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The lines of `keyward doctor` about sources.
    pub(crate) async fn doctor(&self) -> String {
        self.doctor_of("source").await
    }

    /// Those of findings whose name begins so.
    pub(crate) async fn doctor_of(&self, what: &str) -> String {
        doctor(self.folder.path(), what).await
    }

    /// What `keyward secret list` says of the secret, by column.
    pub(crate) async fn listed(&self) -> BTreeMap<String, String> {
        let text = keyward(self.folder.path(), &["secret", "list"]).await;
        let lines: Vec<&str> = text.lines().collect();
        let [heading, row] = lines[..] else {
            panic!("{text}");
        };
        let columns = heading.split("  ").map(str::trim);
        let columns: Vec<&str> = columns.filter(|column| !column.is_empty()).collect();
        let starts: Vec<usize> = columns
            .iter()
            .map(|column| heading.find(column).unwrap())
            .collect();
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let cells = starts.iter().zip(ends).map(|(start, end)| {
            let cell = row.get(*start..end.min(row.len())).unwrap_or_default();
            cell.trim().to_owned()
        });
        let columns = columns.iter().map(|column| (*column).to_owned());
        columns.zip(cells).collect()
    }

    /// Stops as SIGTERM does.
    pub(crate) async fn stop(mut self) -> tempfile::TempDir {
        drop(self.stop.take());
        self.serving.await.unwrap();
        self.folder
    }
}

/// What `keyward` prints that asks the gateway in that folder.
pub(crate) async fn keyward(folder: &Path, arguments: &'static [&'static str]) -> String {
    let own = std::env::current_exe().unwrap();
    let binary = own.parent().unwrap().parent().unwrap().join("keyward");
    assert!(
        binary.is_file(),
        "build it with `cargo build -p keyward-cli`"
    );
    let file = folder.join("keyward.toml");
    let run = move || {
        let mut command = Command::new(binary);
        command.env_clear().args(arguments);
        command.arg("--config").arg(file).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The lines of `keyward doctor`, of the gateway in that folder, about findings whose
/// name begins so.
pub(crate) async fn doctor(folder: &Path, what: &str) -> String {
    let text = keyward(folder, &["doctor"]).await;
    let mut lines = text.lines().peekable();
    let mut about = String::new();
    while let Some(line) = lines.next() {
        let name = line.get(9..).unwrap_or_default();
        if name.starts_with(what) {
            about.push_str(line);
            about.push('\n');
            if let Some(fix) = lines.next_if(|line| line.starts_with("         fix:")) {
                about.push_str(fix);
                about.push('\n');
            }
        }
    }
    about
}

pub(crate) fn actor() -> Actor {
    TestGateway::actor()
}
