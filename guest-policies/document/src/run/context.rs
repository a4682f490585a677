//! What expressions see of the exchange.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use keyward_document_program::statements::Surroundings;
use keyward_document_program::{Member, Type};
use keyward_policy::{Exchange, Failure, Level, Side};

use super::address;
use super::line::Line;
use super::state::{BodyState, State};
use crate::evaluate::dates::EPOCH;
use crate::evaluate::{Context, Exception, ListsOf, Outcome, Url, UrlOf, Value, web};

/// Ticks of 100 ns in a millisecond.
const TICKS: i64 = 10_000;

/// The bodies as far as this call has read or written them.
#[derive(Default)]
pub(crate) struct Bodies {
    request: Body,
    response: Body,
}

#[derive(Default)]
struct Body {
    held: RefCell<Option<Rc<[u8]>>>,
    /// It is not the host's yet.
    changed: Cell<bool>,
}

impl Bodies {
    fn of(&self, side: Side) -> &Body {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    /// A body, whatever became of it; `None` if there is none.
    pub(crate) fn read(
        &self,
        exchange: Exchange<'_>,
        side: Side,
    ) -> Result<Option<Rc<[u8]>>, Failure> {
        let body = self.of(side);
        if let Some(bytes) = &*body.held.borrow() {
            return Ok(Some(Rc::clone(bytes)));
        }
        if !exchange.message(side).has_body() {
            return Ok(None);
        }
        let bytes: Rc<[u8]> = exchange.message(side).body(usize::MAX)?.into();
        *body.held.borrow_mut() = Some(Rc::clone(&bytes));
        Ok(Some(bytes))
    }

    /// Sets a body; the host gets it with [`flush`](Self::flush).
    pub(crate) fn set(&self, side: Side, bytes: &[u8]) {
        let body = self.of(side);
        *body.held.borrow_mut() = Some(bytes.into());
        body.changed.set(true);
    }

    /// Another body came in its place: what is known of the one before is forgotten.
    pub(crate) fn forget(&self, side: Side) {
        let body = self.of(side);
        *body.held.borrow_mut() = None;
        body.changed.set(false);
    }

    /// Whether this call knows that there is one.
    pub(crate) fn has(&self, side: Side) -> bool {
        self.of(side).held.borrow().is_some()
    }

    /// Gives the host what has changed. A body that an expression took is empty then.
    pub(crate) fn flush(
        &self,
        exchange: Exchange<'_>,
        state: &State,
        side: Side,
    ) -> Result<(), Failure> {
        let body = self.of(side);
        if body.changed.replace(false) {
            let held = body.held.borrow();
            return exchange
                .message(side)
                .write_body(held.as_deref().unwrap_or_default());
        }
        if state.body(side).get() == BodyState::Taken {
            state.body(side).set(BodyState::Gone);
            return exchange.message(side).write_body(b"");
        }
        Ok(())
    }
}

/// Who calls, as far as a key of a client says; asked once in a call.
pub(crate) type Subject = OnceCell<Option<String>>;

/// The exchange, as expressions see it.
pub(crate) struct Scope<'a, 'e> {
    pub(crate) exchange: Exchange<'e>,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) state: &'a State,
    pub(crate) line: &'a Line,
    pub(crate) bodies: &'a Bodies,
    pub(crate) subject: &'a Subject,
}

/// Who calls, by the key of a client; `None` if nobody is known to. Errors: the host's.
pub(crate) fn identify(
    exchange: Exchange<'_>,
    surroundings: &Surroundings,
    kept: &Subject,
) -> Result<Option<String>, Failure> {
    if let Some(subject) = kept.get() {
        return Ok(subject.clone());
    }
    let subject = match &surroundings.subscription {
        Some(alias) => exchange.client_keys(alias)?.identify()?,
        None => None,
    };
    Ok(kept.get_or_init(|| subject).clone())
}

impl Scope<'_, '_> {
    fn fact(&self, member: Member) -> Option<&str> {
        let mut facts = self.surroundings.facts.iter();
        let found = facts.find(|(there, _)| *there == member);
        found.map(|(_, text)| &**text)
    }

    fn has_fact(&self, members: &[Member]) -> bool {
        members.iter().any(|member| self.fact(*member).is_some())
    }

    fn subscription(&self) -> Option<String> {
        // Who needs to tell "unknown" from "not now" asks elsewhere.
        identify(self.exchange, self.surroundings, self.subject)
            .ok()
            .flatten()
            .or_else(|| self.fact(Member::SubscriptionId).map(str::to_owned))
    }

