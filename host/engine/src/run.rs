//! One call of one policy: fresh instance, limits set, call, drop.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Store, StoreContextMut, UpdateDeadline};

use crate::bindings::keyward::policy::exchange as wit;
use crate::bindings::on_error::exports::keyward::policy::on_error as wit_error;
use crate::engine::Engine;
use crate::error::PolicyStop;
use crate::exchange::{Exchange, Phase};
use crate::load::Policy;
use crate::report::{self, Frame, Used};
use crate::state::{CallState, ExchangeHandle, Spent};

/// What becomes of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// On to the next policy.
    Proceed,
    /// Send the response that the policy made.
    Respond,
    /// The policy can't decide.
    Fail,
}

/// What failed, told to the on-error phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorSource {
    /// A policy said `fail`.
    PolicyFailed,
    /// A policy was stopped.
    PolicyStopped,
    /// A secret could not be used.
    SecretRefused,
    /// The backend did not answer.
    BackendUnavailable,
    /// The backend's answer was not passed on.
    BackendRefused,
    /// The host failed.
    HostFailed,
}

/// What to call.
#[derive(Clone, Copy)]
enum Call {
    Phase(Phase),
    OnError(ErrorSource),
}

impl Engine {
    /// Calls a policy's phase in a fresh instance and returns the exchange as the
    /// policy left it.
    ///
    /// For [`Phase::OnError`] use [`Engine::run_on_error`], which says what
    /// failed; this function answers [`PolicyStop::NoPhase`] to it.
    ///
    /// Cancel-safe: dropping the future drops the instance and the exchange, and
    /// the exchange's uses of secrets still reach the audit trail.
    pub async fn run(
        &self,
        policy: &Policy,
        phase: Phase,
        exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Verdict, PolicyStop>) {
        self.call(policy, Call::Phase(phase), exchange).await
    }

    /// Calls a policy's on-error phase.
    pub async fn run_on_error(
        &self,
        policy: &Policy,
        source: ErrorSource,
        exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Verdict, PolicyStop>) {
        self.call(policy, Call::OnError(source), exchange).await
    }

    async fn call(
        &self,
        policy: &Policy,
        call: Call,
        exchange: Box<Exchange>,
    ) -> (Box<Exchange>, Result<Verdict, PolicyStop>) {
        let phase = match call {
            Call::Phase(phase) => phase,
            Call::OnError(_) => Phase::OnError,
        };
        let Some(_admitted) = policy.inner.admission.admit() else {
            return (exchange, Err(PolicyStop::NoSlot));
        };
        if let Some(observer) = &self.shared.observer {
            observer.began(policy, phase, exchange.id);
        }
        let engine = &policy.inner.tier.wasmtime;
        let mut store = Store::new(engine, self.state(policy, phase, exchange));
        store.limiter(|state| state);
        // Before instantiation, so that a start function can't run for ever.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(on_tick);
        store.set_hostcall_fuel(policy.inner.limits.call_bytes);

        let answer = invoke(&mut store, policy, call).await;
        #[cfg(feature = "guest-debug")]
        self.observe(
            &store,
            match &answer {
                Ok((_, left)) => &left.memories,
                Err(stopped) => &stopped.memories,
            },
        );

        let mut state = store.into_data();
        let verdict = match answer {
            Ok((wit::Verdict::Proceed, _)) => Ok(Verdict::Proceed),
            Ok((wit::Verdict::Fail, _)) => Ok(Verdict::Fail),
            Ok((wit::Verdict::Respond, _)) if state.exchange.response.is_some() => {
                Ok(Verdict::Respond)
            }
            Ok((wit::Verdict::Respond, _)) => {
                Err(state.stopped(PolicyStop::NoResponse, Vec::new()))
            }
            Err(stopped) => Err(state.stopped(stopped.stop, stopped.frames)),
        };
        if let Some(observer) = &self.shared.observer {
            observer.ended(&state.exchange, verdict, Used::from(&state.spent));
        }
        let places = state.places.drain(..).map(|(_, place)| place);
        state.exchange.places.extend(places);
        state.exchange.flush_logs();
        (state.exchange, verdict)
    }

    fn state(&self, policy: &Policy, phase: Phase, exchange: Box<Exchange>) -> CallState {
        let mut table = ResourceTable::new();
        table.set_max_capacity(policy.inner.limits.handles);
        CallState {
            exchange,
            policy: Arc::clone(&policy.inner),
            shared: Arc::clone(&self.shared),
            phase,
            table,
            places: Vec::new(),
            spent: Spent::default(),
            request_cursor: Default::default(),
            response_cursor: Default::default(),
            now: None,
            deadline: None,
            outgrew: false,
            interface: None,
            stop: None,
            #[cfg(feature = "guest-debug")]
            watched: self.is_watched(),
            #[cfg(feature = "guest-debug")]
            over: false,
        }
    }

    #[cfg(feature = "guest-debug")]
    fn is_watched(&self) -> bool {
        self.config.guest_debug
            && (self.memory_observer.is_some() || self.shared.observer.is_some())
    }

