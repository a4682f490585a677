//! A gateway that serves: clients on its port, operators on its control socket,
//! until it is told to stop.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use keyward::Keyward;
use keyward::names::ValueName;
use keyward::vault::{Actor, Components, KeySource, Opening, PruneError, Surroundings, Vault};
use tokio::net::TcpListener;

use crate::admin::{self, Admin, Health};
use crate::assemble::{OpenError, assemble};
use crate::config::{Config, Values};
use crate::control::{BindError, ControlSocket, GrantsReloaded, Node, Status};
use crate::front::{self, Front};
use crate::grants::{components, load_grants};
use crate::listen::{self, Certificates, Peer, Settings, Stopped};
use crate::pipeline::{Pipeline, Pipelines};

/// A gateway: everything that its configuration names, checked and loaded.
pub struct Gateway {
    config: Config,
    keyward: Keyward,
    pipelines: Pipelines,
    /// The named values that decide where requests go or what runs.
    steering: BTreeSet<String>,
    /// How clients are treated.
    front: Front,
    /// The certificates that clients are shown; none: without TLS.
    certificates: Option<Arc<Certificates>>,
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
    /// Errors: see [`OpenError`].
    pub fn open(config: Config, key: KeySource, actor: &Actor) -> Result<Self, OpenError> {
        let opening = Opening {
            key,
            durability: config.audit.durability,
        };
        let vault = Vault::open_from(&config.vault_files(), opening)?;
        let steering = config.unresolved.iter().filter(|place| place.steers);
        let steering = steering.map(|place| place.name.clone()).collect();
        let config = config.resolve(&Values::of(&vault))?;
        let certificates = certificates(&config)?;
        let (keyward, pipelines) = assemble(&config, vault, actor)?;
        Ok(Gateway {
            front: Front::of(&config.gateway.front),
            certificates,
            config,
            keyward,
            pipelines,
            steering,
            address: OnceLock::new(),
        })
    }

    /// Its pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    /// What the policies are: those that run, and the files of the others.
    fn components(&self) -> Components {
        let mut components = components(&self.config);
        for identity in self.pipelines.iter().flat_map(Pipeline::identities) {
            components.insert(identity.name.clone(), identity.component);
        }
        components
    }

    /// Where clients connect, or will once it is bound.
    fn address(&self) -> SocketAddr {
        self.address
            .get()
            .copied()
            .unwrap_or(self.config.gateway.listen)
    }

    /// Takes the port and the control socket.
    ///
    /// Must run inside a tokio runtime with I/O. Errors: either is taken.
    pub async fn bind(self) -> Result<Bound, ServeError> {
        let address = self.config.gateway.listen;
        let listen = |source| ServeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let _ = self.address.set(address);
        let admin = match self.config.gateway.front.admin {
            None => None,
            Some(address) => {
                let listen = |source| ServeError::Listen { address, source };
                let listener = TcpListener::bind(address).await.map_err(listen)?;
                admin::warn_if_open(listener.local_addr().map_err(listen)?);
                Some(listener)
            }
        };
        let control = ControlSocket::bind(
            &self.config.control.socket,
            self.config.control.rules.clone(),
        )?;
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

    /// Where administrators read its health; the port is a real one even if 0 was
    /// asked for. None: nowhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` is ready, then lets running requests end.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Stopped {
        let settings = Settings {
            limits: self.gateway.front.limits,
            certificates: self.gateway.certificates.clone(),
        };
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let health = Arc::new(Health::new({
            let gateway = Arc::clone(&self.gateway);
            move || {
                let failed = gateway.keyward.vault().audit().has_failed();
                failed.then_some("audit unavailable")
            }
        }));
        let admin = self.admin.map(|listener| {
            let admin = Admin::new(Arc::clone(&health));
            tokio::spawn(admin.serve(listener, std::future::pending()))
        });
        let control = tokio::spawn(self.control.serve(self.gateway.clone()));
        let node: Arc<dyn Node> = self.gateway.clone();
        let kept = self.gateway.config.audit.retention;
        let retention = tokio::spawn(async move {
            if let Some(kept) = kept {
                retain(node, kept, DAY, Timestamp::now).await;
            }
        });
        let gateway = self.gateway;
        let handler = move |peer: Peer, request: http::Request<hyper::body::Incoming>| {
            let gateway = Arc::clone(&gateway);
            async move {
                let Gateway {
                    keyward,
                    pipelines,
                    front,
                    ..
                } = &*gateway;
                front::answer(keyward, pipelines, front, peer, request).await
            }
        };
        let stop = async {
            stop.await;
            health.draining();
        };
        health.serving();
        let stopped = listen::serve(self.listener, settings, handler, stop).await;
        if let Some(admin) = admin {
            admin.abort();
        }
        control.abort();
        retention.abort();
        stopped
    }
}

