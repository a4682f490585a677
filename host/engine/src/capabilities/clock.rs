//! Time, which stands still during a call.

use crate::bindings::keyward::policy::clock::Host;
use crate::state::CallState;

impl Host for CallState {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.enter()?;
        Ok(CallState::now(self))
    }
}
