//! Another configuration in the place of the one in force, all of it or nothing.
//!
//! What a request goes by is one [`Snapshot`], which it takes once. A reload makes
//! a whole new one beside it, of the files and named values of that moment, and
//! swaps; requests that have begun end as they began. Policies that are loaded
//! from the same are kept, and so are connections to routes that are the same.
//!
//! Grants are the exception: they live in the vault, and what a new file no longer
//! grants is dead at once, on running requests too.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard, PoisonError};

use keyward::Keyward;
use keyward::vault::{
    Act, Actor, Administrative, AuditUnavailable, Grants, RouteAddresses, VaultError,
    digest_component,
};

use crate::assemble::{Assembled, Loaded, OpenError};
use crate::config::{Config, ConfigErrors};
use crate::control::{ConfigReloaded, Node};
use crate::front::Front;
use crate::grants::addresses;
use crate::observe::Observer;
use crate::pipeline::Pipelines;
use crate::serve::{Gateway, count, hexadecimal, settings};

/// Keys that a running gateway can't change: it holds what they name.
const HELD: &[(&str, &str)] = &[
    ("[gateway]", "listen"),
    ("[gateway.admin]", "listen"),
    ("[vault]", "file"),
    ("[vault]", "key-file"),
    ("[vault]", "credential"),
    ("[vault]", "passphrase"),
    ("[audit]", "directory"),
    ("[audit]", "durability"),
    ("[control]", "socket"),
    ("[control]", "require-reason"),
    ("[control.roles]", "operator"),
    ("[control.roles]", "approver"),
    ("[control.roles]", "auditor"),
    ("[control.roles]", "viewer"),
];

/// Keys that count from the next start.
const LATER: &[(&str, &str)] = &[
    ("[gateway]", "watch"),
    ("[gateway]", "start-wait"),
    ("[audit]", "retention"),
    ("[engine]", "cache"),
    ("[engine]", "reports"),
    ("[log]", "level"),
    ("[log]", "format"),
];

/// All that a request goes by.
pub struct Snapshot {
    /// Its number, from 1.
    pub(crate) generation: u64,
    /// With its named values.
    pub(crate) config: Config,
    pub(crate) keyward: Keyward,
    pub(crate) pipelines: Pipelines,
    /// How clients are treated.
    pub(crate) front: Front,
    /// The named values that decide where requests go or what runs.
    pub(crate) steering: BTreeSet<String>,
    pub(crate) digest: [u8; 32],
    loaded: Loaded,
}

/// Why the configuration in force stayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file has errors.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// What a running gateway holds can't change.
    #[error(
        "{} can't change while the gateway runs; put it back, or start the gateway anew",
        keys.join(", ")
    )]
    Held {
        /// The keys, each with its section.
        keys: Vec<String>,
    },
    /// Something that the file names is not as it should be.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The grants can't come into force.
    #[error(transparent)]
    Grants(#[from] VaultError),
    /// It can't be recorded.
    #[error(transparent)]
    Audit(#[from] AuditUnavailable),
}

impl Snapshot {
    pub(crate) fn new(
        generation: u64,
        as_written: &Config,
        assembled: Assembled,
        observer: Observer,
    ) -> Self {
        let Assembled {
            config,
            keyward,
            pipelines,
            loaded,
            ..
        } = assembled;
        let steering = as_written.unresolved.iter().filter(|place| place.steers);
        Self {
            generation,
            digest: digest(&config),
            steering: steering.map(|place| place.name.clone()).collect(),
            front: Front::of(&config.gateway.front),
            config,
            keyward,
            pipelines: Pipelines::observed(pipelines, Arc::new(observer)),
            loaded,
        }
    }

    /// Its number: 1 at the start, one more with each reload.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The configuration, with its named values.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Vault, engine and routes.
    pub fn keyward(&self) -> &Keyward {
        &self.keyward
    }

    /// The pipelines.
    pub fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }
}

/// The digest of the files that a configuration is made of, and of their names.
pub(crate) fn digest(config: &Config) -> [u8; 32] {
    let mut all = Vec::new();
    for file in config.files() {
        let bytes = std::fs::read(&file).unwrap_or_default();
        for part in [file.as_os_str().as_encoded_bytes(), &bytes] {
            all.extend_from_slice(&part.len().to_be_bytes());
            all.extend_from_slice(part);
        }
    }
    *digest_component(&all).as_bytes()
}

