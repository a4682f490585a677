//! Bodies: set, and searched.

use keyward_document_program::statements::{Element, Operand};
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::{Failure, Side};

use super::error::Stop;
use super::state::BodyState;
use super::{Flow, Runner};
use crate::evaluate::{Exception, Value};

impl<'p> Runner<'p, '_> {
    pub(super) fn set_body(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let side = self.side();
        if !self.takes_body(side) {
            let message = "the message has no body";
            return Err(self.broken(element, 500, "OperationFailed", message, message));
        }
        let body = self.new_body(element)?;
        self.put_body(side, &body);
        Ok(Flow::On)
    }

    /// A message without a body gets none where it can't have one.
    fn takes_body(&self, side: Side) -> bool {
        let can = match side {
            Side::Request => !matches!(&*self.line.method(self.exchange), "GET" | "HEAD"),
            Side::Response => !matches!(self.exchange.status(), None | Some(204 | 205 | 304)),
        };
        can || self.state.body(side).get() != BodyState::There
            || self.bodies.has(side)
            || self.exchange.message(side).has_body()
    }

    /// The body that a <set-body> makes of the message that is there.
    pub(crate) fn new_body(&mut self, element: &'p Element) -> Result<Vec<u8>, Stop> {
        let program = self.program;
        let mut holders = program.statements.children_named(element, E::Value);
        let holder = holders.next().unwrap_or(element);
        match self.text(element, A::Template)?.as_deref() {
            None | Some("none") => {}
            Some(_) => {
                if let Some(Operand::Text(id)) = holder.text {
                    return self.rendered(element, id).map(String::into_bytes);
                }
            }
        }
        let Some(operand) = holder.text else {
            return Ok(Vec::new());
        };
        match self.value(element, operand)? {
            Value::Bytes(bytes) => Ok(bytes.to_vec()),
            value => Ok(self
                .shown(element, &value)?
                .unwrap_or_default()
                .as_bytes()
                .to_vec()),
        }
    }

    /// Puts a body in place of the one that is there.
    pub(crate) fn put_body(&mut self, side: Side, body: &[u8]) {
        self.bodies.set(side, body);
        self.state.body(side).set(BodyState::There);
        if side == Side::Response {
            self.state.has_default_body = false;
        }
    }

    pub(super) fn find_and_replace(&mut self, element: &Element) -> Result<Flow, Stop> {
        let side = self.side();
        let from = self.required(element, A::From)?;
        let to = self.text(element, A::To)?.unwrap_or_default();
        if from.is_empty() {
            return Err(self.unfit(element, "from", "a text that is not empty"));
        }
        if self.state.body(side).get() != BodyState::There {
            return Err(self.throws(element, Exception::InvalidOperation));
        }
        let body = match self.bodies.read(self.exchange, side) {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(Flow::On),
            Err(failure @ Failure::Limit) => {
                return Err(self.refused(element, "the body", failure));
            }
            Err(failure) => return Err(self.refused(element, "the body", failure)),
        };
        let replaced = self
            .replaced(&body, from.as_bytes(), to.as_bytes())
            .map_err(|exception| self.throws(element, exception))?;
        if let Some(replaced) = replaced {
            self.put_body(side, &replaced);
        }
        Ok(Flow::On)
    }

    /// The body with each `from` made `to`; `None` if there is no `from` in it.
    fn replaced(
        &mut self,
        body: &[u8],
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Vec<u8>>, Exception> {
        self.budget.work(body.len())?;
        let mut replaced = Vec::new();
        let mut rest = body;
        let mut found = false;
        while let Some(at) = find(rest, from) {
            found = true;
            let (before, after) = rest.split_at_checked(at).unwrap_or_default();
            self.budget.bytes(before.len() + to.len())?;
            replaced.extend_from_slice(before);
            replaced.extend_from_slice(to);
            rest = after.get(from.len()..).unwrap_or_default();
        }
        self.budget.bytes(rest.len())?;
        replaced.extend_from_slice(rest);
        Ok(found.then_some(replaced))
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}
