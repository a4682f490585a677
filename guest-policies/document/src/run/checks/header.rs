//! `check-header`.

use keyward_document_program::statements::Element;
use keyward_document_program::{AttributeName as A, ElementName as E};

use crate::run::error::Stop;
use crate::run::{Flow, Runner};

impl Runner<'_, '_> {
    pub(crate) fn check_header(&mut self, element: &Element) -> Result<Flow, Stop> {
        let name = self.required(element, A::Name)?;
        let ignores_case = self.bool(element, A::IgnoreCase)?.unwrap_or(false);
        let program = self.program;
        let mut allowed = Vec::new();
        for value in program.statements.children_named(element, E::Value) {
            allowed.push(self.content(value)?.unwrap_or_default());
        }
        let own: Vec<Vec<u8>> = self.exchange.request().header_values(&name).collect();
        let is_allowed = |own: &Vec<u8>| {
            allowed.iter().any(|allowed| match ignores_case {
                true => allowed.as_bytes().eq_ignore_ascii_case(own),
                false => allowed.as_bytes() == own,
            })
        };
        let reason = match own.as_slice() {
            [] => "HeaderNotFound",
            // All of them: nobody knows which one the backend reads.
            own if allowed.is_empty() || own.iter().all(is_allowed) => return Ok(Flow::On),
            _ => "HeaderValueNotAllowed",
        };
        let status = self.status_of(element, A::FailedCheckHttpcode, 401)?;
        let message = self.text(element, A::FailedCheckErrorMessage)?;
        Err(self.failed(element, status, reason, &*message.unwrap_or_default()))
    }

    /// The status that an attribute names for an answer.
    pub(super) fn status_of(
        &mut self,
        element: &Element,
        name: A,
        otherwise: u16,
    ) -> Result<u16, Stop> {
        let Some(status) = self.int(element, name)? else {
            return Ok(otherwise);
        };
        u16::try_from(status)
            .ok()
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| self.unfit(element, name.as_str(), "200 to 599"))
    }
}
