//! A host's stand-in, for testing decisions natively.
//!
//! A [`Simulation`] holds one exchange as a test describes it, lets a decision
//! act on it, and tells what became of it. It keeps the rules that a decision can
//! run into: what is granted, which phase it is, which headers the host writes
//! itself. It knows no cryptography: its codes are not HMACs.

use core::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Deserialize;

use crate::{
    Claims, ClientCertificate, Exchange, Failure, ForwardFailure, JwtFailure, Level, Rows, Value,
    VerifiedJwt,
};

/// Reads settings as a component does when it is loaded.
///
/// # Errors
/// What the operator would be told.
pub fn settings<'de, S: Deserialize<'de>>(text: &'de str) -> Result<S, String> {
    crate::settings::read(text)
}

/// The schema of a setting, as it stands in the manifest.
#[must_use]
pub fn schema<S: crate::Setting>() -> String {
    crate::schema::text_of::<S>()
}

/// One exchange, as a test describes it.
///
/// ```
/// use keyward_policy::testing::Simulation;
/// let simulation = Simulation::request("GET", "/v1/charges?limit=2").header("accept", "text/plain");
/// let exchange = simulation.exchange();
/// assert_eq!(exchange.query("limit").as_deref(), Some("2"));
/// exchange.request().set_header("x-a", "1")?;
/// assert_eq!(simulation.request_header("x-a").as_deref(), Some("1"));
/// # Ok::<(), keyward_policy::Failure>(())
/// ```
#[derive(Default)]
pub struct Simulation {
    pub(crate) state: RefCell<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) client: String,
    pub(crate) server_name: Option<String>,
    pub(crate) certificate: Option<ClientCertificate>,
    pub(crate) request: Content,
    pub(crate) response: Content,
    pub(crate) status: Option<u16>,
    /// The request has gone to the backend: it can't be changed any more.
    pub(crate) is_sent: bool,
    pub(crate) granted: BTreeSet<String>,
    pub(crate) issuers: BTreeSet<String>,
    /// What becomes of each text that is presented as a token.
    pub(crate) tokens: BTreeMap<String, Result<VerifiedJwt, JwtFailure>>,
    pub(crate) subject: Option<String>,
    pub(crate) connection_parts: BTreeMap<(String, String), String>,
    /// What databases answer: to which statement, with which values.
    pub(crate) queries: Vec<(String, Vec<Value>, Result<Rows, Failure>)>,
    pub(crate) attached: Vec<String>,
    pub(crate) holes: Vec<(String, String)>,
    pub(crate) claims: Vec<Claims>,
    pub(crate) variables: BTreeMap<String, Vec<u8>>,
    pub(crate) variables_of: BTreeMap<(String, String), Vec<u8>>,
    /// The value of each, and when it ends.
    pub(crate) counters: BTreeMap<String, (u64, u64)>,
    pub(crate) log: Vec<(Level, String)>,
    pub(crate) now: u64,
    pub(crate) random: u8,
    pub(crate) routes: BTreeMap<String, (u16, Vec<u8>)>,
    pub(crate) route_headers: BTreeMap<String, Vec<(String, Vec<u8>)>>,
    pub(crate) route_failures: BTreeMap<String, Failure>,
    pub(crate) calls: Vec<Call>,
    pub(crate) is_tls: bool,
    /// What the backend answers to each `forward`, in order, the last one again and
    /// again; none: the pipeline's policies don't forward.
    pub(crate) backend: Vec<Result<(u16, Vec<u8>), ForwardFailure>>,
    pub(crate) forwarded: Vec<Call>,
    pub(crate) is_body_gone: bool,
    pub(crate) planned: Option<Planned>,
    pub(crate) forward_failure: Option<ForwardFailure>,
    /// Each value, and when it ends.
    pub(crate) cache: BTreeMap<String, (Vec<u8>, u64)>,
    pub(crate) places: Rc<RefCell<BTreeMap<String, u32>>>,
    pub(crate) slept: u64,
}

/// How the host is to send the request.
pub(crate) struct Planned {
    pub(crate) route: Option<String>,
    pub(crate) path_prefix: String,
    pub(crate) timeout_milliseconds: Option<u32>,
}

/// One side's headers and body.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    pub(crate) read: usize,
    pub(crate) is_written: bool,
}

/// A request that a policy sent itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The route's name.
    pub route: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query parameters, in their order.
    pub query: Vec<(String, String)>,
    /// The headers, by their names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The aliases of what was attached.
    pub attached: Vec<String>,
    /// What went into the holes of the template that was attached last.
    pub holes: Vec<(String, String)>,
    /// The claims of the tokens that were.
    pub claims: Vec<Claims>,
    /// How long it may take, if that was said: of a `forward` the head of the answer, of a
    /// call of the policy's own all of it.
    pub timeout_milliseconds: Option<u32>,
}