    fn last_error(&self, member: Member) -> Option<String> {
        let (error, _) = self.state.failed.as_ref()?;
        match member {
            Member::LastErrorSource => Some(error.source.clone()),
            Member::LastErrorReason => Some(error.reason.clone()),
            Member::LastErrorMessage => Some(error.message.clone()),
            Member::LastErrorSection => Some(error.section.clone()),
            Member::LastErrorScope => error.scope.clone(),
            Member::LastErrorPath => error.path.clone(),
            _ => error.policy_id.clone(),
        }
    }

    fn query(&self, of: UrlOf) -> Vec<(String, String)> {
        let url = self.url(of).unwrap_or_default();
        address::pairs(url.query.strip_prefix('?').unwrap_or_default())
    }

    /// The query parameters that the operation's template takes.
    pub(crate) fn template_query(&self) -> Vec<String> {
        address::template_query(self.template())
    }

    /// The operation's template; empty without an operation.
    pub(crate) fn template(&self) -> &str {
        self.fact(Member::OperationUrlTemplate).unwrap_or_default()
    }

    /// The parameters of the operation's template.
    pub(crate) fn matched(&self) -> Vec<(String, String)> {
        let Some(template) = self.fact(Member::OperationUrlTemplate) else {
            return Vec::new();
        };
        let original = &self.state.original;
        address::matched(
            template,
            self.fact(Member::ApiPath).unwrap_or_default(),
            &original.path,
            original.query.as_deref().unwrap_or_default(),
        )
    }
}

fn side_of(of: ListsOf) -> Option<Side> {
    match of {
        ListsOf::Request => Some(Side::Request),
        ListsOf::Response => Some(Side::Response),
        ListsOf::Query(_) => None,
    }
}

fn ticks(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(TICKS)
}

impl Context for Scope<'_, '_> {
    fn text(&self, member: Member) -> Option<Arc<str>> {
        match member {
            Member::RequestMethod => Some(self.line.method(self.exchange)),
            Member::RequestIpAddress => Some(self.exchange.client_address().into()),
            Member::ResponseStatusReason => Some(match &self.state.reason {
                Some(reason) => Arc::clone(reason),
                None => address::status_words(self.status()).into(),
            }),
            Member::LastErrorSource
            | Member::LastErrorReason
            | Member::LastErrorMessage
            | Member::LastErrorScope
            | Member::LastErrorSection
            | Member::LastErrorPath
            | Member::LastErrorPolicyId => self.last_error(member).map(Arc::from),
            Member::SubscriptionId => self.subscription().map(Arc::from),
            // Whose key it is: there is nobody else to be told of.
            Member::UserId => {
                let told = self.fact(member).map(Arc::from);
                told.or_else(|| self.subscription().map(Arc::from))
            }
            Member::OperationMethod => Some(match self.fact(member) {
                Some(method) => method.into(),
                None => Arc::clone(&self.state.original.method),
            }),
            _ => self.fact(member).map(Arc::from),
        }
    }

    fn has(&self, part: Type) -> bool {
        use Member as M;
        match part {
            Type::IResponse => self.exchange.status().is_some(),
            Type::LastError => self.state.failed.is_some(),
            Type::IMessageBody => {
                self.state.body(Side::Request).get() != BodyState::There
                    || self.bodies.has(Side::Request)
                    || self.exchange.message(Side::Request).has_body()
            }
            Type::IUser => {
                self.has_fact(&[
                    M::UserId,
                    M::UserEmail,
                    M::UserFirstName,
                    M::UserLastName,
                    M::UserNote,
                ]) || self.subscription().is_some()
            }
            Type::IProduct => self.has_fact(&[M::ProductId, M::ProductName]),
            Type::ISubscription => {
                self.has_fact(&[M::SubscriptionName]) || self.subscription().is_some()
            }
            _ => true,
        }
    }

    fn status(&self) -> u16 {
        self.exchange.status().unwrap_or_default()
    }

    fn has_variable(&self, name: &str) -> bool {
        self.state.has_variable(name)
    }

    fn variable(&self, name: &str) -> Outcome<Option<Value>> {
        self.state.variable(name)
    }

    fn variables(&self) -> usize {
        self.state.variables()
    }

    fn list(&self, of: ListsOf, name: &str) -> Option<Vec<Arc<str>>> {
        let all: Vec<Arc<str>> = match (side_of(of), of) {
            (Some(side), _) => {
                let message = self.exchange.message(side);
                let values = message.header_values(name);
                values
                    .map(|value| String::from_utf8_lossy(&value).into())
                    .collect()
            }
            (None, ListsOf::Query(of)) => {
                let pairs = self.query(of).into_iter();
                let named = pairs.filter(|(there, _)| there.eq_ignore_ascii_case(name));
                named.map(|(_, value)| value.into()).collect()
            }
            (None, _) => Vec::new(),
        };
        (!all.is_empty()).then_some(all)
    }

