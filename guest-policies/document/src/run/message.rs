//! What changes a message: variables, headers, the query, the method, the status.

use std::borrow::Cow;
use std::sync::Arc;

use keyward_document_program::statements::{Element, Phase};
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::Side;

use super::error::Stop;
use super::state::{Attachment, How, Place};
use super::{Flow, Given, Runner, address};
use crate::evaluate::Value;

/// Headers of which each value has a line of its own, since there may be commas in one.
const LINES: [&str; 13] = [
    "cookie",
    "date",
    "expires",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "proxy-authenticate",
    "retry-after",
    "set-cookie",
    "user-agent",
    "via",
    "warning",
    "www-authenticate",
];

/// What to do with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Override,
    Skip,
    Append,
    Delete,
}

/// The values of a header or a query parameter.
#[derive(Debug)]
pub(crate) enum Values<'p> {
    Texts(Vec<Arc<str>>),
    /// One, a secret: its alias.
    Secret(&'p str),
}

/// What a <set-header> or a <set-query-parameter> says.
#[derive(Debug)]
pub(crate) struct Change<'p> {
    pub(crate) name: Arc<str>,
    pub(crate) action: Action,
    pub(crate) values: Values<'p>,
}

/// A text was to stand beside a secret that is attached: one of the two would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside;

impl Change<'_> {
    /// Whether it leaves what is there and adds to it.
    pub(crate) fn adds_texts(&self) -> bool {
        let has_texts = matches!(&self.values, Values::Texts(texts) if !texts.is_empty());
        self.action == Action::Append && has_texts
    }

    /// The lines of a header of these values.
    pub(crate) fn lines<'v>(name: &str, values: &'v [Arc<str>]) -> Vec<Cow<'v, str>> {
        let all = || values.iter().map(|value| Cow::from(&**value)).collect();
        if values.len() < 2 || LINES.iter().any(|line| name.eq_ignore_ascii_case(line)) {
            return all();
        }
        vec![values.join(",").into()]
    }
}

/// What a statement sets, known before anything of it is set.
#[derive(Debug)]
pub(crate) enum Prepared<'p> {
    Header(Change<'p>),
    Status(u16, Option<Arc<str>>),
    Body(Vec<u8>),
}

