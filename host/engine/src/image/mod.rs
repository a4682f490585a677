//! The image that instances start from: the component's memory as it is after
//! `configure` has read the settings.
//!
//! Three steps. [`instrumented`] makes the component that `configure` is run in, the
//! same for all settings. [`configured`] runs it, in a store whose imports all trap and
//! whose instructions are counted, and reads what its memory holds then. [`image_of`]
//! writes that back into the component, in two parts: what all settings have in common,
//! which holds the code, and what is these settings' own.

mod dense;
mod direct;
mod outline;
mod segments;
mod split;
mod state;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store, StoreLimitsBuilder, Trap};
use wasmtime_wizer::Wizer;

use self::dense::join_segments;
use self::state::Replayed;
use crate::bindings::configured::ConfiguredPolicyIndices;
use crate::compile::Refused;
use crate::limits::Limits;
use crate::profile::Profile;

pub(crate) use self::direct::direct;
pub(crate) use self::split::IMPORT;
pub(crate) use self::state::{Readings, State};

/// Times the computing time of an exchange that `configure` may take.
const PATIENCE: u32 = 20;
/// Instructions that count as a millisecond of it.
const INSTRUCTIONS: u64 = 1_000_000;
/// Bytes that memories may hold then: they go to who compiles, and come back.
const MOST_HELD: usize = 40 << 20;

/// What a component with its settings read consists of.
pub(crate) struct Image {
    /// What has the code: a component.
    pub(crate) common: Vec<u8>,
    /// A core module with the data of these settings, which `common` imports as
    /// [`IMPORT`]; none if they are in `common`.
    pub(crate) own: Option<Vec<u8>>,
}

/// The component that `configure` is run in.
///
/// Errors: it can't be instrumented. Panics: perhaps, if it has what the library does
/// not expect.
pub(crate) fn instrumented(component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let (_, instrumented) = Wizer::new().instrument_component(component)?;
    Ok(instrumented)
}

/// Runs `configure` in an instrumented component, which `engine` counts the instructions
/// of, and reads what it left.
///
/// Errors: the policy refuses the settings, or stops.
pub(crate) fn configured(
    engine: &Engine,
    instrumented: &Component,
    settings: &str,
    limits: &Limits,
    profile: Profile,
) -> Result<State, Refused> {
    let unfit = |error: wasmtime::Error| Refused::Unfit(format!("{error:#}"));
    let mut linker = Linker::new(engine);
    // The imports were checked by name; here each of them refuses.
    linker
        .define_unknown_imports_as_traps(instrumented)
        .map_err(unfit)?;
    let pre = linker.instantiate_pre(instrumented).map_err(unfit)?;
    let indices = ConfiguredPolicyIndices::new(&pre).map_err(unfit)?;

    let room = StoreLimitsBuilder::new()
        .memory_size(limits.memory_in(profile))
        .table_elements(limits.elements_in(profile))
        .build();
    let mut store = Store::new(engine, room);
    store.limiter(|limits| limits);
    let most = limits.cpu_milliseconds.saturating_mul(PATIENCE);
    let fuel = u64::from(most).saturating_mul(INSTRUCTIONS);
    store.set_fuel(fuel).map_err(unfit)?;

    let ran = finish::<wasmtime::Result<_>>(async {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = indices.load(&mut store, &instance)?;
        let answer = guest
            .keyward_policy_configuration()
            .call_configure(&mut store, settings)
            .await?;
        Ok((instance, answer))
    });
    let (instance, answer) = match ran {
        Some(Ok(ran)) => ran,
        Some(Err(error)) if error.downcast_ref() == Some(&Trap::OutOfFuel) => {
            return Err(Refused::Deadline(most));
        }
        _ => return Err(Refused::Trap),
    };
    if let Err(reason) = answer {
        let shown = reason.chars().filter(|c| !c.is_control());
        return Err(Refused::Settings(shown.take(1000).collect()));
    }
    // What reads the memory out is ours.
    store.set_fuel(u64::MAX).map_err(unfit)?;
    store.set_hostcall_fuel(usize::MAX);
    let state = finish(State::of(instrumented, &instance, &mut store))
        .flatten()
        .ok_or(Refused::Trap)?;
    let held = state.memories.len();
    if held > MOST_HELD {
        return Err(Refused::Unfit(format!(
            "its memory holds {held} bytes when its settings are read; at most {MOST_HELD} can be \
             kept"
        )));
    }
    Ok(state)
}

/// The component with what `configure` left in it.
///
/// Errors: it can't be written. Panics: perhaps, if the state is not this component's.
pub(crate) fn image_of(
    component: &[u8],
    readings: &Readings,
    memories: &[u8],
) -> wasmtime::Result<Image> {
    let wizer = Wizer::new();
    let (context, _) = wizer.instrument_component(component)?;
    let mut state = Replayed { readings, memories };
    let whole = finish(wizer.snapshot_component(&context, &mut state))
        .unwrap_or_else(|| Err(wasmtime::Error::msg("the snapshot waits")))?;
    Ok(match split::split(component, &whole) {
        Some(split) => Image {
            common: split.common,
            own: Some(split.own),
        },
        None => Image {
            common: join_segments(&whole).unwrap_or(whole),
            own: None,
        },
    })
}

/// Polls a future that never waits: every import traps and fuel never yields. None if
/// it waits all the same.
fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
