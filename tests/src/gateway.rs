//! A whole gateway in a temporary directory: real vault, real audit trail, real
//! components, real connections to loopback backends. Only the client's
//! connection is left out; requests go straight into the story of an exchange.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use keyward::egress::{Roots, Route, full};
use keyward::engine::{EngineConfig, MemoryObserver, Phase, Policy, PolicySource};
use keyward::names::{PolicyName, RouteName, SecretName};
use keyward::vault::{
    Actor, Durability, Grants, KeyEncoding, Kind, MacAlgorithm, Secret, Vault, VaultFiles,
};
use keyward::{Issuer, Keyward};
use keyward_gateway::config::PathPrefix;
use keyward_gateway::pipeline::{Pipeline, Pipelines};
use tempfile::TempDir;

use crate::sinks;
use crate::storage::DiskControl;

/// Lets `attach-api-key` attach the API key `billing-key` on `/v1/charges` of the
/// route `billing`.
pub const ATTACH_GRANT: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "billing-key"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]
"#;

/// What is to be put together.
pub struct Builder {
    directory: TempDir,
    secrets: Vec<(String, Kind, Vec<u8>)>,
    grants: String,
    routes: Vec<(String, String)>,
    /// Who vouches for routes that the system's authorities don't.
    roots: BTreeMap<String, Vec<u8>>,
    issuers: Vec<Issuer>,
    /// Who vouches for all others over TLS.
    trusted: Option<Vec<u8>>,
    steps: Vec<Step>,
    path: String,
    durability: Durability,
    controlled: bool,
    engine: EngineConfig,
    observer: Option<MemoryObserver>,
}

struct Step {
    path: String,
    phases: Vec<Phase>,
    file: PathBuf,
    name: String,
    settings: Option<serde_json::Value>,
    routes: Vec<String>,
}

/// A gateway that is ready for requests.
pub struct TestGateway {
    /// The parts.
    pub keyward: Keyward,
    pipelines: Pipelines,
    disk: Option<DiskControl>,
    /// None once it is closed.
    directory: Option<TempDir>,
}

/// What a client receives.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body; none if it broke off.
    pub body: Option<Bytes>,
}

impl Answer {
    /// The body as text; empty if it broke off.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_deref().unwrap_or_default()).into_owned()
    }

    /// Everything in one piece, for searching.
    pub fn everything(&self) -> Vec<u8> {
        let mut all = format!("{:?}\n", self.headers).into_bytes();
        for value in self.headers.values() {
            all.extend_from_slice(value.as_bytes());
            all.push(b'\n');
        }
        all.extend_from_slice(self.body.as_deref().unwrap_or_default());
        all
    }
}

/// Where `cargo xtask guests` puts a policy.
///
/// # Panics
///
/// If it has not been built.
pub fn policy_file(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/policies")
        .join(format!("{name}.wasm"));
    assert!(
        file.exists(),
        "{} is not built; run `cargo xtask guests`",
        file.display()
    );
    file
}

impl TestGateway {
    /// Starts putting a gateway together.
    pub fn builder() -> Builder {
        Builder {
            directory: tempfile::tempdir().unwrap(),
            secrets: Vec::new(),
            grants: String::new(),
            routes: Vec::new(),
            roots: BTreeMap::new(),
            issuers: Vec::new(),
            trusted: None,
            steps: Vec::new(),
            path: "/".to_owned(),
            durability: Durability::Strict,
            controlled: false,
            engine: EngineConfig::default(),
            observer: None,
        }
    }

    /// Who does what a test does.
    pub fn actor() -> Actor {
        Actor {
            name: "test".to_owned(),
            reason: None,
        }
    }

    /// The vault.
    pub fn vault(&self) -> &Vault {
        self.keyward.vault()
    }

    /// The gateway's directory: vault, key and audit trail.
    pub fn directory(&self) -> &Path {
        let directory = self.directory.as_ref();
        directory.expect("it has not been closed").path()
    }

    /// The pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// The hand on the audit trail's disk.
    ///
    /// # Panics
    ///
    /// If the gateway was built without one.
    pub fn disk(&self) -> DiskControl {
        self.disk.clone().expect("built with a controlled disk")
    }

    /// Puts other grants in force.
    pub fn set_grants(&self, grants: &str) {
        let grants = Grants::parse("grants.toml", grants).unwrap_or_else(|error| panic!("{error}"));
        self.vault().set_grants(grants, &Self::actor()).unwrap();
    }

