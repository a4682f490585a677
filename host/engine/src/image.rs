//! The image that instances start from: the component's memory as it is after
//! `configure` has read the settings.
//!
//! `configure` runs once, in a store whose imports all trap, and its memory is
//! written back into the component's data segments.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wasmtime::component::{Component, Instance, Lift, Linker};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder, Trap};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::bindings::configured::ConfiguredPolicyIndices;
use crate::compile::Refused;
use crate::dense::join_segments;

/// Times the computing time of an exchange that `configure` may take.
const PATIENCE: u32 = 20;
/// Instructions that count as a millisecond of it.
const INSTRUCTIONS: u64 = 1_000_000;

/// What `configure` gets.
pub(crate) struct Configured<'a> {
    /// The settings as JSON.
    pub(crate) settings: &'a str,
    pub(crate) cpu_milliseconds: u32,
    pub(crate) memory_bytes: usize,
    pub(crate) table_elements: usize,
}

/// The component with its settings read.
///
/// Errors: the policy refuses the settings, stops, or can't be snapshotted.
/// Panics: perhaps, if the snapshot meets what it does not expect.
pub(crate) fn configured(
    engine: &Engine,
    component: &[u8],
    with: &Configured<'_>,
) -> Result<Vec<u8>, Refused> {
    let unfit = |error: wasmtime::Error| Refused::Unfit(format!("{error:#}"));
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(component).map_err(unfit)?;
    let compiled = Component::new(engine, &instrumented).map_err(unfit)?;
    let mut linker = Linker::<StoreLimits>::new(engine);
    // The imports were checked by name; here each of them refuses.
    linker
        .define_unknown_imports_as_traps(&compiled)
        .map_err(unfit)?;
    let pre = linker.instantiate_pre(&compiled).map_err(unfit)?;
    let indices = ConfiguredPolicyIndices::new(&pre).map_err(unfit)?;

    let limits = StoreLimitsBuilder::new()
        .memory_size(with.memory_bytes)
        .table_elements(with.table_elements)
        .build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits| limits);
    let most = with.cpu_milliseconds.saturating_mul(PATIENCE);
    let fuel = u64::from(most).saturating_mul(INSTRUCTIONS);
    store.set_fuel(fuel).map_err(unfit)?;

    let ran = finish::<wasmtime::Result<_>>(async {
        let instance = pre.instantiate_async(&mut store).await?;
        let guest = indices.load(&mut store, &instance)?;
        let answer = guest
            .keyward_policy_configuration()
            .call_configure(&mut store, with.settings)
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
    let mut snapshot = Snapshot {
        store: &mut store,
        instance,
    };
    let image = finish(wizer.snapshot_component(&context, &mut snapshot)).ok_or(Refused::Trap)?;
    let image = image.map_err(unfit)?;
    Ok(join_segments(&image).unwrap_or(image))
}

/// Polls a future that never waits: every import traps and fuel never yields. None if it waits all the same.
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

struct Snapshot<'a> {
    store: &'a mut Store<StoreLimits>,
    instance: Instance,
}

impl Snapshot<'_> {
    /// Calls one of the accessors that the instrumentation added.
    async fn call<R: Lift + Send + Sync + 'static>(&mut self, instance: &str, func: &str) -> R {
        let accessor = self
            .instance
            .get_export_index(&mut *self.store, None, instance);
        let accessor = accessor
            .and_then(|accessor| {
                self.instance
                    .get_export_index(&mut *self.store, Some(&accessor), func)
            })
            .expect("the instrumentation exports every accessor that it asks for");
        let func = self
            .instance
            .get_typed_func::<(), (R,)>(&mut *self.store, &accessor)
            .expect("an accessor has the type that the instrumentation gave it");
        let (value,) = func
            .call_async(&mut *self.store, ())
            .await
            .expect("an accessor only reads a global or a memory");
        value
    }
}

impl ComponentInstanceState for Snapshot<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let bytes: Vec<u8> = self.call(instance, func).await;
        contents(&bytes);
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func).await
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func).await
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).await.to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).await.to_bits()
    }
}
