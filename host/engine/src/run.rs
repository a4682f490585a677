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
        self.observe(&mut store);

        let mut state = store.into_data();
        let verdict = match answer {
            Ok(wit::Verdict::Proceed) => Ok(Verdict::Proceed),
            Ok(wit::Verdict::Fail) => Ok(Verdict::Fail),
            Ok(wit::Verdict::Respond) if state.exchange.response.is_some() => Ok(Verdict::Respond),
            Ok(wit::Verdict::Respond) => Err(state.stopped(PolicyStop::NoResponse, Vec::new())),
            Err((stop, frames)) => Err(state.stopped(stop, frames)),
        };
        if let Some(observer) = &self.shared.observer {
            observer.ended(&state.exchange, verdict, Used::from(&state.spent));
        }
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
            spent: Spent::default(),
            request_cursor: Default::default(),
            response_cursor: Default::default(),
            now: None,
            deadline: None,
            outgrew: false,
            interface: None,
            stop: None,
        }
    }

    #[cfg(feature = "guest-debug")]
    fn observe(&self, store: &mut Store<CallState>) {
        if self.memory_observer.is_none() && self.shared.observer.is_none() {
            return;
        }
        let exchange = store.data().exchange.id;
        for instance in store.debug_all_instances() {
            for index in 0.. {
                let Some(memory) = instance.debug_memory(&mut *store, index) else {
                    break;
                };
                let memory = memory.data(&*store);
                if let Some(observer) = &self.memory_observer {
                    observer(memory);
                }
                if let Some(observer) = &self.shared.observer {
                    observer.memory(exchange, memory);
                }
            }
        }
    }
}

/// Called when a millisecond of computing has passed: lets others run, or ends
/// the call. It counts its own calls, not elapsed time, so that waiting for a
/// slow backend does not use up computing time.
fn on_tick(mut context: StoreContextMut<'_, CallState>) -> wasmtime::Result<UpdateDeadline> {
    let state = context.data_mut();
    state.spent.ticks += 1;
    if state.spent.ticks > state.policy.limits.cpu_milliseconds {
        let most = state.policy.limits.cpu_milliseconds;
        return Err(state.stop(PolicyStop::Deadline(most)));
    }
    Ok(UpdateDeadline::Yield(1))
}

/// Why a guest stopped, and where it was.
type Stopped = (PolicyStop, Vec<Frame>);

async fn invoke(
    store: &mut Store<CallState>,
    policy: &Policy,
    call: Call,
) -> Result<wit::Verdict, Stopped> {
    let exchange = || Resource::<ExchangeHandle>::new_borrow(0);
    let no_phase = || (PolicyStop::NoPhase, Vec::new());
    let inner = &policy.inner;
    let answer = match call {
        Call::Phase(Phase::Inbound) => {
            let pre = inner.inbound.as_ref().ok_or_else(no_phase)?;
            let guest = pre
                .instantiate_async(&mut *store)
                .await
                .map_err(not_started)?;
            guest
                .keyward_policy_inbound()
                .call_handle(store, exchange())
                .await
        }
        Call::Phase(Phase::Backend) => {
            let pre = inner.backend.as_ref().ok_or_else(no_phase)?;
            let guest = pre
                .instantiate_async(&mut *store)
                .await
                .map_err(not_started)?;
            guest
                .keyward_policy_backend()
                .call_handle(store, exchange())
                .await
        }
        Call::Phase(Phase::Outbound) => {
            let pre = inner.outbound.as_ref().ok_or_else(no_phase)?;
            let guest = pre
                .instantiate_async(&mut *store)
                .await
                .map_err(not_started)?;
            guest
                .keyward_policy_outbound()
                .call_handle(store, exchange())
                .await
        }
        Call::Phase(Phase::OnError) => return Err(no_phase()),
        Call::OnError(source) => {
            let pre = inner.on_error.as_ref().ok_or_else(no_phase)?;
            let guest = pre
                .instantiate_async(&mut *store)
                .await
                .map_err(not_started)?;
            let source = to_wit(source);
            guest
                .keyward_policy_on_error()
                .call_handle(store, exchange(), source)
                .await
        }
    };
    answer.map_err(|error| (PolicyStop::Trap, report::frames(&error)))
}

/// Instantiation fails for want of a slot, or because the guest's start traps.
fn not_started(error: wasmtime::Error) -> Stopped {
    let stop = if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        PolicyStop::NoSlot
    } else {
        PolicyStop::Trap
    };
    (stop, report::frames(&error))
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
