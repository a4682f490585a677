//! `authentication-basic`, `authentication-certificate`, `authentication-managed-identity`:
//! as whom a request goes out.

use data_encoding::BASE64;
use keyward_document_program::statements::{Element, Operand};
use keyward_document_program::{AttributeName as A, ElementName as E};

use super::error::Stop;
use super::state::{Attachment, How, Place};
use super::{Flow, Given, Runner, context};

/// How a request says who sends it.
pub(crate) enum Identity {
    /// In `Authorization`.
    Header(String),
    /// With a secret.
    Secret(Attachment),
}

impl Runner<'_, '_> {
    /// Turns away who has no subscription, where one is required. Browsers send no key
    /// with a preflight request, which was answered before.
    pub(crate) fn subscribed(&self) -> Result<(), Stop> {
        const SOURCE: &str = "authorization";
        let surroundings = self.program.statements.surroundings();
        if !surroundings.subscription_required {
            return Ok(());
        }
        let who = context::identify(self.exchange, surroundings, &self.subject);
        match who {
            Ok(Some(_)) => Ok(()),
            Ok(None) => {
                let message = "Access denied due to missing subscription key. Send the key of a subscription to this API with the request.";
                Err(self.turned_away(SOURCE, 401, "SubscriptionKeyNotFound", message))
            }
            Err(failure) => Err(self.host_failed(SOURCE, "OperationFailed", "who calls", failure)),
        }
    }

    /// For the request to the backend.
    pub(crate) fn authenticate(&mut self, element: &Element) -> Result<Flow, Stop> {
        const AUTHORIZATION: &str = "authorization";
        let request = self.exchange.request();
        let refused = |runner: &Self, failure| runner.refused(element, "the header", failure);
        match self.identity(element)? {
            Identity::Header(value) => {
                self.state.detach_header(AUTHORIZATION);
                request
                    .set_header(AUTHORIZATION, value)
                    .map_err(|failure| refused(self, failure))?;
            }
            Identity::Secret(attachment) => {
                if attachment.place != Place::Connection {
                    // The caller's own goes no further.
                    request
                        .remove_header(AUTHORIZATION)
                        .map_err(|failure| refused(self, failure))?;
                }
                self.state.attach(attachment);
            }
        }
        Ok(Flow::On)
    }

    /// What an authentication element says.
    pub(crate) fn identity(&mut self, element: &Element) -> Result<Identity, Stop> {
        let authorization = || Place::Header("authorization".to_owned());
        let (how, place) = match element.name {
            E::AuthenticationBasic => (How::Credential, authorization()),
            E::AuthenticationCertificate => (How::Certificate, Place::Connection),
            _ => (How::Token, authorization()),
        };
        if let Some(alias) = self.secret_of(element)? {
            return Ok(Identity::Secret(Attachment { how, place, alias }));
        }
        if element.name == E::AuthenticationBasic {
            let user = self.required(element, A::Username)?;
            let password = self.required(element, A::Password)?;
            let pair = BASE64.encode(format!("{user}:{password}").as_bytes());
            return Ok(Identity::Header(format!("Basic {pair}")));
        }
        let message = match element.name {
            E::AuthenticationCertificate => "certificate-id has to name a certificate of the vault",
            _ => "resource has to be a fixed text: a grant says for what there are tokens",
        };
        Err(self.broken(element, 500, "NotSupported", message, message))
    }

    /// The alias of the secret that stands in one of an element's attributes.
    fn secret_of(&mut self, element: &Element) -> Result<Option<String>, Stop> {
        let statements = &self.program.statements;
        for field in statements.fields(element) {
            if let Operand::Secret(_) | Operand::SecretVariable(..) = field.value
                && let Given::Secret(alias) = self.given(element, field.value)?
            {
                return Ok(Some(alias.to_owned()));
            }
        }
        Ok(None)
    }
}
