//! Sealing and opening a policy's own data.

use keyward_vault::RemoteCall;
use keyward_vault::uses::{Open, Seal};
use wasmtime::component::Resource;

use super::secrets::{Outcome, handle, to_wit};
use crate::bindings::keyward::policy::secrets::{HostOpener, HostSealer, SecretFailure};
use crate::state::{CallState, OpenerHandle, SealerHandle};

impl HostSealer for CallState {
    handle!(SealerHandle);

    async fn seal(
        &mut self,
        handle: Resource<SealerHandle>,
        plaintext: Vec<u8>,
        context: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.enter_with(plaintext.len().saturating_add(context.len()))?;
        let alias = self.table.get(&handle)?.0.clone();
        let permit = match self.permit::<Seal>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        if !permit.is_remote() {
            return Ok(permit.seal(&plaintext, &context).map_err(to_wit));
        }
        let asked = permit.ask(&plaintext, &context, &self.exchange.ledger);
        Ok(self.done_elsewhere(asked, RemoteCall::sealed).await)
    }
}

impl HostOpener for CallState {
    handle!(OpenerHandle);

    async fn open_sealed(
        &mut self,
        handle: Resource<OpenerHandle>,
        sealed: Vec<u8>,
        context: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.enter_with(sealed.len().saturating_add(context.len()))?;
        let alias = self.table.get(&handle)?.0.clone();
        let permit = match self.permit::<Open>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        if !permit.is_remote() {
            return Ok(permit.open(&sealed, &context).map_err(to_wit));
        }
        let asked = permit.ask(&sealed, &context, &self.exchange.ledger);
        Ok(self.done_elsewhere(asked, RemoteCall::opened).await)
    }
}