    /// Adds an API key to the vault.
    pub fn add_api_key(&self, name: &str, value: &str) {
        let value = Secret::read_from(value.as_bytes(), 4096).unwrap();
        let name = SecretName::parse(name).unwrap();
        self.vault()
            .add(&name, Kind::ApiKey, value, &Self::actor())
            .unwrap();
    }

    /// Stops the gateway and leaves its files.
    pub fn close(mut self) -> TempDir {
        self.keep();
        self.directory.take().expect("it has not been closed")
    }

    /// Keeps what it has written, if that is kept.
    fn keep(&self) {
        if sinks::are_kept() && self.directory.is_some() {
            sinks::flush(self.pipelines.observer());
            let metrics = self.pipelines.observer().metrics();
            sinks::keep("metrics", metrics.render(self.vault()).as_bytes());
            sinks::keep("files", &self.files());
        }
    }

    /// Sends a request through and reads the whole answer.
    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        let (mut head, body) = request.into_parts();
        if !head.headers.contains_key("host") {
            head.headers
                .insert("host", "gateway.example.com".parse().unwrap());
        }
        let request = Request::from_parts(head, full(body));
        let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let response =
            keyward_gateway::forward(&self.keyward, &self.pipelines, client, request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes());
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Bytes::new()).unwrap())
            .await
    }

    /// Every file of the gateway's directory, in one piece, for searching.
    pub fn files(&self) -> Vec<u8> {
        fn collect(directory: &Path, into: &mut Vec<u8>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    collect(&path, into);
                } else {
                    into.extend(std::fs::read(&path).unwrap_or_default());
                }
            }
        }
        let mut all = Vec::new();
        collect(self.directory(), &mut all);
        all
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.keep();
    }
}

impl Builder {
    /// An API key.
    pub fn api_key(mut self, name: &str, value: &str) -> Self {
        self.secrets
            .push((name.to_owned(), Kind::ApiKey, value.as_bytes().to_vec()));
        self
    }

