//! What is made of connection strings and access keys: shared access signatures,
//! presigned URLs, and the public parts themselves.

use keyward_vault::uses::{Describe, Presign, Sas};
use keyward_vault::{ChosenAccess, Covers, Permissions, Permit};
use wasmtime::component::Resource;

use super::secrets::{Outcome, handle};
use crate::bindings::keyward::policy::secrets::{
    HostConnection, HostPresigner, HostSharedAccess, SecretFailure, SharedAccessPermissions,
    SharedAccessScope, SharedAccessTerms,
};
use crate::state::{
    CallState, ConnectionHandle, ExchangeHandle, PolicyRequest, PresignerHandle, SharedAccessHandle,
};

impl HostSharedAccess for CallState {
    handle!(SharedAccessHandle);

    fn attach(
        &mut self,
        handle: Resource<SharedAccessHandle>,
        _: Resource<ExchangeHandle>,
        terms: SharedAccessTerms,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        if !self.phase.before_backend() {
            return Ok(Err(SecretFailure::Invalid));
        }
        let permit = match self.permit::<Sas>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        Ok(match permit.note_with(chosen(&terms)) {
            Ok(note) => {
                self.exchange.notes.push(note);
                Ok(())
            }
            Err(_) => Err(SecretFailure::Invalid),
        })
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<SharedAccessHandle>,
        request: Resource<PolicyRequest>,
        terms: SharedAccessTerms,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = match self.permit::<Sas>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(failure)),
        };
        let Ok(note) = permit.note_with(chosen(&terms)) else {
            return Ok(Err(SecretFailure::Invalid));
        };
        self.table.get_mut(&request)?.notes.push(note);
        Ok(Ok(()))
    }
}

/// The words of the contract, and those of grants.
fn chosen(terms: &SharedAccessTerms) -> ChosenAccess {
    use SharedAccessPermissions as Asked;
    let words = [
        (Asked::READ, "read"),
        (Asked::ADD, "add"),
        (Asked::CREATE, "create"),
        (Asked::WRITE, "write"),
        (Asked::DELETE, "delete"),
        (Asked::LIST, "list"),
        (Asked::TAGS, "tags"),
        (Asked::UPDATE, "update"),
        (Asked::PROCESS, "process"),
    ];
    let asked = words
        .into_iter()
        .filter(|(flag, _)| terms.permissions.contains(*flag));
    ChosenAccess {
        covers: match terms.scope {
            SharedAccessScope::Item => Covers::Item,
            SharedAccessScope::Directory => Covers::Directory,
            SharedAccessScope::Container => Covers::Container,
            SharedAccessScope::Account => Covers::Account,
        },
        permissions: Permissions::of(asked.map(|(_, word)| word)).unwrap_or_default(),
        lifetime_seconds: terms.lifetime_seconds,
    }
}

impl HostPresigner for CallState {
    handle!(PresignerHandle);

    fn attach(
        &mut self,
        handle: Resource<PresignerHandle>,
        _: Resource<ExchangeHandle>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        Ok(self.attach_to_exchange::<Presign>(alias, Permit::<Presign>::note))
    }

    fn attach_to_request(
        &mut self,
        handle: Resource<PresignerHandle>,
        request: Resource<PolicyRequest>,
    ) -> Outcome<()> {
        self.enter()?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        CallState::attach_to_request::<Presign>(self, alias, &request, Permit::<Presign>::note)
    }
}

impl HostConnection for CallState {
    handle!(ConnectionHandle);

    fn part(
        &mut self,
        handle: Resource<ConnectionHandle>,
        name: String,
    ) -> Outcome<Option<String>> {
        self.enter_with(name.len())?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = self.permit::<Describe>(alias);
        Ok(permit.and_then(|permit| permit.part(&name).map_err(|_| SecretFailure::Invalid)))
    }
}
