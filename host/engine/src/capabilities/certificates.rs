//! Uses of certificates: shown in TLS, and signing tokens.

use keyward_vault::uses::{JwsSign, Present};
use keyward_vault::{ClaimValue, Claims, Permit, RemoteCall};
use wasmtime::component::Resource;

use super::secrets::{Outcome, handle, to_wit};
use crate::bindings::keyward::policy::secrets::{
    self, HostJwsSigner, HostTlsIdentity, SecretFailure, TokenClaims,
};
use crate::state::{
    CallState, ExchangeHandle, HandleAlias, JwsSignerHandle, PolicyRequest, TlsIdentityHandle,
};

impl HostTlsIdentity for CallState {
    handle!(TlsIdentityHandle);

    fn attach(
        &mut self,
        handle: Resource<TlsIdentityHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        Ok(self.attach_to_exchange::<Present>(alias, Permit::<Present>::note))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<TlsIdentityHandle>,
        request: Resource<PolicyRequest>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        CallState::attach_to_request::<Present>(self, alias, &request, Permit::<Present>::note)
    }
}

impl HostJwsSigner for CallState {
    handle!(JwsSignerHandle);

    fn attach(
        &mut self,
        handle: Resource<JwsSignerHandle>,
        _: Resource<ExchangeHandle>,
        claims: TokenClaims,
    ) -> Outcome<()> {
        self.enter_with(size(&claims))?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        if !self.phase.before_backend() {
            return Ok(Err(SecretFailure::Invalid));
        }
        Ok(self
            .token_note(alias, claims)
            .map(|note| self.exchange.notes.push(note)))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<JwsSignerHandle>,
        request: Resource<PolicyRequest>,
        claims: TokenClaims,
    ) -> Outcome<()> {
        self.enter_with(size(&claims))?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        match self.token_note(alias, claims) {
            Ok(note) => self.table.get_mut(&request)?.notes.push(note),
            Err(failure) => return Ok(Err(failure)),
        }
        Ok(Ok(()))
    }

    async fn sign(
        &mut self,
        handle: Resource<JwsSignerHandle>,
        claims: TokenClaims,
    ) -> Outcome<String> {
        self.enter_with(size(&claims))?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = match self.permit::<JwsSign>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(claims) = chosen(claims) else {
            return Ok(Err(SecretFailure::Invalid));
        };
        let token = if permit.is_remote() {
            let asked = permit.ask(&self.shared.vault, &claims, &self.exchange.ledger);
            self.done_elsewhere(asked, RemoteCall::signed).await
        } else {
            permit.sign(&self.shared.vault, &claims).map_err(to_wit)
        };
        Ok(token.map(|token| token.to_string()))
    }
}

impl CallState {
    fn token_note(
        &mut self,
        alias: HandleAlias,
        claims: TokenClaims,
    ) -> Result<keyward_vault::Note, SecretFailure> {
        let permit = self.permit::<JwsSign>(alias)?;
        let claims = chosen(claims).ok_or(SecretFailure::Invalid)?;
        let note = permit.note_with(claims);
        note.map_err(|_| SecretFailure::Invalid)
    }
}

/// What a policy chose, if it could be what a grant allows.
fn chosen(claims: TokenClaims) -> Option<Claims> {
    let value = |value| match value {
        secrets::ClaimValue::Text(text) => ClaimValue::Text(text),
        secrets::ClaimValue::Integer(number) => ClaimValue::Integer(number),
        secrets::ClaimValue::Flag(flag) => ClaimValue::Flag(flag),
        secrets::ClaimValue::Texts(texts) => ClaimValue::Texts(texts),
    };
    let extra = claims.extra.into_iter();
    let own = extra
        .map(|claim| (claim.name, value(claim.value)))
        .collect();
    Claims::new(claims.audience, claims.subject, own).ok()
}

/// How many bytes crossed, for the budget.
fn size(claims: &TokenClaims) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let own = claims.extra.iter().map(|claim| {
        let value = match &claim.value {
            secrets::ClaimValue::Text(text) => text.len(),
            secrets::ClaimValue::Texts(texts) => texts.iter().map(String::len).sum(),
            secrets::ClaimValue::Integer(_) | secrets::ClaimValue::Flag(_) => 8,
        };
        claim.name.len().saturating_add(value)
    });
    own.fold(0, usize::saturating_add)
        .saturating_add(text(&claims.audience))
        .saturating_add(text(&claims.subject))
}
