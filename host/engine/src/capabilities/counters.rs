//! Counters: shared by all calls of a policy, so a count that may depend on a
//! secret waits for the audit trail like everything else that leaves.

use super::exchange::within;
use crate::bindings::keyward::policy::counters::{CounterFailure, Host};
use crate::state::CallState;

const MOST_NAME_BYTES: usize = 128;
const MOST_WINDOW_SECONDS: u32 = 86_400;

impl CallState {
    /// Waits until what has been used is in the audit trail, before something that
    /// may depend on it is seen by other exchanges; false if that can't be.
    pub(super) async fn settled(&mut self) -> bool {
        if self.exchange.ledger.is_settled() {
            return true;
        }
        let patience = self.patience();
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let settled = within(&*outside, patience, self.exchange.settle()).await;
        matches!(settled, Some(Ok(_)))
    }
}

impl Host for CallState {
    async fn increment(
        &mut self,
        name: String,
        by: u32,
        window_seconds: u32,
    ) -> wasmtime::Result<Result<u64, CounterFailure>> {
        self.enter_with(name.len())?;
        if name.is_empty()
            || name.len() > MOST_NAME_BYTES
            || !(1..=MOST_WINDOW_SECONDS).contains(&window_seconds)
        {
            return Ok(Err(CounterFailure::Invalid));
        }
        if !self.settled().await {
            return Ok(Err(CounterFailure::Unavailable));
        }
        let now = CallState::now(self);
        let policy = &self.policy.identity.name;
        let counters = &self.shared.counters;
        Ok(Ok(counters.increment(
            policy,
            name,
            by,
            window_seconds,
            now,
        )))
    }
}