    fn lists(&self, of: ListsOf) -> usize {
        match (side_of(of), of) {
            (Some(side), _) => self.exchange.message(side).header_names().len(),
            (None, ListsOf::Query(of)) => {
                let mut names: Vec<String> = self
                    .query(of)
                    .into_iter()
                    .map(|(name, _)| name.to_ascii_lowercase())
                    .collect();
                names.sort_unstable();
                names.dedup();
                names.len()
            }
            (None, _) => 0,
        }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let found = self
            .matched()
            .into_iter()
            .find(|(there, _)| there.eq_ignore_ascii_case(name));
        found.map(|(_, value)| address::decoded(&value))
    }

    fn parameters(&self) -> usize {
        self.matched().len()
    }

    fn url(&self, of: UrlOf) -> Option<Url> {
        let original = &self.state.original;
        match of {
            UrlOf::Original => Some(address::url(
                &self.exchange.scheme(),
                &self.exchange.authority(),
                &original.path,
                original.query.as_deref(),
            )),
            UrlOf::Request => {
                let path = self.line.path(self.exchange);
                let query = self.line.query(self.exchange);
                match &self.state.backend {
                    Some(backend) => {
                        let route = address::route(self.surroundings, &backend.route)?;
                        let path = format!("{}{}{path}", route.path, backend.prefix);
                        Some(address::at(route, path, query.as_deref()))
                    }
                    None => Some(address::url(
                        &self.exchange.scheme(),
                        &self.exchange.authority(),
                        &path,
                        query.as_deref(),
                    )),
                }
            }
            UrlOf::Service => match self.fact(Member::ApiServiceUrl) {
                Some(text) => {
                    let parts = web::uri(text).ok()?;
                    Some(Url {
                        scheme: parts.scheme,
                        host: parts.host,
                        port: u16::try_from(parts.port).ok()?,
                        path: parts.path,
                        query: parts.query,
                    })
                }
                None => {
                    let route = address::route(self.surroundings, &self.surroundings.route)?;
                    Some(address::at(route, route.path.clone(), None))
                }
            },
        }
    }

    fn has_url(&self, of: UrlOf) -> bool {
        match (of, &self.state.backend) {
            (UrlOf::Original, _) | (UrlOf::Request, None) => true,
            _ => self.url(of).is_some(),
        }
    }

    fn url_path(&self, of: UrlOf) -> Option<Arc<str>> {
        match (of, &self.state.backend) {
            (UrlOf::Original, _) => Some(Arc::clone(&self.state.original.path)),
            (UrlOf::Request, None) => Some(self.line.path(self.exchange)),
            _ => self.url(of).map(|url| url.path.into()),
        }
    }

    fn body(&self, of: Type, preserve: bool) -> Outcome<Option<Vec<u8>>> {
        let side = match of {
            Type::IRequest => Side::Request,
            _ => Side::Response,
        };
        let state = self.state.body(side);
        if state.get() != BodyState::There {
            return Err(Exception::InvalidOperation);
        }
        let body = match self.bodies.read(self.exchange, side) {
            Ok(body) => body,
            Err(Failure::Limit) => return Err(Exception::Memory),
            Err(_) => return Err(Exception::InvalidOperation),
        };
        if body.is_some() && !preserve {
            self.bodies.forget(side);
            state.set(BodyState::Taken);
        }
        Ok(body.map(|bytes| bytes.to_vec()))
    }

    fn request_id(&self) -> u128 {
        u128::from_str_radix(&self.exchange.id(), 16).unwrap_or_default()
    }

    fn elapsed(&self) -> i64 {
        ticks(self.exchange.now().saturating_sub(self.state.began))
    }

    fn timestamp(&self) -> i64 {
        EPOCH.saturating_add(ticks(self.state.began))
    }

    fn now(&self) -> i64 {
        EPOCH.saturating_add(ticks(self.exchange.now()))
    }

    fn random(&self) -> Outcome<u64> {
        let bytes = self.exchange.random(8);
        let bytes = bytes.try_into().map_err(|_| Exception::Memory)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn tracing(&self) -> bool {
        self.surroundings.traces
    }

    fn trace(&self, message: &str) {
        if self.surroundings.traces {
            self.exchange.log(Level::Info, message);
        }
    }
}
