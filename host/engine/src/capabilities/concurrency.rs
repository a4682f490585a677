//! Places: other exchanges see that one is taken, so taking one waits for the audit
//! trail, as counters do. They see that one is free again, too: it is given back once
//! the trail holds what was used before.

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
        self.exchange.flush_logs();
        let policy = &self.policy.identity.name;
        let Some(place) = self.shared.places.enter(policy, &key, most) else {
            return Ok(Ok(None));
        };
        let number = self.spent.host_calls;
        let Ok(handle) = self.table.push(PlaceHandle(number)) else {
            return Ok(Err(CounterFailure::Unavailable));
        };
        self.places.push((number, place));
        Ok(Ok(Some(handle)))
    }
}

impl HostPlace for CallState {
    fn drop(&mut self, place: Resource<PlaceHandle>) -> wasmtime::Result<()> {
        let PlaceHandle(number) = self.table.delete(place)?;
        let mut places = self.places.iter();
        if let Some(at) = places.position(|(known, _)| *known == number) {
            let (_, place) = self.places.swap_remove(at);
            self.exchange.places.push(place);
            self.exchange.flush_logs();
        }
        Ok(())
    }
}
