//! Sealing and opening a policy's own data.

use keyward_vault::OperationError;
use keyward_vault::uses::{Open, Seal};
use wasmtime::component::Resource;

use super::secrets::{Outcome, handle};
use crate::bindings::keyward::policy::secrets::{HostOpener, HostSealer, SecretFailure};
use crate::state::{CallState, OpenerHandle, SealerHandle};

impl HostSealer for CallState {
    handle!(SealerHandle);

    fn seal(
        &mut self,
        handle: Resource<SealerHandle>,
        plaintext: Vec<u8>,
        context: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.enter_with(plaintext.len().saturating_add(context.len()))?;
        let alias = self.table.get(&handle)?.0.clone();
        let permit = self.permit::<Seal>(alias);
        Ok(permit.and_then(|permit| permit.seal(&plaintext, &context).map_err(to_wit)))
    }
}

impl HostOpener for CallState {
    handle!(OpenerHandle);

    fn open_sealed(
        &mut self,
        handle: Resource<OpenerHandle>,
        sealed: Vec<u8>,
        context: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.enter_with(sealed.len().saturating_add(context.len()))?;
        let alias = self.table.get(&handle)?.0.clone();
        let permit = self.permit::<Open>(alias);
        Ok(permit.and_then(|permit| permit.open(&sealed, &context).map_err(to_wit)))
    }
}

fn to_wit(error: OperationError) -> SecretFailure {
    match error {
        OperationError::MessageTooLong | OperationError::NotSealed => SecretFailure::Invalid,
        _ => SecretFailure::Unavailable,
    }
}