    /// A key for HMAC with SHA-256, as text that is the key itself.
    pub fn hmac_key(mut self, name: &str, value: &str) -> Self {
        let kind = Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Raw,
        };
        self.secrets
            .push((name.to_owned(), kind, value.as_bytes().to_vec()));
        self
    }

    /// A certificate with its chain and its key, in PEM.
    pub fn certificate(mut self, name: &str, pem: &str) -> Self {
        self.secrets
            .push((name.to_owned(), Kind::Certificate, pem.as_bytes().to_vec()));
        self
    }

    /// Routes over TLS trust these authorities, in PEM.
    pub fn trusting(mut self, pem: &str) -> Self {
        self.trusted = Some(pem.as_bytes().to_vec());
        self
    }

    /// A secret of any kind, as it is imported.
    pub fn secret(mut self, name: &str, kind: Kind, value: &str) -> Self {
        self.secrets
            .push((name.to_owned(), kind, value.as_bytes().to_vec()));
        self
    }

    /// Client keys, as `subject = key` lines.
    pub fn client_keys(mut self, name: &str, lines: &str) -> Self {
        self.secrets
            .push((name.to_owned(), Kind::ClientKeys, lines.as_bytes().to_vec()));
        self
    }

    /// The login of a database, as a connection URL.
    pub fn database(mut self, name: &str, login: &str) -> Self {
        self.secrets
            .push((name.to_owned(), Kind::Database, login.as_bytes().to_vec()));
        self
    }

    /// Adds grants, as in a grants file.
    pub fn grants(mut self, text: &str) -> Self {
        self.grants.push_str(text);
        self.grants.push('\n');
        self
    }

    /// Adds a route.
    pub fn route(mut self, name: &str, url: &str) -> Self {
        self.routes.push((name.to_owned(), url.to_owned()));
        self
    }

    /// Adds a route over TLS, for which an authority vouches whose certificate this is,
    /// in PEM.
    pub fn secure_route(mut self, name: &str, url: &str, authority: &str) -> Self {
        self.roots
            .insert(name.to_owned(), authority.as_bytes().to_vec());
        self.route(name, url)
    }

    /// Adds an issuer, whose tokens every policy may have checked.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// What is added from here on runs in the pipeline of that path, instead of `/`.
    pub fn at(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    /// Adds a policy in its inbound phase, under its file's name.
    pub fn inbound(self, policy: &str, settings: serde_json::Value) -> Self {
        let name = policy.rsplit('/').next().unwrap_or(policy);
        self.policy(&[Phase::Inbound], policy, name, settings, &[])
    }

    /// Adds a policy: the phases it runs in, the component's file name below
    /// `target/policies`, its name, its settings (`null` for none) and the routes
    /// that it may call.
    pub fn policy(
        mut self,
        phases: &[Phase],
        file: &str,
        name: &str,
        settings: serde_json::Value,
        routes: &[&str],
    ) -> Self {
        self.steps.push(Step {
            path: self.path.clone(),
            phases: phases.to_vec(),
            file: policy_file(file),
            name: name.to_owned(),
            settings: (!settings.is_null()).then_some(settings),
            routes: routes.iter().map(|route| (*route).to_owned()).collect(),
        });
        self
    }

    /// How soon an audit record is durable.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Lets the test stop the audit trail's disk; see [`TestGateway::disk`].
    pub fn controlled_disk(mut self) -> Self {
        self.controlled = true;
        self
    }

    /// How the engine is set up.
    pub fn engine(mut self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        change(&mut self.engine);
        self
    }

    /// Reads each guest's memory after each call.
    pub fn observe_memory(mut self, observer: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        self.engine.guest_debug = true;
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Puts it together: a pipeline at `/`, and one for each [`Builder::at`], all to the
    /// first route.
    ///
    /// # Panics
    ///
    /// If anything is refused; the message says what.
    pub fn build(self) -> TestGateway {
        let files = VaultFiles::in_directory(self.directory.path());
        Vault::create(&files).unwrap();
        let (vault, disk) = if self.controlled {
            let (storage, disk) = DiskControl::storage(&files.audit);
            (
                Vault::open_with(&files, storage, self.durability).unwrap(),
                Some(disk),
            )
        } else {
            (Vault::open(&files, self.durability).unwrap(), None)
        };
        let actor = TestGateway::actor();
        for (name, kind, value) in self.secrets {
            let value = Secret::read_from(value.as_slice(), 64 << 10).unwrap();
            let name = SecretName::parse(&name).unwrap();
            vault
                .add(&name, kind, value, &actor)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let grants =
            Grants::parse("grants.toml", &self.grants).unwrap_or_else(|error| panic!("{error}"));
        vault.set_grants(grants, &actor).unwrap();

        let route_name = |name: &String| RouteName::parse(name).unwrap();
        let routes = self.routes.iter().map(|(name, url)| {
            let route = Route::new(route_name(name), url).unwrap();
            match self.roots.get(name).or(self.trusted.as_ref()) {
                Some(pem) => route.with_roots(Roots::Pem(pem.clone())),
                None => route,
            }
        });
        let issuers: Vec<_> = self.issuers.iter().map(|one| one.name.clone()).collect();
        let mut builder = Keyward::builder(vault)
            .routes(routes)
            .issuers(self.issuers)
            .engine(self.engine);
        if let Some(observer) = self.observer {
            builder = builder.memory_observer(observer);
        }
        let keyward = builder.build().unwrap();

        let mut paths: BTreeMap<String, [Vec<Policy>; 4]> = BTreeMap::new();
        paths.entry("/".to_owned()).or_default();
        for step in self.steps {
            let routes: Vec<RouteName> = step.routes.iter().map(route_name).collect();
            let policy = keyward
                .engine()
                .load(&PolicySource {
                    name: PolicyName::parse(&step.name).unwrap(),
                    component: &std::fs::read(&step.file).unwrap(),
                    settings: step.settings.as_ref(),
                    routes: &routes,
                    issuers: &issuers,
                    document: None,
                })
                .unwrap_or_else(|error| panic!("{error}"));
            let phases = paths.entry(step.path).or_default();
            for phase in step.phases {
                let place = Phase::ALL.iter().position(|each| *each == phase).unwrap();
                phases[place].push(policy.clone());
            }
        }
        let (route, _) = self.routes.first().expect("a gateway has a route");
        let pipelines = paths.into_iter().map(|(path, phases)| {
            Pipeline::new(PathPrefix::parse(&path).unwrap(), route_name(route), phases)
        });
        TestGateway {
            keyward,
            pipelines: Pipelines::observed(pipelines.collect(), sinks::observer()),
            disk,
            directory: Some(self.directory),
        }
    }
}