impl Gateway {
    /// Held by whoever puts something else in force.
    pub(crate) fn alone(&self) -> MutexGuard<'_, ()> {
        self.reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the configuration again, puts it in force and records that. Named
    /// values are those of this moment. On an error the gateway goes on with the
    /// configuration that it has; only where the audit trail failed after the grants
    /// were recorded are the new ones in force, and they lead to the new routes alone.
    ///
    /// Blocks for tens of milliseconds for each policy that is new; must run inside
    /// a tokio runtime with I/O and time, where blocking is allowed. Errors: see
    /// [`ReloadError`].
    pub fn reload(&self, actor: &Actor) -> Result<ConfigReloaded, ReloadError> {
        let _alone = self.alone();
        let reloaded = self.reload_alone(actor);
        self.counted()
            .reloaded(reloaded.as_ref().ok().map(|reloaded| reloaded.generation));
        match &reloaded {
            Ok(reloaded) => {
                let ConfigReloaded {
                    generation, digest, ..
                } = reloaded;
                tracing::info!(
                    actor = actor.name,
                    generation,
                    digest,
                    "configuration reloaded"
                );
                for finding in &reloaded.findings {
                    tracing::warn!("{finding}");
                }
            }
            Err(error) => {
                tracing::error!(actor = actor.name, "configuration not reloaded: {error}");
            }
        }
        reloaded
    }

    fn reload_alone(&self, actor: &Actor) -> Result<ConfigReloaded, ReloadError> {
        let before = self.snapshot();
        let as_written = Config::load(&self.opened.file)?;
        let changed = |keys| differing(&self.opened, &as_written, keys);
        let keys = changed(HELD);
        if !keys.is_empty() {
            return Err(ReloadError::Held { keys });
        }
        let later = changed(LATER);
        let findings = later
            .into_iter()
            .map(|key| format!("{key} counts from the next start of the gateway"))
            .collect();
        let assembled = Assembled::again(&before.keyward, &as_written, &before.loaded)?;
        let listening = settings(&assembled.config, &self.metrics)?;
        let sources = self
            .sources
            .build(&assembled.config.sources)
            .map_err(OpenError::from)?;
        let grants = assembled.grants.clone();
        let observer = Observer::new(
            Arc::clone(&self.metrics),
            &assembled.config.log,
            &assembled.config.telemetry,
        );
        let generation = before.generation.saturating_add(1);
        observer.export(Some(before.pipelines.observer()));
        let next = Snapshot::new(generation, &as_written, assembled, observer);

        // From here on only the audit trail can still say no.
        // Requests that are under way go where the routes led when they came: the
        // vault has to know where they lead from now on before anything new is granted.
        let routes = addresses(&next.config.routes);
        if *self.loaded_grants() == grants.digest() {
            self.vault().set_routes(routes)?;
        } else {
            self.put_in_force(grants, Some(routes), actor)?;
        }
        let act = Administrative::new(
            Act::ConfigurationReloaded,
            &actor.name,
            actor.reason.as_deref(),
        );
        self.vault()
            .audit()
            .append_administrative(act.configuration(next.digest))?;
        let config = &next.config;
        let reloaded = ConfigReloaded {
            generation,
            digest: hexadecimal(&next.digest),
            routes: count(config.routes.len()),
            policies: count(config.policies.len()),
            pipelines: count(config.pipelines.len()),
            findings,
        };
        self.listening.store(Arc::new(listening));
        self.current.store(Arc::new(next));
        self.sources.put_in_force(sources);
        Ok(reloaded)
    }

    /// Has the vault go by these grants, and records that. `routes` says where routes
    /// lead, if they may have moved.
    pub(crate) fn put_in_force(
        &self,
        grants: Grants,
        routes: Option<RouteAddresses>,
        actor: &Actor,
    ) -> Result<(), VaultError> {
        let digest = grants.digest();
        match routes {
            Some(routes) => self.vault().set_grants_toward(grants, routes, actor)?,
            None => self.vault().set_grants(grants, actor)?,
        }
        *self.loaded_grants() = digest;
        Ok(())
    }

    /// The digest of the grants that were loaded last.
    fn loaded_grants(&self) -> MutexGuard<'_, [u8; 32]> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of these keys say something else in the one configuration than in the
/// other.
fn differing(one: &Config, other: &Config, keys: &[(&str, &str)]) -> Vec<String> {
    let values = |config: &Config| {
        let shown = config.shown().into_iter();
        let held = shown.filter(|shown| keys.contains(&(shown.section, shown.key)));
        held.map(|shown| ((shown.section, shown.key), shown.value))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let (one, other) = (values(one), values(other));
    keys.iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .map(|(section, key)| format!("`{key}` in {section}"))
        .collect()
}
