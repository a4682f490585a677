//! What an instance's memories and globals hold after `configure`: read where it ran,
//! written into the component by whoever compiles.

use serde::{Deserialize, Serialize};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, Instance, Type, Val};
use wasmtime::{Store, StoreLimits};
use wasmtime_wizer::ComponentInstanceState;

/// The instance that the instrumentation exports, with a function for each memory and
/// each global.
const ACCESS: &str = "wasmtime:wizer/access";

/// What one of those functions returned.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reading {
    /// A memory: its size, and how many bytes of it lie beside the readings. What is
    /// left out at its end is zeros.
    Memory {
        bytes: usize,
        held: usize,
    },
    S32(i32),
    S64(i64),
    F32(u32),
    F64(u64),
}

/// The readings by the names of their functions.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Readings(Vec<(String, Reading)>);

/// The readings, and the memories in the same order, one after the other.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) readings: Readings,
    pub(crate) memories: Vec<u8>,
}

impl State {
    /// Reads it out of an instance of an instrumented component. None if it isn't one,
    /// or a call fails.
    pub(super) async fn of(
        component: &Component,
        instance: &Instance,
        store: &mut Store<StoreLimits>,
    ) -> Option<Self> {
        let mut state = Self::default();
        let (access, index) = component.get_export(None, ACCESS)?;
        let ComponentItem::ComponentInstance(access) = access else {
            return None;
        };
        let engine = store.engine().clone();
        for (name, item) in access.exports(&engine) {
            let ComponentItem::ComponentFunc(function) = item.ty else {
                return None;
            };
            let returns = function.results().next()?;
            let place = component.get_export_index(Some(&index), name)?;
            let reading = match returns {
                Type::List(_) => state.memory(place, instance, store).await?,
                _ => global(place, instance, store).await?,
            };
            state.readings.0.push((name.to_owned(), reading));
        }
        Some(state)
    }

    async fn memory(
        &mut self,
        place: ComponentExportIndex,
        instance: &Instance,
        store: &mut Store<StoreLimits>,
    ) -> Option<Reading> {
        let function = instance.get_typed_func::<(), (Vec<u8>,)>(&mut *store, place);
        let (memory,) = function.ok()?.call_async(&mut *store, ()).await.ok()?;
        let last = memory.iter().rposition(|byte| *byte != 0);
        let held = last.map_or(0, |last| last + 1);
        self.memories.extend_from_slice(memory.get(..held)?);
        Some(Reading::Memory {
            bytes: memory.len(),
            held,
        })
    }
}

async fn global(
    place: ComponentExportIndex,
    instance: &Instance,
    store: &mut Store<StoreLimits>,
) -> Option<Reading> {
    let function = instance.get_func(&mut *store, place)?;
    let mut value = [Val::Bool(false)];
    let called = function.call_async(&mut *store, &[], &mut value).await;
    called.ok()?;
    match value {
        [Val::S32(value)] => Some(Reading::S32(value)),
        [Val::S64(value)] => Some(Reading::S64(value)),
        [Val::Float32(value)] => Some(Reading::F32(value.to_bits())),
        [Val::Float64(value)] => Some(Reading::F64(value.to_bits())),
        _ => None,
    }
}

/// A state, as who writes snapshots asks for it.
pub(super) struct Replayed<'a> {
    pub(super) readings: &'a Readings,
    pub(super) memories: &'a [u8],
}

impl Replayed<'_> {
    /// What the function of that name returned, and where its memory begins.
    ///
    /// Panics: there is no such function; the readings are another component's.
    fn reading(&self, name: &str) -> (Reading, usize) {
        let mut begins = 0_usize;
        for (there, reading) in &self.readings.0 {
            if there == name {
                return (*reading, begins);
            }
            if let Reading::Memory { held, .. } = reading {
                begins = begins.saturating_add(*held);
            }
        }
        panic!("there is no reading of {name}");
    }
}

impl ComponentInstanceState for Replayed<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        _: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let (Reading::Memory { bytes, held }, begins) = self.reading(func) else {
            panic!("{func} is no memory");
        };
        let held = self
            .memories
            .get(begins..)
            .and_then(|rest| rest.get(..held));
        let mut memory = held.expect("what is held lies beside it").to_vec();
        memory.resize(bytes, 0);
        contents(&memory);
    }

    async fn call_func_ret_s32(&mut self, _: &str, func: &str) -> i32 {
        match self.reading(func) {
            (Reading::S32(value), _) => value,
            _ => panic!("{func} is no such global"),
        }
    }

    async fn call_func_ret_s64(&mut self, _: &str, func: &str) -> i64 {
        match self.reading(func) {
            (Reading::S64(value), _) => value,
            _ => panic!("{func} is no such global"),
        }
    }

    async fn call_func_ret_f32(&mut self, _: &str, func: &str) -> u32 {
        match self.reading(func) {
            (Reading::F32(value), _) => value,
            _ => panic!("{func} is no such global"),
        }
    }

    async fn call_func_ret_f64(&mut self, _: &str, func: &str) -> u64 {
        match self.reading(func) {
            (Reading::F64(value), _) => value,
            _ => panic!("{func} is no such global"),
        }
    }
}
