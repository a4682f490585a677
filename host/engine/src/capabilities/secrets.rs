//! Uses of secrets. Every one of them goes through [`CallState::permit`], which
//! counts it and asks the vault; the vault checks the grants in force, records
//! the use or the denial, and only then gives a permit to spend.
//!
//! A key may stay in its source. Then the use waits until it is in the audit trail,
//! and the source is asked, within what is left of the call's time.

use keyward_vault::uses::{Attach, Identify, MacSign, MacVerify, SignRequest};
use keyward_vault::{
    Chosen, Denied, Holes, Note, OperationError, OtherChoice, Permit, RemoteAnswer, RemoteCall,
    RemoteUse, UseType,
};
use wasmtime::component::Resource;

use super::exchange::within;
use crate::bindings::keyward::policy::secrets::{
    Host, HostClientKeys, HostCredential, HostMacSigner, HostMacVerifier, HostSigner, SecretFailure,
};
use crate::state::{
    CallState, ClientKeysHandle, CredentialHandle, ExchangeHandle, HandleAlias, MacSignerHandle,
    MacVerifierHandle, PolicyRequest, SignerHandle,
};

pub(super) type Outcome<T> = wasmtime::Result<Result<T, SecretFailure>>;

impl Host for CallState {}

impl CallState {
    /// The way to a permit, and the only one.
    pub(super) fn permit<U: UseType>(
        &mut self,
        alias: HandleAlias,
    ) -> Result<Permit<U>, SecretFailure> {
        self.spent.secret_uses += 1;
        if self.spent.secret_uses > self.policy.limits.secret_uses {
            return Err(SecretFailure::Exhausted);
        }
        self.shared
            .vault
            .permit::<U>(&self.policy.identity, &alias.0, &mut self.exchange.ledger)
            .map_err(|denied| match denied {
                Denied::Denied => SecretFailure::Denied,
                Denied::Unavailable => SecretFailure::Unavailable,
            })
    }

    /// Has the source of a key do what was permitted, once that is on record.
    pub(super) async fn ask_source(
        &mut self,
        asked: RemoteUse,
    ) -> Result<(RemoteCall, RemoteAnswer), SecretFailure> {
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let patience = self.patience();
        let settled = within(&*outside, patience, self.exchange.settle()).await;
        let Some(Ok(durable)) = settled else {
            return Err(SecretFailure::Unavailable);
        };
        let call = asked.release(&durable).map_err(to_wit)?;
        let patience = self.patience();
        let answer = within(&*outside, patience, outside.remote(&call)).await;
        match answer.flatten() {
            Some(answer) => Ok((call, answer)),
            None => Err(to_wit(call.failed())),
        }
    }

    /// The same, for what a permit asks and what is made of the answer.
    pub(super) async fn done_elsewhere<T>(
        &mut self,
        asked: Result<RemoteUse, OperationError>,
        taken: impl FnOnce(RemoteCall, RemoteAnswer) -> Result<T, OperationError>,
    ) -> Result<T, SecretFailure> {
        let (call, answer) = self.ask_source(asked.map_err(to_wit)?).await?;
        taken(call, answer).map_err(to_wit)
    }

    pub(super) fn attach_to_exchange<U: UseType>(
        &mut self,
        alias: HandleAlias,
        note: impl FnOnce(Permit<U>) -> Note,
    ) -> Result<(), SecretFailure> {
        if !self.phase.before_backend() {
            return Err(SecretFailure::Invalid);
        }
        let permit = self.permit(alias)?;
        self.exchange.notes.push(note(permit));
        Ok(())
    }

    pub(super) fn attach_to_request<U: UseType>(
        &mut self,
        alias: HandleAlias,
        request: &Resource<PolicyRequest>,
        note: impl FnOnce(Permit<U>) -> Note,
    ) -> Outcome<()> {
        let permit = match self.permit(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        self.table.get_mut(request)?.notes.push(note(permit));
        Ok(Ok(()))
    }
}

/// The part of each resource that is the same: opening and dropping a handle.
macro_rules! handle {
    ($handle:ident) => {
        fn open(
            &mut self,
            alias: String,
        ) -> wasmtime::Result<Result<Resource<$handle>, SecretFailure>> {
            self.enter_with(alias.len())?;
            let pushed = self
                .table
                .push($handle($crate::state::HandleAlias(alias.into())));
            Ok(pushed.map_err(|_| SecretFailure::Exhausted))
        }

        fn drop(&mut self, handle: wasmtime::component::Resource<$handle>) -> wasmtime::Result<()> {
            self.table.delete(handle)?;
            Ok(())
        }
    };
}
pub(super) use handle;

impl CallState {
    pub(super) fn alias_of<H: Send + 'static>(
        &self,
        handle: &Resource<H>,
        alias: impl FnOnce(&H) -> &HandleAlias,
    ) -> wasmtime::Result<HandleAlias> {
        Ok(alias(self.table.get(handle)?).clone())
    }
}

/// How much of a guest's is copied.
fn length_of(holes: &[(String, String)]) -> usize {
    let each = holes.iter().map(|(name, text)| name.len() + text.len());
    // Each costs its two strings, too.
    each.sum::<usize>() + std::mem::size_of_val(holes)
}

