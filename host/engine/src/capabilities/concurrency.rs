//! Places: other exchanges see that one is taken, so taking one waits for the audit
//! trail, as counters do.

use wasmtime::component::Resource;

use crate::bindings::keyward::policy::concurrency::{CounterFailure, Host, HostPlace};
use crate::state::{CallState, PlaceHandle};

const MOST_KEY_BYTES: usize = 128;

impl Host for CallState {
    async fn enter(
        &mut self,
        key: String,
        most: u32,
    ) -> wasmtime::Result<Result<Option<Resource<PlaceHandle>>, CounterFailure>> {
        self.enter_with(key.len())?;
        if !(1..=MOST_KEY_BYTES).contains(&key.len()) {
            return Ok(Err(CounterFailure::Invalid));
        }
        if !self.settled().await {
            return Ok(Err(CounterFailure::Unavailable));
        }
        let policy = &self.policy.identity.name;
        let Some(place) = self.shared.places.enter(policy, &key, most) else {
            return Ok(Ok(None));
        };
        let handle = self.table.push(PlaceHandle(place));
        Ok(handle.map(Some).map_err(|_| CounterFailure::Unavailable))
    }
}

impl HostPlace for CallState {
    fn drop(&mut self, place: Resource<PlaceHandle>) -> wasmtime::Result<()> {
        self.table.delete(place)?;
        Ok(())
    }
}
