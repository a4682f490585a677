//! Tokens that the host obtains (`secrets.token`). What a policy does here becomes a
//! note: the token itself is obtained when the policy is done.

use keyward_vault::uses::Token;
use keyward_vault::{Permit, SubjectToken};
use wasmtime::component::Resource;

use super::secrets::{Outcome, handle};
use crate::bindings::keyward::policy::secrets::{HostToken, SecretFailure};
use crate::state::{CallState, ExchangeHandle, PolicyRequest, TokenHandle};

impl HostToken for CallState {
    handle!(TokenHandle);

    fn attach(
        &mut self,
        handle: Resource<TokenHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        Ok(self.attach_to_exchange::<Token>(alias, Permit::<Token>::note))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<TokenHandle>,
        request: Resource<PolicyRequest>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        CallState::attach_to_request::<Token>(self, alias, &request, Permit::<Token>::note)
    }

    fn attach_on_behalf_of(
        &mut self,
        handle: Resource<TokenHandle>,
        _: Resource<ExchangeHandle>,
        subject_token: String,
    ) -> Outcome<()> {
        self.enter_with(subject_token.len())?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let Ok(subject) = SubjectToken::new(subject_token) else {
            return Ok(Err(SecretFailure::Invalid));
        };
        if !self.phase.before_backend() {
            return Ok(Err(SecretFailure::Invalid));
        }
        let permit = match self.permit::<Token>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        // Where the grant's flow takes no such token.
        let Ok(note) = permit.note_on_behalf_of(subject) else {
            return Ok(Err(SecretFailure::Denied));
        };
        self.exchange.notes.push(note);
        Ok(Ok(()))
    }
}