    #[cfg(feature = "guest-debug")]
    fn observe(&self, store: &Store<CallState>, memories: &[wasmtime::Memory]) {
        let exchange = store.data().exchange.id;
        for memory in memories {
            let memory = memory.data(store);
            if let Some(observer) = &self.memory_observer {
                observer(memory);
            }
            if let Some(observer) = &self.shared.observer {
                observer.memory(exchange, memory);
            }
        }
    }
}

/// Called when a millisecond of computing has passed: lets others run, or ends
/// the call. It counts its own calls, not elapsed time, so that waiting for a
/// slow backend does not use up computing time.
fn on_tick(mut context: StoreContextMut<'_, CallState>) -> wasmtime::Result<UpdateDeadline> {
    let state = context.data_mut();
    #[cfg(feature = "guest-debug")]
    if state.over {
        return Err(wasmtime::Error::msg("the call is over"));
    }
    state.spent.ticks += 1;
    if state.spent.ticks > state.policy.limits.cpu_milliseconds {
        let most = state.policy.limits.cpu_milliseconds;
        return Err(state.stop(PolicyStop::Deadline(most)));
    }
    Ok(UpdateDeadline::Yield(1))
}

/// Why a guest stopped, and where it was.
struct Stopped {
    stop: PolicyStop,
    frames: Vec<Frame>,
    #[cfg(feature = "guest-debug")]
    memories: Vec<wasmtime::Memory>,
}

impl Stopped {
    fn new(stop: PolicyStop) -> Self {
        Self {
            stop,
            frames: Vec::new(),
            #[cfg(feature = "guest-debug")]
            memories: Vec::new(),
        }
    }

    fn by(error: &wasmtime::Error, stop: PolicyStop) -> Self {
        Self {
            stop,
            frames: report::frames(error),
            #[cfg(feature = "guest-debug")]
            memories: memories(error),
        }
    }
}

/// The memories that the error of a trap brings; none unless the engine collects them.
#[cfg(feature = "guest-debug")]
fn memories(error: &wasmtime::Error) -> Vec<wasmtime::Memory> {
    let dump = error.downcast_ref::<wasmtime::WasmCoreDump>();
    dump.map(|dump| dump.memories().to_vec())
        .unwrap_or_default()
}

/// What came of a call, and, where someone watches, the guest's memories.
#[derive(Default)]
struct Left {
    #[cfg(feature = "guest-debug")]
    memories: Vec<wasmtime::Memory>,
}

async fn invoke(
    store: &mut Store<CallState>,
    policy: &Policy,
    call: Call,
) -> Result<(wit::Verdict, Left), Stopped> {
    let exchange = || Resource::<ExchangeHandle>::new_borrow(0);
    let no_phase = || Stopped::new(PolicyStop::NoPhase);
    let inner = &policy.inner;
    macro_rules! enter {
        ($pre:expr, $interface:ident $(, $argument:expr)?) => {{
            let pre = $pre.as_ref().ok_or_else(no_phase)?;
            let guest = pre
                .instantiate_async(&mut *store)
                .await
                .map_err(|error| not_started(&error))?;
            let guest = guest.$interface();
            let verdict = guest
                .call_handle(&mut *store, exchange() $(, $argument)?)
                .await
                .map_err(|error| Stopped::by(&error, PolicyStop::Trap))?;
            #[allow(unused_mut, reason = "only watched guests leave anything")]
            let mut left = Left::default();
            #[cfg(feature = "guest-debug")]
            if store.data().watched {
                // A guest's memory can be had from a trap alone, so it is called once
                // more and stopped before its first instruction.
                store.data_mut().over = true;
                store.set_epoch_deadline(0);
                if let Err(error) = guest
                    .call_handle(&mut *store, exchange() $(, $argument)?)
                    .await
                {
                    left.memories = memories(&error);
                }
            }
            Ok((verdict, left))
        }};
    }
    match call {
        Call::Phase(Phase::Inbound) => enter!(inner.inbound, keyward_policy_inbound),
        Call::Phase(Phase::Backend) => enter!(inner.backend, keyward_policy_backend),
        Call::Phase(Phase::Outbound) => enter!(inner.outbound, keyward_policy_outbound),
        Call::Phase(Phase::OnError) => Err(no_phase()),
        Call::OnError(source) => {
            enter!(inner.on_error, keyward_policy_on_error, to_wit(source))
        }
    }
}

/// Instantiation fails for want of a slot, or because the guest's start traps.
fn not_started(error: &wasmtime::Error) -> Stopped {
    let stop = if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        PolicyStop::NoSlot
    } else {
        PolicyStop::Trap
    };
    Stopped::by(error, stop)
}

fn to_wit(source: ErrorSource) -> wit_error::ErrorSource {
    match source {
        ErrorSource::PolicyFailed => wit_error::ErrorSource::PolicyFailed,
        ErrorSource::PolicyStopped => wit_error::ErrorSource::PolicyStopped,
        ErrorSource::SecretRefused => wit_error::ErrorSource::SecretRefused,
        ErrorSource::BackendUnavailable => wit_error::ErrorSource::BackendUnavailable,
        ErrorSource::BackendRefused => wit_error::ErrorSource::BackendRefused,
        ErrorSource::HostFailed => wit_error::ErrorSource::HostFailed,
    }
}