impl CallState {
    /// A note of a credential, with what the policy chose.
    fn note_chosen(
        &mut self,
        handle: &Resource<CredentialHandle>,
        chosen: Result<Chosen, OtherChoice>,
    ) -> Outcome<Note> {
        let alias = self.alias_of(handle, |handle| &handle.0)?;
        let permit = self.permit::<Attach>(alias);
        let note = permit.and_then(|permit| {
            let note = chosen.and_then(|chosen| permit.note_with(chosen));
            note.map_err(|OtherChoice| SecretFailure::Invalid)
        });
        Ok(note)
    }

    fn attach_chosen(
        &mut self,
        handle: &Resource<CredentialHandle>,
        chosen: Result<Chosen, OtherChoice>,
    ) -> Outcome<()> {
        if !self.phase.before_backend() {
            return Ok(Err(SecretFailure::Invalid));
        }
        let note = self.note_chosen(handle, chosen)?;
        Ok(note.map(|note| self.exchange.notes.push(note)))
    }

    fn attach_chosen_to(
        &mut self,
        handle: &Resource<CredentialHandle>,
        request: &Resource<PolicyRequest>,
        chosen: Result<Chosen, OtherChoice>,
    ) -> Outcome<()> {
        let note = match self.note_chosen(handle, chosen)? {
            Ok(note) => note,
            Err(failure) => return Ok(Err(failure)),
        };
        self.table.get_mut(request)?.notes.push(note);
        Ok(Ok(()))
    }
}

impl HostCredential for CallState {
    handle!(CredentialHandle);

    fn attach(
        &mut self,
        handle: Resource<CredentialHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<()> {
        self.enter()?;
        self.attach_chosen(&handle, Ok(Chosen::Nothing))
    }

    fn attach_with(
        &mut self,
        handle: Resource<CredentialHandle>,
        _: Resource<ExchangeHandle>,
        holes: Vec<(String, String)>,
    ) -> Outcome<()> {
        self.enter_with(length_of(&holes))?;
        self.attach_chosen(&handle, Holes::new(holes).map(Chosen::Holes))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<CredentialHandle>,
        request: Resource<PolicyRequest>,
    ) -> Outcome<()> {
        self.enter()?;
        self.attach_chosen_to(&handle, &request, Ok(Chosen::Nothing))
    }

    fn attach_to_request_with(
        &mut self,
        handle: Resource<CredentialHandle>,
        request: Resource<PolicyRequest>,
        holes: Vec<(String, String)>,
    ) -> Outcome<()> {
        self.enter_with(length_of(&holes))?;
        self.attach_chosen_to(&handle, &request, Holes::new(holes).map(Chosen::Holes))
    }
}

impl HostSigner for CallState {
    handle!(SignerHandle);

    fn attach(
        &mut self,
        handle: Resource<SignerHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        Ok(self.attach_to_exchange::<SignRequest>(alias, Permit::<SignRequest>::note))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<SignerHandle>,
        request: Resource<PolicyRequest>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        CallState::attach_to_request::<SignRequest>(
            self,
            alias,
            &request,
            Permit::<SignRequest>::note,
        )
    }
}

impl HostMacSigner for CallState {
    handle!(MacSignerHandle);

    async fn sign(
        &mut self,
        handle: Resource<MacSignerHandle>,
        message: Vec<u8>,
    ) -> Outcome<Vec<u8>> {
        self.enter_with(message.len())?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = match self.permit::<MacSign>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        let code = if permit.is_remote() {
            let asked = permit.ask(&message, &self.exchange.ledger);
            self.done_elsewhere(asked, RemoteCall::made).await
        } else {
            permit.sign(&message).map_err(to_wit)
        };
        Ok(code.map(|code| code.as_ref().to_vec()))
    }
}

impl HostMacVerifier for CallState {
    handle!(MacVerifierHandle);

    async fn verify(
        &mut self,
        handle: Resource<MacVerifierHandle>,
        message: Vec<u8>,
        code: Vec<u8>,
    ) -> Outcome<bool> {
        self.enter_with(message.len().saturating_add(code.len()))?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = match self.permit::<MacVerify>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        if !permit.is_remote() {
            return Ok(permit.verify(&message, &code).map_err(to_wit));
        }
        Ok(match permit.ask(&message, &code, &self.exchange.ledger) {
            Ok(Some(asked)) => self.done_elsewhere(Ok(asked), RemoteCall::checked).await,
            Ok(None) => Ok(false),
            Err(error) => Err(to_wit(error)),
        })
    }
}

impl HostClientKeys for CallState {
    handle!(ClientKeysHandle);

    fn identify(
        &mut self,
        handle: Resource<ClientKeysHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<Option<String>> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        Ok(self.permit::<Identify>(alias).map(|permit| {
            let exchange = &mut *self.exchange;
            permit
                .identify(&exchange.presented, &mut exchange.ledger)
                .map(|subject| subject.as_str().to_owned())
        }))
    }
}

pub(super) fn to_wit(error: OperationError) -> SecretFailure {
    match error {
        OperationError::MessageTooLong | OperationError::NotGranted | OperationError::NotSealed => {
            SecretFailure::Invalid
        }
        _ => SecretFailure::Unavailable,
    }
}
