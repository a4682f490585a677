//! A gateway that serves: clients on its port, operators on its control socket,
//! until it is told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use keyward::CodeFolder;
use keyward::engine::{Compiler, EngineConfig, InProcess};
use keyward::names::{SourceName, ValueName};
use keyward::sources::refresh::{Refresher, Schedule};
use keyward::sources::{Source, SourceError};
use keyward::vault::{Actor, Components, KeySource, Opening, Surroundings, Vault};
use keyward::{BuildError, Keyward};
use tokio::net::TcpListener;

use crate::admin::{self, Admin, Health, Page};
use crate::assemble::{Assembled, OpenError};
use crate::config::{Config, SourceSection};
use crate::control::{
    BindError, ConfigReloaded, ControlSocket, DatabaseEntry, Fault, GrantsReloaded, Node, Status,
    check_databases, wait,
};
use crate::expiry;
use crate::files;
use crate::front;
use crate::grants::{components, load_grants};
use crate::listen::{self, Certificates, Peer, Settings, Stopped};
use crate::observe::{CONTENT_TYPE, Metrics, Observer};
use crate::pipeline::Pipeline;
use crate::reload::Snapshot;
use crate::retention::{DAY, retain};
use crate::rotation;
use crate::sources::Sources;

/// A gateway: everything that its configuration names, checked and loaded.
pub struct Gateway {
    /// What it was opened with: its files, sockets and addresses are those to its
    /// end.
    pub(crate) opened: Config,
    /// The vault, behind every snapshot.
    keyward: Keyward,
    /// What is in force. A request takes it once and keeps it to its end.
    pub(crate) current: ArcSwap<Snapshot>,
    /// What the listener goes by: the same configuration.
    pub(crate) listening: Arc<ArcSwap<Settings>>,
    /// Held while another snapshot is being made.
    pub(crate) reloading: Mutex<()>,
    /// The digest of the grants that were loaded last.
    pub(crate) grants: Mutex<[u8; 32]>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where secrets come from.
    pub(crate) sources: Sources,
    /// The address that it is bound to, once it is.
    address: OnceLock<SocketAddr>,
}

/// Why a gateway can't serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Its address is taken or not allowed.
    #[error(
        "can't listen on {address}: {source}; choose another `listen` in [gateway], or stop what is there"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Its control socket can't be made.
    #[error(transparent)]
    Control(#[from] BindError),
}

/// A gateway that holds its port and its control socket.
pub struct Bound {
    gateway: Arc<Gateway>,
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<TcpListener>,
    control: ControlSocket,
}

impl Gateway {
    /// Opens the vault with `key`, loads the grants, the policies and the
    /// documents. Blocks for tens of milliseconds for each policy, and for as long
    /// as a passphrase takes.
    ///
    /// Policies are compiled in this process: see [`Gateway::open_with`].
    ///
    /// Errors: see [`OpenError`].
    pub fn open(config: Config, key: KeySource, actor: &Actor) -> Result<Self, OpenError> {
        Self::open_with(config, key, actor, Arc::new(InProcess))
    }

    /// The same with a compiler of its own for policies whose code is not in the
    /// folder that `[engine]` names; the folder is made if there is none.
    ///
    /// Errors: see [`OpenError`].
    pub fn open_with(
        config: Config,
        key: KeySource,
        actor: &Actor,
        compiler: Arc<dyn Compiler>,
    ) -> Result<Self, OpenError> {
        let opening = Opening {
            key,
            durability: config.audit.durability,
        };
        let vault = Vault::open_from(&config.vault_files(), opening)?;
        let mut engine = EngineConfig::default();
        engine.compiler = compiler;
        engine.reports = config.engine.reports;
        match CodeFolder::open(&config.engine.cache) {
            Ok(folder) => engine.cache = Some(Arc::new(folder)),
            Err(error) => {
                let folder = config.engine.cache.display();
                tracing::warn!(%folder, %error, "compiled policies are not kept");
            }
        }
        let mut assembled = Assembled::new(&config, vault, actor, engine)?;
        let metrics = Arc::new(Metrics::new());
        let listening = settings(&assembled.config, &metrics)?;
        metrics.loaded_now();
        let observer = Observer::new(
            Arc::clone(&metrics),
            &assembled.config.log,
            &assembled.config.telemetry,
        );
        let grants = assembled.grants.digest();
        let keyward = assembled.keyward.clone();
        let sources = Sources::new(&keyward);
        sources.put_in_force(sources.build(&assembled.config.sources)?);
        assembled.keyward = sources.put_into(&keyward).map_err(BuildError::from)?;
        let current = Snapshot::new(1, &config, assembled, observer);
        Ok(Gateway {
            opened: config,
            keyward,
            current: ArcSwap::from_pointee(current),
            listening: Arc::new(ArcSwap::from_pointee(listening)),
            reloading: Mutex::default(),
            grants: Mutex::new(grants),
            metrics,
            sources,
            address: OnceLock::new(),
        })
    }