/// Reads the certificates that clients are shown. Blocks on files.
fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, OpenError> {
    let tls = config.gateway.front.tls.as_ref();
    Ok(tls.map(Certificates::load).transpose()?)
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Removes records that are older than `retention`, now and once in each `period`,
/// for ever.
async fn retain(
    node: Arc<dyn Node>,
    retention: Duration,
    period: Duration,
    now: impl Fn() -> Timestamp,
) {
    let mut days = tokio::time::interval(period);
    loop {
        days.tick().await;
        let (node, now) = (Arc::clone(&node), now());
        let work = tokio::task::spawn_blocking(move || prune(node.vault(), retention, now));
        if let Ok(Err(error)) = work.await {
            tracing::error!(%error, "old records of the audit trail can't be removed");
        }
    }
}

fn prune(vault: &Vault, retention: Duration, now: Timestamp) -> Result<(), PruneError> {
    let Ok(before) = now.checked_sub(retention) else {
        // Before the calendar begins there are no records.
        return Ok(());
    };
    let actor = Actor {
        name: "keyward".to_owned(),
        reason: Some("retention".to_owned()),
    };
    if let Some(pruned) = vault.audit().prune(before, &actor)? {
        tracing::info!(
            below = pruned.entries,
            "old records of the audit trail removed"
        );
    }
    Ok(())
}

impl Node for Gateway {
    fn vault(&self) -> &Vault {
        self.keyward.vault()
    }

    fn trail(&self) -> &Path {
        &self.config.audit.directory
    }

    fn steers(&self, value: &ValueName) -> bool {
        self.steering.contains(value.as_str())
    }

    fn reload_grants(&self, actor: &Actor) -> Result<GrantsReloaded, String> {
        let grants = load_grants(&self.config, &self.vault().list(), &self.components())
            .map_err(|error| error.to_string())?;
        let routes: Vec<_> = self
            .config
            .routes
            .iter()
            .map(|route| route.name().clone())
            .collect();
        let policies: Vec<_> = self
            .config
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
            digest: grants
                .digest()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            findings: findings.iter().map(ToString::to_string).collect(),
        };
        self.vault()
            .set_grants(grants, actor)
            .map_err(|error| error.to_string())?;
        Ok(answer)
    }

    fn status(&self) -> Option<Status> {
        let config = &self.config;
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

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use keyward::vault::{Act, Administrative, Durability, VaultFiles, trail_extent};

    use super::*;

    struct OnlyVault(Vault, PathBuf);

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

    #[tokio::test]
    async fn records_go_on_the_day_on_which_they_are_too_old() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        for _ in 0..300 {
            let act = Administrative::new(Act::Opened, "uid 0", None).vault(4, [0; 32]);
            vault.audit().append_administrative(act).unwrap();
        }
        let trail = files.audit.clone();
        let first = {
            let trail = trail.clone();
            move || trail_extent(&trail).unwrap().first
        };
        let node = Arc::new(OnlyVault(vault, trail));
        // A day passes with each round. The clock is asked when a round begins, so
        // what it finds is what the rounds before have left.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let days = Mutex::new(0_i64);
        let now = move || {
            let mut days = days.lock().unwrap();
            let _ = tell.send(first());
            *days += 1;
            Timestamp::now() + jiff::SignedDuration::from_hours(24 * (*days - 1))
        };
        let work = tokio::spawn(retain(node, DAY + DAY / 2, Duration::from_millis(1), now));
        let mut left = Vec::new();
        for _ in 0..4 {
            left.push(told.recv().await.unwrap());
        }
        work.abort();
        assert_eq!(left, [0, 0, 0, 256]);
    }
}
