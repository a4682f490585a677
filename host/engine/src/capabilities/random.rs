//! Randomness, as much as a call may have.

use crate::bindings::keyward::policy::random::Host;
use crate::state::CallState;

impl Host for CallState {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.enter()?;
        let left = self
            .policy
            .limits
            .random_bytes
            .saturating_sub(self.spent.random_bytes);
        let length = length.min(left);
        self.spent.random_bytes = self.spent.random_bytes.saturating_add(length);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.exchange.outside.random(&mut bytes);
        Ok(bytes)
    }
}