    /// What is in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The vault, the engine and the routes that are in force now.
    pub fn keyward(&self) -> Keyward {
        self.snapshot().keyward.clone()
    }

    /// All that is counted, as OpenMetrics text: see [`Metrics::render`].
    pub fn metrics(&self) -> String {
        self.metrics.look_at_sources(self.sources.refresher());
        self.metrics.render(self.vault())
    }

    /// Fetches secrets from their sources: keeps them as those have them, and reports.
    pub fn refresher(&self) -> &Refresher {
        self.sources.refresher()
    }

    /// Takes a source that the configuration doesn't have, in the place of any of its
    /// name, to the gateway's end. For embedders with sources of their own.
    pub fn bring_source(&self, source: Arc<dyn Source>, schedule: Schedule) {
        self.sources.bring(source, schedule);
    }

    /// Where things are counted.
    pub fn counted(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Where clients connect, or will once it is bound.
    fn address(&self) -> SocketAddr {
        let bound = self.address.get().copied();
        bound.unwrap_or_else(|| self.snapshot().config.gateway.listen)
    }

    /// Takes the port and the control socket, and begins to export traces.
    ///
    /// Must run inside a tokio runtime with I/O and time. Errors: either is taken.
    pub async fn bind(self) -> Result<Bound, ServeError> {
        let snapshot = self.snapshot();
        let address = snapshot.config.gateway.listen;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let _ = self.address.set(address);
        let admin = match snapshot.config.gateway.front.admin {
            None => None,
            Some(address) => {
                let listen = |source| ServeError::Listen { address, source };
                let listener = TcpListener::bind(address).await.map_err(listen)?;
                admin::warn_if_open(listener.local_addr().map_err(listen)?);
                Some(listener)
            }
        };
        let control = ControlSocket::bind(
            &self.opened.control.socket,
            self.opened.control.rules.clone(),
        )?;
        snapshot.pipelines.observer().export(None);
        Ok(Bound {
            gateway: Arc::new(self),
            listener,
            address,
            admin,
            control,
        })
    }
}

impl Bound {
    /// Where clients connect; the port is a real one even if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where administrators read its health and its metrics; the port is a real one
    /// even if 0 was asked for. None: nowhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// The gateway, to reload its configuration while it serves.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Serves until `stop` is ready, then lets running requests end.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Stopped {
        self.serve_saying(stop, || ()).await
    }

    /// The same, and calls `ready` when the first request is taken: once each secret
    /// that comes from a source was asked for, which takes `start-wait` at most. The
    /// control socket answers before. Not called if `stop` is ready first.
    pub async fn serve_saying(
        self,
        stop: impl Future<Output = ()>,
        ready: impl FnOnce(),
    ) -> Stopped {
        let health = Arc::new(Health::new({
            let gateway = Arc::clone(&self.gateway);
            move || {
                let failed = gateway.vault().audit().has_failed();
                failed.then_some("audit unavailable")
            }
        }));
        let admin = self.admin.map(|listener| {
            let sources = self.gateway.sources.clone();
            let admin = Admin::with_remark(Arc::clone(&health), move || sources.remark());
            let admin = admin.with_page("/metrics", {
                let gateway = Arc::clone(&self.gateway);
                move || Page {
                    media: CONTENT_TYPE,
                    ..Page::plain(http::StatusCode::OK, gateway.metrics())
                }
            });
            tokio::spawn(admin.serve(listener, std::future::pending()))
        });
        let control = tokio::spawn(self.control.serve(self.gateway.clone()));
        let node: Arc<dyn Node> = self.gateway.clone();
        let kept = self.gateway.opened.audit.retention;
        let retention = tokio::spawn(async move {
            if let Some(kept) = kept {
                retain(node, kept, DAY, Timestamp::now).await;
            }
        });
        let rotation = tokio::spawn(rotation::rotate(self.gateway.clone(), rotation::PERIOD));
        let node: Arc<dyn Node> = self.gateway.clone();
        let before = self.gateway.opened.vault.expiry_warning;
        let expiry = tokio::spawn(expiry::warn(node, before, expiry::PERIOD));
        let watching = tokio::spawn(files::reload_on_change(Arc::clone(&self.gateway)));
        let gateway = Arc::clone(&self.gateway);
        let handler = move |peer: Peer, request: http::Request<hyper::body::Incoming>| {
            let snapshot = gateway.snapshot();
            async move {
                let Snapshot {
                    keyward,
                    pipelines,
                    front,
                    ..
                } = &*snapshot;
                front::answer(keyward, pipelines, front, peer, request).await
            }
        };
        let stop = async {
            stop.await;
            health.draining();
        };
        let mut stop = std::pin::pin!(stop);
        let begins = tokio::select! {
            biased;
            () = &mut stop => false,
            () = self.gateway.first_values() => true,
        };
        let stopped = match begins {
            true => {
                health.serving();
                ready();
                let listening = Arc::clone(&self.gateway.listening);
                listen::serve(self.listener, listening, handler, stop).await
            }
            false => Stopped::Drained,
        };
        if let Some(admin) = admin {
            admin.abort();
        }
        control.abort();
        self.gateway.refresher().stop();
        retention.abort();
        rotation.abort();
        expiry.abort();
        watching.abort();
        self.gateway.snapshot().pipelines.observer().flush().await;
        stopped
    }
}

