//! Tokens that clients present: checked with a key of the vault, which is a use of a
//! secret, or with the keys that an issuer publishes, which is none. Either counts
//! against the budget of uses.

use keyward_names::IssuerName;
use keyward_vault::uses::VerifyJwt;
use keyward_vault::{TokenFault, VerifiedToken};
use wasmtime::component::Resource;

use super::exchange::within;
use crate::bindings::keyward::policy::secrets::{
    HostJwtVerifier, JwtFailure, SecretFailure, VerifiedJwt,
};
use crate::outside::IssuedTokenFault;
use crate::state::{CallState, HandleAlias, JwtVerifierHandle, TokenKeys};

impl CallState {
    fn open_tokens(
        &mut self,
        keys: TokenKeys,
    ) -> wasmtime::Result<Result<Resource<JwtVerifierHandle>, SecretFailure>> {
        let pushed = self.table.push(JwtVerifierHandle(keys));
        Ok(pushed.map_err(|_| SecretFailure::Exhausted))
    }

    /// With a key of the vault.
    async fn verify_granted(
        &mut self,
        alias: HandleAlias,
        token: &str,
    ) -> Result<VerifiedToken, JwtFailure> {
        let now = CallState::now(self);
        let permit = self.permit::<VerifyJwt>(alias).map_err(of_secret)?;
        if !permit.is_remote() {
            return permit.verify(token, now).map_err(of_token);
        }
        let asked = permit.ask(token, &self.exchange.ledger);
        let (asked, token) = asked.map_err(of_token)?;
        let (call, answer) = self.ask_source(asked).await.map_err(of_secret)?;
        // Its source took a while.
        let now = CallState::now(self);
        token.checked(call, answer, now).map_err(of_token)
    }

    /// With the keys of an issuer.
    async fn verify_issued(
        &mut self,
        name: &str,
        token: &str,
    ) -> Result<VerifiedToken, JwtFailure> {
        self.spent.secret_uses += 1;
        if self.spent.secret_uses > self.policy.limits.secret_uses {
            return Err(JwtFailure::Exhausted);
        }
        let name = self.policy.issuers.get(name).ok_or(JwtFailure::Denied)?;
        let name: IssuerName = name.clone();
        let now = CallState::now(self);
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let patience = self.patience();
        let checked = within(&*outside, patience, outside.verify_token(&name, token, now)).await;
        match checked {
            None | Some(Err(IssuedTokenFault::Unavailable)) => Err(JwtFailure::Unavailable),
            Some(Err(IssuedTokenFault::NoIssuer)) => Err(JwtFailure::Denied),
            Some(Err(IssuedTokenFault::Token(fault))) => Err(of_token(fault)),
            Some(Ok(token)) => Ok(token),
        }
    }
}

impl HostJwtVerifier for CallState {
    fn open(
        &mut self,
        alias: String,
    ) -> wasmtime::Result<Result<Resource<JwtVerifierHandle>, SecretFailure>> {
        self.enter_with(alias.len())?;
        self.open_tokens(TokenKeys::Secret(HandleAlias(alias.into())))
    }

    fn open_issuer(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Resource<JwtVerifierHandle>, SecretFailure>> {
        self.enter_with(name.len())?;
        self.open_tokens(TokenKeys::Issuer(name.into()))
    }

    async fn verify(
        &mut self,
        handle: Resource<JwtVerifierHandle>,
        token: String,
    ) -> wasmtime::Result<Result<VerifiedJwt, JwtFailure>> {
        self.enter_with(token.len())?;
        let verified = match self.table.get(&handle)?.0.clone() {
            TokenKeys::Secret(alias) => self.verify_granted(alias, &token).await,
            TokenKeys::Issuer(name) => self.verify_issued(&name, &token).await,
        };
        Ok(verified.map(|token| VerifiedJwt {
            claims: token.claims,
            algorithm: token.algorithm.to_string(),
            key_id: token.key_id,
            token_type: token.type_,
        }))
    }

    fn drop(&mut self, handle: Resource<JwtVerifierHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn of_secret(failure: SecretFailure) -> JwtFailure {
    match failure {
        SecretFailure::Denied => JwtFailure::Denied,
        SecretFailure::Exhausted => JwtFailure::Exhausted,
        SecretFailure::Invalid | SecretFailure::Unavailable => JwtFailure::Unavailable,
    }
}

fn of_token(fault: TokenFault) -> JwtFailure {
    match fault {
        TokenFault::Missing => JwtFailure::Missing,
        TokenFault::Malformed => JwtFailure::Malformed,
        TokenFault::Algorithm => JwtFailure::Algorithm,
        TokenFault::UnknownKey | TokenFault::Signature => JwtFailure::Signature,
        TokenFault::Expired => JwtFailure::Expired,
        TokenFault::NotYetValid => JwtFailure::NotYetValid,
        TokenFault::Issuer => JwtFailure::Issuer,
        TokenFault::Audience => JwtFailure::Audience,
        TokenFault::Unavailable => JwtFailure::Unavailable,
    }
}
