//! What a store holds during one call of a policy.

use std::ffi::OsStr;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use keyward_names::RouteName;
use keyward_vault::Notes;
use wasmtime::ResourceLimiter;
use wasmtime::component::{HasData, ResourceTable};

use crate::body::{Cursor, PolicyBody};
use crate::engine::Shared;
use crate::error::PolicyStop;
use crate::exchange::{Exchange, Phase};
use crate::load::PolicyInner;
use crate::places::Place;
use crate::report::{Frame, StopReport, Used};

/// The exchange has no entry in the handle table: there is one for each call.
pub struct ExchangeHandle;

/// A request that a policy is building.
pub struct PolicyRequest {
    pub(crate) route: RouteName,
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) notes: Notes,
}

/// The answer to one.
pub struct PolicyResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: PolicyBody,
    pub(crate) cursor: Cursor,
    /// Until when it may be read, by the clock that never jumps.
    pub(crate) until: Option<u64>,
}

macro_rules! alias_handles {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name(pub(crate) HandleAlias);
    )+};
}

/// What a guest called a secret: any text. What can't be a name fails at its use,
/// like a name that is not granted.
#[derive(Clone)]
pub(crate) struct HandleAlias(pub(crate) Arc<str>);

alias_handles!(
    /// A handle for attaching.
    CredentialHandle,
    /// A handle for signing requests.
    SignerHandle,
    /// A handle for making message authentication codes.
    MacSignerHandle,
    /// A handle for checking them.
    MacVerifierHandle,
    /// A handle for shared access signatures.
    SharedAccessHandle,
    /// A handle for presigned URLs.
    PresignerHandle,
    /// A handle for the public parts of a connection string.
    ConnectionHandle,
    /// A handle for having tokens obtained.
    TokenHandle,
    /// A handle for identifying clients.
    ClientKeysHandle,
    /// A handle for querying a database.
    DatabaseHandle,
    /// A handle for sealing data.
    SealerHandle,
    /// A handle for opening them.
    OpenerHandle,
    /// A handle for showing a certificate.
    TlsIdentityHandle,
    /// A handle for signing tokens.
    JwsSignerHandle,
);

/// A place among those that do the same at the same time, by its number in this call.
pub struct PlaceHandle(pub(crate) u32);

/// A handle for checking tokens.
pub struct JwtVerifierHandle(pub(crate) TokenKeys);

/// Whose keys, by a name of the guest's: any text. What can't be a name fails at its use.
#[derive(Clone)]
pub(crate) enum TokenKeys {
    /// A key of the vault, by its alias.
    Secret(HandleAlias),
    /// Those of an issuer, by the operator's name for it.
    Issuer(Arc<str>),
}

/// What this call has used of its budget.
#[derive(Default)]
pub(crate) struct Spent {
    pub(crate) host_calls: u32,
    pub(crate) secret_uses: u32,
    pub(crate) egress_requests: u32,
    pub(crate) forwards: u32,
    pub(crate) request_bytes: usize,
    pub(crate) log_lines: u32,
    pub(crate) random_bytes: u32,
    pub(crate) ticks: u32,
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements: usize,
}

/// A store's data: one call of one policy.
pub(crate) struct CallState {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) policy: Arc<PolicyInner>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: Phase,
    pub(crate) table: ResourceTable,
    /// The places that it has taken and not given back.
    pub(crate) places: Vec<(u32, Place)>,
    pub(crate) spent: Spent,
    pub(crate) request_cursor: Cursor,
    pub(crate) response_cursor: Cursor,
    /// The call's time, asked for once.
    pub(crate) now: Option<u64>,
    pub(crate) deadline: Option<u64>,
    /// It was refused more memory.
    pub(crate) outgrew: bool,
    /// Where the host counted its last call: each interface has a file of its name.
    pub(crate) interface: Option<&'static Location<'static>>,
    /// Why the host stopped the call, when it did.
    pub(crate) stop: Option<PolicyStop>,
    /// Someone wants to see the guest's memory after the call.
    #[cfg(feature = "guest-debug")]
    pub(crate) watched: bool,
    /// The call is over: the guest runs no further instruction.
    #[cfg(feature = "guest-debug")]
    pub(crate) over: bool,
}

