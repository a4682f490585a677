//! Time, which stands still during a call.

use crate::bindings::keyward::policy::clock::Host;
use crate::state::CallState;

impl Host for CallState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.enter()?;
        Ok(CallState::now(self))
    }

    async fn sleep(&mut self, milliseconds: u32) -> wasmtime::Result<bool> {
        self.enter()?;
        let (asked, patience) = (u64::from(milliseconds), self.patience());
        self.exchange.outside.pause(asked.min(patience)).await;
        Ok(asked <= patience)
    }
}