impl<'p> Runner<'p, '_> {
    /// The message that a section is about.
    pub(crate) fn side(&self) -> Side {
        match self.phase {
            Phase::Inbound | Phase::Backend => Side::Request,
            Phase::Outbound | Phase::OnError => Side::Response,
        }
    }

    pub(super) fn set_variable_statement(&mut self, element: &Element) -> Result<Flow, Stop> {
        let name = self.required(element, A::Name)?;
        let value = match self.program.statements.field(element, A::Value) {
            Some(operand) => self.given(element, operand)?,
            None => Given::Value(Value::Null),
        };
        match value {
            Given::Value(value) => self.set_variable(element, &name, value)?,
            Given::Secret(alias) => {
                if self.traces() {
                    self.trace(&format!("sets {name} = (the secret {alias})"));
                }
                self.state.set_secret_variable(&name);
            }
        }
        Ok(Flow::On)
    }

    /// What a <set-header> or a <set-query-parameter> says. A value that is `null` is none.
    pub(crate) fn change(&mut self, element: &Element) -> Result<Change<'p>, Stop> {
        let name = self.required(element, A::Name)?;
        let action = match self.text(element, A::ExistsAction)?.as_deref() {
            None | Some("override") => Action::Override,
            Some("skip") => Action::Skip,
            Some("append") => Action::Append,
            Some("delete") => Action::Delete,
            Some(_) => {
                let wanted = "override, skip, append or delete";
                return Err(self.unfit(element, "exists-action", wanted));
            }
        };
        let mut texts = Vec::new();
        let mut secrets = Vec::new();
        if action != Action::Delete {
            let program = self.program;
            for value in program.statements.children_named(element, E::Value) {
                let Some(operand) = value.text else {
                    texts.push("".into());
                    continue;
                };
                match self.given(element, operand)? {
                    Given::Value(value) => texts.extend(self.shown(element, &value)?),
                    Given::Secret(alias) => secrets.push(alias),
                }
            }
        }
        let values = match (secrets.as_slice(), texts.is_empty()) {
            ([], _) => Values::Texts(texts),
            ([alias], true) => Values::Secret(alias),
            _ => return Err(self.unfit(element, "value", "alone where it is a secret")),
        };
        Ok(Change {
            name,
            action,
            values,
        })
    }

    pub(super) fn set_header(&mut self, element: &Element) -> Result<Flow, Stop> {
        let change = self.change(element)?;
        self.change_header(element, &change, self.side())?;
        Ok(Flow::On)
    }

    fn change_header(
        &mut self,
        element: &Element,
        change: &Change<'p>,
        side: Side,
    ) -> Result<(), Stop> {
        let message = self.exchange.message(side);
        let name = &*change.name;
        let is_attached = side == Side::Request && self.state.attaches_header(name);
        // The host is asked only where it matters.
        if change.action == Action::Skip && (is_attached || message.has_header(name)) {
            return Ok(());
        }
        let refused = |runner: &Self, failure| runner.refused(element, "the header", failure);
        if change.adds_texts() && is_attached {
            return Err(self.beside(element));
        }
        let texts = match &change.values {
            Values::Texts(texts) => texts,
            Values::Secret(alias) if side == Side::Request => {
                message
                    .remove_header(name)
                    .map_err(|failure| refused(self, failure))?;
                self.state.attach(Attachment {
                    how: How::Credential,
                    place: Place::Header(name.to_ascii_lowercase()),
                    alias: (*alias).to_owned(),
                });
                return Ok(());
            }
            Values::Secret(_) => {
                return Err(self.throws(element, crate::evaluate::Exception::Secret));
            }
        };
        let mut all: Vec<Arc<str>> = Vec::new();
        let all = if change.action == Action::Append {
            let there = message.header_values(name);
            all.extend(there.map(|value| String::from_utf8_lossy(&value).into()));
            all.extend(texts.iter().cloned());
            &all
        } else {
            if is_attached {
                self.state.detach_header(name);
            }
            texts
        };
        let put = || match all.as_slice() {
            [] => message.remove_header(name),
            [one] => message.set_header(name, &**one),
            _ => {
                for (number, line) in Change::lines(name, all).iter().enumerate() {
                    if number == 0 {
                        message.set_header(name, &**line)?;
                    } else {
                        message.append_header(name, &**line)?;
                    }
                }
                Ok(())
            }
        };
        put().map_err(|failure| refused(self, failure))
    }

    /// [`Beside`] stops the statement.
    pub(crate) fn beside(&self, element: &Element) -> Stop {
        let wanted = "override, skip or delete: a secret goes there, which has no values beside it";
        self.unfit(element, "exists-action", wanted)
    }

    pub(super) fn set_query_parameter(&mut self, element: &Element) -> Result<Flow, Stop> {
        let change = self.change(element)?;
        let name = &*change.name;
        let there = self.line.query(self.exchange).unwrap_or_default();
        let is_attached = self.state.attaches_query(name);
        if change.action == Action::Skip && (is_attached || address::has_parameter(&there, name)) {
            return Ok(Flow::On);
        }
        if change.adds_texts() && is_attached {
            return Err(self.beside(element));
        }
        let is_secret = matches!(change.values, Values::Secret(_));
        let mut query = if change.action == Action::Append && !is_secret {
            there.to_string()
        } else {
            if is_attached {
                self.state.detach_query(name);
            }
            address::without_parameter(&there, name)
        };
        match &change.values {
            Values::Texts(texts) => {
                for text in texts {
                    address::add_parameter(&mut query, name, text);
                }
            }
            Values::Secret(alias) => self.state.attach(Attachment {
                how: How::Credential,
                place: Place::Query(name.to_ascii_lowercase()),
                alias: (*alias).to_owned(),
            }),
        }
        self.set_query(element, &query)?;
        Ok(Flow::On)
    }

    /// Sets the query; an empty one is none.
    fn set_query(&mut self, element: &Element, query: &str) -> Result<(), Stop> {
        self.line
            .set_query(self.exchange, query)
            .map_err(|failure| self.refused(element, "the query", failure))
    }

    pub(super) fn set_method(&mut self, element: &Element) -> Result<Flow, Stop> {
        let method = self.content(element)?;
        let method = method.unwrap_or_default();
        // The request is gone when something failed.
        if self.phase != Phase::OnError {
            self.line
                .set_method(self.exchange, method.trim())
                .map_err(|failure| self.refused(element, "the method", failure))?;
        }
        Ok(Flow::On)
    }

    pub(super) fn set_status(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let prepared = self.prepared(element)?;
        self.put(element, prepared, Side::Response)?;
        Ok(Flow::On)
    }

    /// What a part of a <return-response> sets.
    pub(crate) fn prepared(&mut self, element: &'p Element) -> Result<Prepared<'p>, Stop> {
        Ok(match element.name {
            E::SetHeader => Prepared::Header(self.change(element)?),
            E::SetStatus => {
                let code = self.int(element, A::Code)?.unwrap_or(200);
                let Some(code) = u16::try_from(code)
                    .ok()
                    .filter(|code| (200..=599).contains(code))
                else {
                    return Err(self.unfit(element, "code", "200 to 599"));
                };
                Prepared::Status(code, self.text(element, A::Reason)?)
            }
            _ => Prepared::Body(self.new_body(element)?),
        })
    }

    /// Sets it.
    pub(crate) fn put(
        &mut self,
        element: &Element,
        prepared: Prepared<'p>,
        side: Side,
    ) -> Result<(), Stop> {
        match prepared {
            Prepared::Header(change) => self.change_header(element, &change, side)?,
            Prepared::Status(code, reason) => {
                // Before there is a response, this makes one.
                let set = match self.exchange.status() {
                    Some(_) => self.exchange.set_status(code),
                    None => self.exchange.respond(code).map(|_| ()),
                };
                set.map_err(|failure| self.refused(element, "the status", failure))?;
                self.state.reason = reason;
            }
            Prepared::Body(body) => self.put_body(side, &body),
        }
        Ok(())
    }

    pub(super) fn rewrite_uri(&mut self, element: &Element) -> Result<Flow, Stop> {
        use keyward_document_program::statements::Operand;
        let template = self.required(element, A::Template)?;
        let copies = self.bool(element, A::CopyUnmatchedParams)?.unwrap_or(true);
        // What an expression gives is an address already, and no template.
        let is_literal = matches!(
            self.program.statements.field(element, A::Template),
            Some(Operand::Text(_))
        );
        // What ends the path is the template's: nothing that a client says does.
        let address = template.split('#').next().unwrap_or_default();
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let (path, mut query) = if is_literal {
            let scope = self.scope();
            let parameters = scope.matched();
            let path = address::filled_path(path, &parameters, scope.template());
            let path = path.map_err(|address::Dots| {
                let message = "a parameter of the path would be `.` or `..`";
                self.failed(element, 400, "OperationFailed", message)
            })?;
            (path, address::filled_query(query, &parameters))
        } else {
            (path.to_owned(), query.to_owned())
        };
        let path = if path.is_empty() { "/" } else { &*path };
        if copies {
            let there = self.line.query(self.exchange).unwrap_or_default();
            let taken = self.scope().template_query();
            let unmatched = address::unmatched(&there, &taken, &query);
            if !unmatched.is_empty() {
                if !query.is_empty() {
                    query.push('&');
                }
                query.push_str(&unmatched);
            }
        }
        self.line
            .set_path(self.exchange, path)
            .map_err(|failure| self.refused(element, "the path", failure))?;
        self.set_query(element, &query)?;
        Ok(Flow::On)
    }
}