impl Gateway {
    /// Begins to ask sources, and waits until each secret was asked for, for a while.
    async fn first_values(&self) {
        let refresher = self.refresher();
        refresher.start();
        let wait = self.opened.gateway.start_wait;
        let missing = refresher.first_values(wait).await;
        for secret in missing {
            tracing::warn!(%secret, "the secret has no value yet; uses of it are refused until its source gives one");
        }
    }
}

/// What a configuration asks of the listener. Blocks on the files of certificates.
pub(crate) fn settings(config: &Config, metrics: &Arc<Metrics>) -> Result<Settings, OpenError> {
    let front = &config.gateway.front;
    let certificates = front.tls.as_ref().map(Certificates::load).transpose()?;
    Ok(Settings {
        limits: front.limits,
        certificates,
        metrics: Some(Arc::clone(metrics)),
    })
}

impl Snapshot {
    /// What the policies are: those that run, and the files of the others.
    fn components(&self) -> Components {
        let mut components = components(&self.config, None);
        for identity in self.pipelines.iter().flat_map(Pipeline::identities) {
            components.insert(identity.name.clone(), identity.component);
        }
        components
    }
}

impl Node for Gateway {
    fn vault(&self) -> &Vault {
        self.keyward.vault()
    }

    fn trail(&self) -> &Path {
        &self.opened.audit.directory
    }

    fn steers(&self, value: &ValueName) -> bool {
        self.snapshot().steering.contains(value.as_str())
    }

    fn reload_grants(&self, actor: &Actor) -> Result<GrantsReloaded, String> {
        // Neither this nor a reload of the configuration undoes the other.
        let _alone = self.alone();
        let snapshot = self.snapshot();
        let config = &snapshot.config;
        let grants = load_grants(config, &self.vault().list(), &snapshot.components())
            .map_err(|error| error.to_string())?;
        let routes: Vec<_> = config
            .routes
            .iter()
            .map(|route| route.name().clone())
            .collect();
        let policies: Vec<_> = config
            .policies
            .iter()
            .map(|policy| policy.name.clone())
            .collect();
        let findings = grants.check_against(&Surroundings {
            secrets: Some(&self.vault().list()),
            routes: &routes,
            policies: &policies,
            revoked: &self.vault().revoked(),
        });
        let answer = GrantsReloaded {
            grants: count(grants.iter().count()),
            digest: hexadecimal(&grants.digest()),
            findings: findings.iter().map(ToString::to_string).collect(),
        };
        self.put_in_force(grants, None, actor)
            .map_err(|error| error.to_string())?;
        Ok(answer)
    }

    fn reload(&self, actor: &Actor) -> Result<ConfigReloaded, String> {
        Gateway::reload(self, actor).map_err(|error| error.to_string())
    }

    fn check_databases(&self, actor: &Actor) -> Result<Vec<DatabaseEntry>, Fault> {
        let (snapshot, grants) = (self.snapshot(), self.vault().grants());
        let grants = grants.iter().map(|grant| &**grant);
        let egress = snapshot.keyward.egress();
        wait(check_databases(self.vault(), egress, grants, actor))
    }

    fn refresher(&self) -> Option<&Refresher> {
        Some(self.sources.refresher())
    }

    fn source(&self, name: &SourceName) -> Result<Arc<dyn Source>, SourceError> {
        self.sources.refresher().source(name)
    }

    fn source_sections(&self) -> Vec<SourceSection> {
        self.snapshot().config.sources.clone()
    }

    fn secrets_changed(&self) {
        self.sources.apply();
    }

    fn status(&self) -> Option<Status> {
        let snapshot = self.snapshot();
        let config = &snapshot.config;
        let vault = self.vault();
        Some(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            listen: self.address().to_string(),
            routes: config
                .routes
                .iter()
                .map(|route| route.name().to_string())
                .collect(),
            policies: config
                .policies
                .iter()
                .map(|policy| policy.name.to_string())
                .collect(),
            pipelines: config
                .pipelines
                .iter()
                .map(|pipeline| pipeline.path.to_string())
                .collect(),
            secrets: count(vault.list().len()),
            grants: count(vault.grants().len()),
            audit_records: vault.audit().size(),
        })
    }
}

pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
