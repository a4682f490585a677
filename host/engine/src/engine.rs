//! The engine: what all policies share, and one wasmtime engine with its linker for
//! each profile that is used.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use keyward_names::{ComponentDigest, PolicyName};
use keyward_vault::Vault;
use wasmtime::component::Linker;

use crate::bindings::Imports;
use crate::code::{Codes, cache};
use crate::config::EngineConfig;
use crate::counters::Counters;
use crate::error::EngineError;
use crate::inspect::Inspection;
use crate::observe::{HasWatched, Observer, Watched};
use crate::places::Places;
use crate::profile::Profile;
use crate::state::{CallState, HasCallState};
use crate::value_cache::Values;

/// Runs policies. Cheap to share behind an `Arc`; all methods take `&self`.
pub struct Engine {
    /// In the order of [`Profile::ALL`]; each is made when the first policy needs it.
    tiers: [OnceLock<Arc<Tier>>; 3],
    making: Mutex<()>,
    admissions: Mutex<HashMap<PolicyName, Weak<Admission>>>,
    /// The component that was inspected last: policies of one are often loaded one after
    /// the other.
    pub(crate) inspected: Mutex<Option<(ComponentDigest, Inspection)>>,
    pub(crate) config: EngineConfig,
    pub(crate) shared: Arc<Shared>,
    #[cfg(feature = "guest-debug")]
    pub(crate) memory_observer: Option<MemoryObserver>,
}

/// What every call needs of the engine. On cache lines of its own: the count of an
/// `Arc` changes with each call on every core, and what is read all the time must
/// not share a line with it.
#[repr(align(128))]
pub(crate) struct Shared {
    pub(crate) vault: Arc<Vault>,
    pub(crate) counters: Counters,
    pub(crate) values: Values,
    pub(crate) places: Places,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// A profile in use.
pub(crate) struct Tier {
    pub(crate) profile: Profile,
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<CallState>,
    /// What compiled code must have been made for.
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) codes: Codes,
}

/// How many calls of the policies with one name may be under way, and are.
#[repr(align(128))]
pub(crate) struct Admission {
    most: AtomicU32,
    under_way: AtomicU32,
}

/// A call that was let in. Dropping it lets the next one in.
pub(crate) struct Admitted<'a>(&'a Admission);

impl Admission {
    /// Lets a call in; none if as many are under way as there may be.
    pub(crate) fn admit(&self) -> Option<Admitted<'_>> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let admitted = Admitted(self);
        (before < self.most.load(Ordering::Relaxed)).then_some(admitted)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Called with each memory of an instance after its call, before it is dropped.
#[cfg(feature = "guest-debug")]
pub type MemoryObserver = Arc<dyn Fn(&[u8]) + Send + Sync>;

impl Engine {
    /// An engine that asks `vault` for permits. Everything else outside comes with
    /// each exchange.
    ///
    /// Errors: the machine can't run it (address space, unsupported CPU).
    pub fn new(config: &EngineConfig, vault: Arc<Vault>) -> Result<Self, EngineError> {
        let engine = Engine {
            tiers: Default::default(),
            making: Mutex::default(),
            admissions: Mutex::default(),
            inspected: Mutex::default(),
            config: config.clone(),
            shared: Arc::new(Shared {
                vault,
                counters: Counters::default(),
                values: Values::default(),
                places: Places::default(),
                observer: config.observer.clone(),
            }),
            #[cfg(feature = "guest-debug")]
            memory_observer: None,
        };
        // Whether the machine can run it shows now rather than with a policy.
        engine.tier(Profile::Lean)?;
        Ok(engine)
    }

    /// Another engine for the same policies: what was loaded by this one runs in it, and
    /// its guests compute by this one's clock. It has a vault, counters and a cache of its own,
    /// and `observer` in place of this one's, whose guests are watched only if this
    /// one has one too. Where a profile was never used here, it has nothing of it.
    pub fn beside(&self, vault: Arc<Vault>, observer: Option<Arc<dyn Observer>>) -> Self {
        Engine {
            tiers: self.tiers.clone(),
            making: Mutex::default(),
            admissions: Mutex::default(),
            inspected: Mutex::default(),
            config: EngineConfig {
                observer: observer.clone(),
                ..self.config.clone()
            },
            shared: Arc::new(Shared {
                vault,
                counters: Counters::default(),
                values: Values::default(),
                places: Places::default(),
                observer,
            }),
            #[cfg(feature = "guest-debug")]
            memory_observer: self.memory_observer.clone(),
        }
    }

    /// The engine of a profile, made if there is none yet.
    pub(crate) fn tier(&self, profile: Profile) -> Result<Arc<Tier>, EngineError> {
        let place = &self.tiers[profile as usize];
        if let Some(tier) = place.get() {
            return Ok(Arc::clone(tier));
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tier) = place.get() {
            return Ok(Arc::clone(tier));
        }
        let failed = |error: wasmtime::Error| EngineError(format!("{error:#}"));
        let wasmtime = wasmtime::Engine::new(&self.config.running(profile)).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        match self.config.observer {
            None => Imports::add_to_linker::<_, HasCallState>(&mut linker, |state| state),
            Some(_) => Imports::add_to_linker::<_, HasWatched>(&mut linker, |state| Watched(state)),
        }
        .map_err(failed)?;
        let tier = Tier {
            profile,
            fingerprint: cache::fingerprint(&wasmtime),
            wasmtime,
            linker,
            codes: Codes::default(),
        };
        Ok(Arc::clone(place.get_or_init(|| Arc::new(tier))))
    }

    /// What counts the calls of the policies with that name, of which `most` may be
    /// under way from now on.
    pub(crate) fn admission(&self, policy: &PolicyName, most: u32) -> Arc<Admission> {
        let mut admissions = self
            .admissions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(admission) = admissions.get(policy).and_then(Weak::upgrade) {
            admission.most.store(most, Ordering::Relaxed);
            return admission;
        }
        admissions.retain(|_, admission| admission.strong_count() > 0);
        let admission = Arc::new(Admission {
            most: AtomicU32::new(most),
            under_way: AtomicU32::new(0),
        });
        admissions.insert(policy.clone(), Arc::downgrade(&admission));
        admission
    }

    /// Lets a test read each guest's memory after each call. Only with
    /// `guest_debug` set in the configuration is there anything to read.
    #[cfg(feature = "guest-debug")]
    #[must_use]
    pub fn with_memory_observer(mut self, observer: MemoryObserver) -> Self {
        self.memory_observer = Some(observer);
        self
    }

    /// Whether guests are watched, or their memory can be read.
    /// Whoever serves real traffic must refuse to when this is true.
    pub fn is_debuggable(&self) -> bool {
        #[cfg(feature = "guest-debug")]
        if self.config.guest_debug {
            return true;
        }
        self.config.observer.is_some()
    }

    /// Advances the engine's clock of computing time by a millisecond. Someone
    /// must call it every millisecond, or runaway guests are not stopped.
    /// Async-signal-safe, lock-free.
    pub fn tick(&self) {
        for tier in self.tiers.iter().filter_map(OnceLock::get) {
            tier.wasmtime.increment_epoch();
        }
    }

    /// The vault that permits come from.
    pub fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// The same, to be kept.
    pub fn shared_vault(&self) -> Arc<Vault> {
        Arc::clone(&self.shared.vault)
    }
}
