//! The engine: one wasmtime engine, one linker, what all policies share.

use std::sync::Arc;

use keyward_vault::Vault;
use wasmtime::component::Linker;

use crate::bindings::Imports;
use crate::config::EngineConfig;
use crate::counters::Counters;
use crate::error::EngineError;
use crate::limits::Limits;
use crate::state::{CallState, HasCallState};

/// Runs policies. Cheap to share behind an `Arc`; all methods take `&self`.
pub struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Linker<CallState>,
    pub(crate) shared: Arc<Shared>,
    #[cfg(feature = "guest-debug")]
    pub(crate) memory_observer: Option<MemoryObserver>,
    debuggable: bool,
}

/// What every call needs of the engine. On cache lines of its own: the count of an
/// `Arc` changes with each call on every core, and what is read all the time must
/// not share a line with it.
#[repr(align(128))]
pub(crate) struct Shared {
    pub(crate) vault: Arc<Vault>,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
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
        let wasmtime = wasmtime::Engine::new(&config.wasmtime())
            .map_err(|error| EngineError(format!("{error:#}")))?;
        let mut linker = Linker::new(&wasmtime);
        Imports::add_to_linker::<CallState, HasCallState>(&mut linker, |state| state)
            .map_err(|error| EngineError(format!("{error:#}")))?;
        Ok(Engine {
            wasmtime,
            linker,
            shared: Arc::new(Shared {
                vault,
                counters: Counters::default(),
                limits: config.limits.clone(),
            }),
            #[cfg(feature = "guest-debug")]
            memory_observer: None,
            #[cfg(feature = "guest-debug")]
            debuggable: config.guest_debug,
            #[cfg(not(feature = "guest-debug"))]
            debuggable: false,
        })
    }

    /// Lets a test read each guest's memory after each call. Only with
    /// `guest_debug` set in the configuration is there anything to read.
    #[cfg(feature = "guest-debug")]
    #[must_use]
    pub fn with_memory_observer(mut self, observer: MemoryObserver) -> Self {
        self.memory_observer = Some(observer);
        self
    }

    /// Whether guests are compiled so that a debugger can read their memory.
    /// Whoever serves real traffic must refuse to when this is true.
    pub fn is_debuggable(&self) -> bool {
        self.debuggable
    }

    /// Advances the engine's clock of computing time by a millisecond. Someone
    /// must call it every millisecond, or runaway guests are not stopped.
    /// Async-signal-safe, lock-free.
    pub fn tick(&self) {
        self.wasmtime.increment_epoch();
    }

    /// The vault that permits come from.
    pub fn vault(&self) -> &Vault {
        &self.shared.vault
    }
}