impl Simulation {
    /// A request from `192.0.2.1`. `target` is a path with or without a query;
    /// the query is taken as it is, without decoding.
    #[must_use]
    pub fn request(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = pairs(query);
        Self {
            state: RefCell::new(State {
                method: method.to_owned(),
                path: path.to_owned(),
                query,
                client: "192.0.2.1".to_owned(),
                ..State::default()
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut State)) -> Self {
        change(self.state.get_mut());
        self
    }

    /// The client's address.
    #[must_use]
    pub fn client(self, address: &str) -> Self {
        self.with(|state| state.client = address.to_owned())
    }

    /// The client asked for that name when it opened its TLS connection.
    #[must_use]
    pub fn server_name(self, name: &str) -> Self {
        self.with(|state| state.server_name = Some(name.to_ascii_lowercase()))
    }

    /// The client proved who it is with that certificate.
    #[must_use]
    pub fn certificate(self, certificate: ClientCertificate) -> Self {
        self.with(|state| state.certificate = Some(certificate))
    }

    /// A header of the request, beside any of that name.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|state| {
            state
                .request
                .headers
                .push((name.to_ascii_lowercase(), value.into()));
        })
    }

    /// The request's body.
    #[must_use]
    pub fn body(self, body: &[u8]) -> Self {
        self.with(|state| state.request.body = body.to_vec())
    }

    /// The backend has answered with that status: the outbound phase.
    #[must_use]
    pub fn answered(self, status: u16) -> Self {
        self.with(|state| {
            state.status = Some(status);
            state.is_sent = true;
        })
    }

    /// A header of the backend's answer, beside any of that name.
    #[must_use]
    pub fn answered_header(self, name: &str, value: &str) -> Self {
        self.with(|state| {
            state
                .response
                .headers
                .push((name.to_ascii_lowercase(), value.into()));
        })
    }

    /// The body of the backend's answer.
    #[must_use]
    pub fn answered_body(self, body: &[u8]) -> Self {
        self.with(|state| state.response.body = body.to_vec())
    }

    /// Grants every use of the secret of that alias.
    #[must_use]
    pub fn grant(self, alias: &str) -> Self {
        self.with(|state| {
            state.granted.insert(alias.to_owned());
        })
    }

    /// The connection string of that alias has this public part.
    #[must_use]
    pub fn connection_part(self, alias: &str, name: &str, text: &str) -> Self {
        let key = (alias.to_owned(), name.to_owned());
        self.with(|state| drop(state.connection_parts.insert(key, text.to_owned())))
    }

    /// Opens an issuer to the policy.
    #[must_use]
    pub fn issuer(self, name: &str) -> Self {
        self.with(|state| {
            state.issuers.insert(name.to_owned());
        })
    }

    /// That text is a token with these claims, a JSON object, under whatever key it is
    /// checked with. Any other text has a wrong signature.
    ///
    /// # Panics
    /// The claims are no JSON object.
    #[must_use]
    pub fn token(self, text: &str, claims: &str) -> Self {
        self.verified(text, claims, None)
    }

    /// The same, with this type (`typ`) in its head.
    ///
    /// # Panics
    /// As of [`token`](Self::token).
    #[must_use]
    pub fn token_of_type(self, text: &str, token_type: &str, claims: &str) -> Self {
        self.verified(text, claims, Some(token_type.to_owned()))
    }

    fn verified(self, text: &str, claims: &str, token_type: Option<String>) -> Self {
        let token = VerifiedJwt::new(claims, "RS256".to_owned(), None, token_type);
        let token = token.expect("the claims are a JSON object");
        self.with(|state| {
            state.tokens.insert(text.to_owned(), Ok(token));
        })
    }

    /// That text is a token that is not right, for this reason.
    #[must_use]
    pub fn wrong_token(self, text: &str, failure: JwtFailure) -> Self {
        self.with(|state| {
            state.tokens.insert(text.to_owned(), Err(failure));
        })
    }

    /// The client presented the key of that subject.
    #[must_use]
    pub fn key_of(self, subject: &str) -> Self {
        self.with(|state| state.subject = Some(subject.to_owned()))
    }

    /// What a database answers to a statement with these values; without an answer, a
    /// query brings no rows.
    #[must_use]
    pub fn query(
        self,
        statement: &str,
        parameters: &[Value],
        answer: Result<Rows, Failure>,
    ) -> Self {
        let query = (statement.to_owned(), parameters.to_vec(), answer);
        self.with(|state| state.queries.push(query))
    }

    /// A variable that another policy wrote.
    #[must_use]
    pub fn variable_of(self, policy: &str, name: &str, value: &[u8]) -> Self {
        self.with(|state| {
            state
                .variables_of
                .insert((policy.to_owned(), name.to_owned()), value.to_vec());
        })
    }

    /// The time, in milliseconds since 1970-01-01T00:00:00Z. 0 unless set.
    #[must_use]
    pub fn at(self, milliseconds: u64) -> Self {
        self.with(|state| state.now = milliseconds)
    }

    /// Opens a route to the policy; each call of it is answered so.
    #[must_use]
    pub fn route(self, name: &str, status: u16, body: &[u8]) -> Self {
        self.with(|state| {
            state
                .routes
                .insert(name.to_owned(), (status, body.to_vec()));
        })
    }

    /// A header of the answer of that route to calls of the policy's own.
    #[must_use]
    pub fn route_header(self, name: &str, header: &str, value: &str) -> Self {
        self.with(|state| {
            let headers = state.route_headers.entry(name.to_owned()).or_default();
            headers.push((header.to_ascii_lowercase(), value.into()));
        })
    }

    /// Calls of the policy's own to that route, which is open to it, fail so.
    #[must_use]
    pub fn route_fails(self, name: &str, failure: Failure) -> Self {
        self.route(name, 200, b"").with(|state| {
            state.route_failures.insert(name.to_owned(), failure);
        })
    }

    /// The client asked over TLS.
    #[must_use]
    pub fn tls(self) -> Self {
        self.with(|state| state.is_tls = true)
    }

    /// The pipeline's policies forward: what the backend answers to a `forward`, or to what
    /// was planned. Said
    /// several times, they are answered in this order, and the last one again and
    /// again.
    #[must_use]
    pub fn backend(self, answer: Result<(u16, &[u8]), ForwardFailure>) -> Self {
        let answer = answer.map(|(status, body)| (status, body.to_vec()));
        self.with(|state| state.backend.push(answer))
    }

    /// A value that an earlier exchange kept, for ever.
    #[must_use]
    pub fn cached(self, key: &str, value: &[u8]) -> Self {
        let value = (value.to_vec(), u64::MAX);
        self.with(|state| drop(state.cache.insert(key.to_owned(), value)))
    }

    /// Another exchange of the same client with the same request, on the same node:
    /// counters, the cache and the time are as they were, and nothing of this exchange is
    /// left. Only what has not been changed of its request is.
    #[must_use]
    pub fn again(self) -> Self {
        self.with(|state| {
            state.response = Content::default();
            state.status = None;
            state.is_sent = false;
            state.variables.clear();
            state.attached.clear();
            state.log.clear();
        })
    }

    /// The exchange, for one call of a decision. The next call reads the bodies
    /// from their beginning again.
    #[must_use]
    pub fn exchange(&self) -> Exchange<'_> {
        let mut state = self.state.borrow_mut();
        let State {
            request, response, ..
        } = &mut *state;
        for content in [request, response] {
            content.read = 0;
            content.is_written = false;
        }
        drop(state);
        Exchange::__of(self)
    }

    /// What went into the holes of the template that was attached to the exchange last.
    #[must_use]
    pub fn holes(&self) -> Vec<(String, String)> {
        self.state.borrow().holes.clone()
    }

    /// The claims of the tokens that were attached to the exchange or made for the
    /// policy, in order.
    #[must_use]
    pub fn claims(&self) -> Vec<Claims> {
        self.state.borrow().claims.clone()
    }

    /// The aliases of what was attached to the exchange, in order.
    #[must_use]
    pub fn attached(&self) -> Vec<String> {
        self.state.borrow().attached.clone()
    }

    /// The response's status.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.state.borrow().status
    }

    /// The request's path, as the backend will see it.
    #[must_use]
    pub fn path(&self) -> String {
        self.state.borrow().path.clone()
    }

    /// All values of a request's header, joined by `, `; none if there is none.
    #[must_use]
    pub fn request_header(&self, name: &str) -> Option<String> {
        joined(&self.state.borrow().request, name)
    }

    /// All values of a response's header, joined by `, `; none if there is none.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<String> {
        joined(&self.state.borrow().response, name)
    }

    /// The request's body, as text.
    #[must_use]
    pub fn request_body(&self) -> String {
        String::from_utf8_lossy(&self.state.borrow().request.body).into_owned()
    }

    /// The response's body, as text.
    #[must_use]
    pub fn response_body(&self) -> String {
        String::from_utf8_lossy(&self.state.borrow().response.body).into_owned()
    }

    /// A variable that the policy wrote.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Vec<u8>> {
        self.state.borrow().variables.get(name).cloned()
    }

    /// The lines that the policy logged.
    #[must_use]
    pub fn log(&self) -> Vec<(Level, String)> {
        self.state.borrow().log.clone()
    }

    /// The value that is kept under that key.
    #[must_use]
    pub fn kept(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        state.cache.get(key).map(|(value, _)| value.clone())
    }

    /// The exchange's request, each time that it was forwarded.
    #[must_use]
    pub fn forwarded(&self) -> Vec<Call> {
        self.state.borrow().forwarded.clone()
    }

    /// Sends the request as a policy planned it, as the host does when the backend phase
    /// is over; none if none planned that. The exchange then has a response, or the
    /// on-error phase can ask why not.
    pub fn send_planned(&self) -> Option<Result<(), ForwardFailure>> {
        crate::host::send_planned(self)
    }

    /// How many milliseconds the policy waited by itself.
    #[must_use]
    pub fn slept(&self) -> u64 {
        self.state.borrow().slept
    }

    /// The requests that the policy sent itself.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state.borrow().calls.clone()
    }
}

pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn joined(content: &Content, name: &str) -> Option<String> {
    let values: Vec<_> = content
        .headers
        .iter()
        .filter(|(there, _)| there.eq_ignore_ascii_case(name))
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}
