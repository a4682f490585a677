//! The image that instances start from: the component's memory as it is after
//! `configure` has read the settings.
//!
//! `configure` runs once, in a store whose imports all trap, and its memory is
//! written back into the component's data segments.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use keyward_names::PolicyName;
use wasmtime::component::{Component, Instance, Lift, Linker};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::bindings::configured::ConfiguredPolicyIndices;
use crate::dense::join_segments;
use crate::engine::Engine;
use crate::error::{LoadError, PolicyStop};

/// Times the computing time of an exchange that `configure` may take.
const PATIENCE: u32 = 20;

struct Configuring {
    limits: StoreLimits,
    ticks: u32,
}

impl Engine {
    /// The component with its settings read.
    ///
    /// Errors: the policy refuses the settings, stops, or can't be snapshotted.
    pub(crate) fn configured_image(
        &self,
        policy: &PolicyName,
        component: &[u8],
        settings: Option<&serde_json::Value>,
    ) -> Result<Vec<u8>, LoadError> {
        // The library that takes the snapshot was written for components that
        // their owner trusts. What it does not expect must not end the host.
        let image = AssertUnwindSafe(|| self.configure(policy, component, settings));
        catch_unwind(image).unwrap_or_else(|_| {
            Err(LoadError::Unfit {
                policy: policy.clone(),
                detail: "no image can be made of it".to_owned(),
            })
        })
    }

    fn configure(
        &self,
        policy: &PolicyName,
        component: &[u8],
        settings: Option<&serde_json::Value>,
    ) -> Result<Vec<u8>, LoadError> {
        let empty = serde_json::Value::Object(serde_json::Map::new());
        let settings = settings.unwrap_or(&empty).to_string();
        let unfit = |error: wasmtime::Error| LoadError::Unfit {
            policy: policy.clone(),
            detail: format!("{error:#}"),
        };

        let wizer = Wizer::new();
        let (context, instrumented) = wizer.instrument_component(component).map_err(unfit)?;
        let compiled = Component::new(&self.wasmtime, &instrumented).map_err(unfit)?;
        let mut linker = Linker::<Configuring>::new(&self.wasmtime);
        // The imports were checked by name; here each of them refuses.
        linker
            .define_unknown_imports_as_traps(&compiled)
            .map_err(unfit)?;
        let pre = linker.instantiate_pre(&compiled).map_err(unfit)?;
        let indices = ConfiguredPolicyIndices::new(&pre).map_err(unfit)?;

        let most = self.shared.limits.cpu_milliseconds.saturating_mul(PATIENCE);
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.shared.limits.memory_bytes)
            .table_elements(self.shared.limits.table_elements)
            .build();
        let mut store = Store::new(&self.wasmtime, Configuring { limits, ticks: 0 });
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |mut state| {
            let state = state.data_mut();
            state.ticks += 1;
            Ok(if state.ticks > most {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(1)
            })
        });

        let ran = finish::<wasmtime::Result<_>>(async {
            let instance = pre.instantiate_async(&mut store).await?;
            let guest = indices.load(&mut store, &instance)?;
            let answer = guest
                .keyward_policy_configuration()
                .call_configure(&mut store, &settings)
                .await?;
            Ok((instance, answer))
        });
        let (instance, answer) = match ran {
            Some(Ok(ran)) => ran,
            _ => {
                let stop = if store.data().ticks > most {
                    PolicyStop::Deadline(most)
                } else {
                    PolicyStop::Trap
                };
                return Err(LoadError::Configure {
                    policy: policy.clone(),
                    stop,
                });
            }
        };
        if let Err(reason) = answer {
            let reason = reason
                .chars()
                .filter(|c| !c.is_control())
                .take(1000)
                .collect();
            return Err(LoadError::Settings {
                policy: policy.clone(),
                reason,
            });
        }
        let mut snapshot = Snapshot {
            store: &mut store,
            instance,
        };
        match finish(wizer.snapshot_component(&context, &mut snapshot)) {
            Some(image) => {
                let image = image.map_err(unfit)?;
                Ok(join_segments(&image).unwrap_or(image))
            }
            None => Err(LoadError::Configure {
                policy: policy.clone(),
                stop: PolicyStop::Trap,
            }),
        }
    }
}

/// Polls a future that never waits: every import traps and the epoch callback
/// never yields. None if it waits all the same.
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
    store: &'a mut Store<Configuring>,
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