impl CallState {
    /// Counts a call into the host. Errors stop the guest.
    #[track_caller]
    pub(crate) fn enter(&mut self) -> wasmtime::Result<()> {
        self.spent.host_calls += 1;
        self.interface = Some(Location::caller());
        if self.spent.host_calls > self.policy.limits.host_calls {
            return Err(self.stop(PolicyStop::HostCalls(self.policy.limits.host_calls)));
        }
        Ok(())
    }

    /// Like `enter`, for calls that copy bytes out of the guest.
    #[track_caller]
    pub(crate) fn enter_with(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.enter()?;
        if bytes > self.policy.limits.call_bytes {
            return Err(self.stop(PolicyStop::CallBytes));
        }
        Ok(())
    }

    /// Counts bytes that the host keeps in requests of the policy's own; false if they
    /// are too many. A request that is never sent costs as much as one that is.
    pub(crate) fn takes_request_bytes(&mut self, bytes: usize) -> bool {
        let total = self.spent.request_bytes.saturating_add(bytes);
        let fits = total <= self.policy.limits.body_bytes;
        if fits {
            self.spent.request_bytes = total;
        }
        fits
    }

    pub(crate) fn stop(&mut self, why: PolicyStop) -> wasmtime::Error {
        self.stop = Some(why);
        wasmtime::Error::msg("stopped by the host")
    }

    /// Ends the call without a verdict: says why, and leaves a report in the exchange.
    pub(crate) fn stopped(&mut self, stop: PolicyStop, frames: Vec<Frame>) -> PolicyStop {
        let stop = match self.stop.take().unwrap_or(stop) {
            PolicyStop::Trap if self.outgrew => PolicyStop::Memory {
                bytes: self.policy.memory_bytes,
                profile: self.policy.tier.profile,
            },
            stop => stop,
        };
        // No author can mend that.
        if !matches!(stop, PolicyStop::NoSlot | PolicyStop::NoPhase) {
            let file = self.interface.map(|place| Path::new(place.file()));
            let interface = file.and_then(Path::file_stem).and_then(OsStr::to_str);
            self.exchange.reports.push(StopReport {
                policy: self.policy.identity.name.clone(),
                phase: self.phase,
                exchange: self.exchange.id,
                stop,
                last_interface: interface,
                used: Used::from(&self.spent),
                frames,
            });
        }
        stop
    }

    pub(crate) fn now(&mut self) -> u64 {
        match self.now {
            Some(now) => now,
            None => {
                let now = self.exchange.outside.now();
                self.now = Some(now);
                now
            }
        }
    }

    /// Milliseconds that a host call may still wait.
    pub(crate) fn patience(&mut self) -> u64 {
        // An operator who sets the machine's clock neither ends calls nor prolongs them.
        let now = self.exchange.outside.monotonic();
        let wall = u64::from(self.policy.limits.wall_milliseconds);
        let deadline = *self.deadline.get_or_insert(now.saturating_add(wall));
        deadline.saturating_sub(now)
    }
}

/// Tells the generated code that the store's data implements the imports.
pub(crate) struct HasCallState;

impl HasData for HasCallState {
    type Data<'a> = &'a mut CallState;
}

impl ResourceLimiter for CallState {
    // The sum counts: a limit per memory could be had many times over.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.spent.memory_bytes.saturating_add(growth);
        if total > self.policy.memory_bytes {
            self.outgrew = true;
            return Ok(false);
        }
        self.spent.memory_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.spent.table_elements.saturating_add(growth);
        if total > self.policy.table_elements {
            return Ok(false);
        }
        self.spent.table_elements = total;
        Ok(true)
    }
}
