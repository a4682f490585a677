//! Puts the parts together.

use std::sync::Arc;

use keyward_egress::{Connect, Dialer, Egress, Resolver, Route, SetupError};
use keyward_engine::{Engine, EngineConfig, EngineError, Outside};
use keyward_vault::Vault;

use crate::issuers::{Issuer, Issuers};
use crate::remote::{Signers, SourceDirectory};
use crate::ticker;
use crate::world::{Senses, World};

/// A vault, an engine and an egress that work together. Cheap to clone; an exchange
/// keeps what it began with to its end.
#[derive(Clone)]
pub struct Keyward {
    engine: Arc<Engine>,
    world: Arc<World>,
    /// The one whose clock of computing time this one's guests go by.
    _beside: Option<Arc<Engine>>,
}

/// What goes into a [`Keyward`].
pub struct Builder {
    vault: Vault,
    engine: EngineConfig,
    routes: Vec<Route>,
    dialer: Dialer,
    issuers: Vec<Issuer>,
    sources: Option<Arc<dyn SourceDirectory>>,
    senses: Option<Arc<dyn Senses>>,
    #[cfg(feature = "guest-debug")]
    observer: Option<keyward_engine::MemoryObserver>,
}

/// The parts could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The sandbox engine does not start here.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A route can't be prepared.
    #[error(transparent)]
    Egress(#[from] SetupError),
    /// The system gives no thread for the clock of computing time.
    #[error("no thread for the clock of computing time: {0}")]
    Ticker(#[source] std::io::Error),
}

impl Keyward {
    /// Starts from an open vault.
    pub fn builder(vault: Vault) -> Builder {
        Builder {
            vault,
            engine: EngineConfig::default(),
            routes: Vec::new(),
            dialer: Dialer::default(),
            issuers: Vec::new(),
            sources: None,
            senses: None,
            #[cfg(feature = "guest-debug")]
            observer: None,
        }
    }

    /// Runs policies.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Sends requests.
    pub fn egress(&self) -> &Egress {
        &self.world.egress
    }

    /// Secrets, grants and the audit trail.
    pub fn vault(&self) -> &Vault {
        self.engine.vault()
    }

    /// Clock, randomness and log, as policies see them.
    pub fn outside(&self) -> Arc<dyn Outside> {
        Arc::clone(&self.world) as Arc<dyn Outside>
    }

    /// The same vault, engine and policies with other routes. A route that is equal
    /// to one of before keeps its connections; exchanges that have begun go on with
    /// the routes of before.
    ///
    /// Blocks while it reads certificate authorities. Errors: a route can't be
    /// prepared.
    pub fn with_routes(
        &self,
        routes: impl IntoIterator<Item = Route>,
    ) -> Result<Keyward, SetupError> {
        let egress = Arc::new(self.world.egress.with_routes(routes)?);
        let issuers = self.world.issuers.as_ref();
        Ok(Keyward {
            engine: Arc::clone(&self.engine),
            world: Arc::new(World {
                issuers: issuers.map(|issuers| issuers.over(Arc::clone(&egress))),
                egress,
                sources: self.world.sources.clone(),
                senses: self.world.senses.clone(),
            }),
            _beside: self._beside.clone(),
        })
    }

    /// The same vault, engine, policies and routes with other sources, for keys that
    /// never leave theirs. Exchanges that have begun go on with those of before.
    ///
    /// Errors: as [`Keyward::with_routes`], though every route is as it was.
    pub fn with_sources(&self, sources: Arc<dyn SourceDirectory>) -> Result<Keyward, SetupError> {
        let egress = &self.world.egress;
        let egress = egress
            .with_routes(egress.routes().cloned())?
            .signing_through(Arc::new(Signers(Arc::clone(&sources))));
        let egress = Arc::new(egress);
        let issuers = self.world.issuers.as_ref();
        Ok(Keyward {
            engine: Arc::clone(&self.engine),
            world: Arc::new(World {
                issuers: issuers.map(|issuers| issuers.over(Arc::clone(&egress))),
                egress,
                sources: Some(sources),
                senses: self.world.senses.clone(),
            }),
            _beside: self._beside.clone(),
        })
    }

    /// The same vault, engine, policies and routes with these issuers in place of those
    /// of before. One that is equal to one of before keeps its keys. Exchanges that have
    /// begun go on with those of before.
    pub fn with_issuers(&self, issuers: impl IntoIterator<Item = Issuer>) -> Keyward {
        let egress = Arc::clone(&self.world.egress);
        let (vault, before) = (self.engine.shared_vault(), self.world.issuers.as_ref());
        Keyward {
            engine: Arc::clone(&self.engine),
            world: Arc::new(World {
                issuers: Some(Issuers::new(issuers, Arc::clone(&egress), vault, before)),
                egress,
                sources: self.world.sources.clone(),
                senses: self.world.senses.clone(),
            }),
            _beside: self._beside.clone(),
        }
    }
}

/// With the sources of keys that sign without leaving them, if there are any.
fn signing(egress: Egress, sources: Option<&Arc<dyn SourceDirectory>>) -> Egress {
    match sources {
        Some(sources) => egress.signing_through(Arc::new(Signers(Arc::clone(sources)))),
        None => egress,
    }
}

impl Builder {
    /// Adds a route: a destination by name.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds routes.
    #[must_use]
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// Dials addresses in another way than over TCP: through a proxy, say, or from
    /// a certain network. It gets an address that was vetted and gives a connection;
    /// TLS and what is written stay with egress. Over an `https` route the connection
    /// carries TLS; over an `http` one, which stays on this machine, it carries what is
    /// attached as it is.
    #[must_use]
    pub fn connector(mut self, connector: impl Connect + 'static) -> Self {
        self.dialer.connector = Arc::new(connector);
        self
    }

    /// Looks names up in another way than the system's. What it finds is vetted
    /// against the route's networks.
    #[must_use]
    pub fn resolver(mut self, resolver: impl Resolver + 'static) -> Self {
        self.dialer.resolver = Arc::new(resolver);
        self
    }

    /// Adds issuers: whose tokens policies may have checked. Their keys are fetched at
    /// their first use, inside a tokio runtime with I/O and time.
    #[must_use]
    pub fn issuers(mut self, issuers: impl IntoIterator<Item = Issuer>) -> Self {
        self.issuers.extend(issuers);
        self
    }

    /// Finds the sources of keys that never leave theirs. Without it, uses of such
    /// keys are refused as unavailable.
    #[must_use]
    pub fn sources(mut self, sources: Arc<dyn SourceDirectory>) -> Self {
        self.sources = Some(sources);
        self
    }

    /// Sets up the engine otherwise than by default.
    #[must_use]
    pub fn engine(mut self, config: EngineConfig) -> Self {
        self.engine = config;
        self
    }

    /// Gives policies another clock, other randomness and another log than the
    /// system's: for tests.
    #[must_use]
    pub fn senses(mut self, senses: Arc<dyn Senses>) -> Self {
        self.senses = Some(senses);
        self
    }

    /// Lets a test read each guest's memory after each call.
    #[cfg(feature = "guest-debug")]
    #[must_use]
    pub fn memory_observer(mut self, observer: keyward_engine::MemoryObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Puts the parts together and starts the clock of computing time, a thread
    /// that ends with the last clone of the result.
    ///
    /// Errors: see [`BuildError`].
    pub fn build(self) -> Result<Keyward, BuildError> {
        let vault = Arc::new(self.vault);
        let egress = Egress::with_dialer(self.routes, Arc::clone(&vault), self.dialer)?;
        let egress = signing(egress, self.sources.as_ref());
        let egress = Arc::new(egress);
        let issuers = (!self.issuers.is_empty()).then(|| {
            let (egress, vault) = (Arc::clone(&egress), Arc::clone(&vault));
            Issuers::new(self.issuers, egress, vault, None)
        });
        let engine = Engine::new(&self.engine, vault)?;
        #[cfg(feature = "guest-debug")]
        let engine = match self.observer {
            Some(observer) => engine.with_memory_observer(observer),
            None => engine,
        };
        let engine = Arc::new(engine);
        ticker::start(&engine).map_err(BuildError::Ticker)?;
        let world = Arc::new(World {
            egress,
            issuers,
            sources: self.sources,
            senses: self.senses,
        });
        Ok(Keyward {
            engine,
            world,
            _beside: None,
        })
    }

    /// Puts the parts together with the engine of another `Keyward`, whose policies run
    /// here too: another vault, other routes, counters of its own, and of the engine's
    /// configuration the observer alone. It takes no thread and compiles nothing, so a
    /// test can have one for each case.
    ///
    /// Errors: see [`BuildError`].
    pub fn build_beside(self, other: &Keyward) -> Result<Keyward, BuildError> {
        let vault = Arc::new(self.vault);
        let egress = Egress::with_dialer(self.routes, Arc::clone(&vault), self.dialer)?;
        let egress = signing(egress, self.sources.as_ref());
        let egress = Arc::new(egress);
        let issuers = (!self.issuers.is_empty()).then(|| {
            let (egress, vault) = (Arc::clone(&egress), Arc::clone(&vault));
            Issuers::new(self.issuers, egress, vault, None)
        });
        let engine = Arc::new(other.engine.beside(vault, self.engine.observer));
        let world = Arc::new(World {
            egress,
            issuers,
            sources: self.sources,
            senses: self.senses,
        });
        Ok(Keyward {
            engine,
            world,
            _beside: Some(Arc::clone(&other.engine)),
        })
    }
}
