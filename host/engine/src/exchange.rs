//! One request and its response while policies decide about them.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use keyward_names::{ExchangeId, PolicyName, RouteName, VariableName};
use keyward_vault::{AuditUnavailable, Durable, Ledger, Notes, Presented};

use crate::body::PolicyBody;
use crate::outside::{ForwardFailure, Outside};
use crate::places::Place;
use crate::report::StopReport;
use crate::tls::ClientTls;

/// A part of an exchange's life in which policies run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the backend is called.
    Inbound,
    /// Just before the request leaves.
    Backend,
    /// After the head of the response has arrived.
    Outbound,
    /// After something failed.
    OnError,
}

impl Phase {
    /// Every phase, in the order in which they run.
    pub const ALL: [Phase; 4] = [
        Phase::Inbound,
        Phase::Backend,
        Phase::Outbound,
        Phase::OnError,
    ];

    /// Its name in `wit/`, in documents and in `keyward.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Inbound => "inbound",
            Phase::Backend => "backend",
            Phase::Outbound => "outbound",
            Phase::OnError => "on-error",
        }
    }

    /// Whether the request can still be changed.
    pub(crate) fn before_backend(self) -> bool {
        matches!(self, Phase::Inbound | Phase::Backend)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Status and headers of a response.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For the policy's author.
    Debug,
    /// Of note.
    Info,
    /// Something an operator should look at.
    Warn,
    /// Something is broken.
    Error,
}

/// A line that a policy wrote: control characters escaped, length capped.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Which policy wrote it.
    pub policy: PolicyName,
    /// In which exchange.
    pub exchange: ExchangeId,
    /// How much it matters.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

pub(crate) struct Variable {
    pub(crate) policy: PolicyName,
    pub(crate) name: VariableName,
    pub(crate) value: Bytes,
}

/// How the policies of an exchange send its request themselves: see
/// [`Exchange::with_forwarding`].
#[non_exhaustive]
pub struct Forwarding {
    /// Where to, unless a policy names another route that is open to it.
    pub route: RouteName,
    /// The protocol in which the client asks to go on; the first call takes it.
    pub upgrade: Option<HeaderValue>,
    /// What [`Outside::forward`] keeps of its calls.
    pub kept: http::Extensions,
    /// A policy has tried, whatever came of it.
    pub tried: bool,
    /// What a policy has planned that the host does when the backend phase is over. Where
    /// it goes was held against what is open to that policy.
    pub planned: Option<Planned>,
}

/// A request that the host sends as a policy planned it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Where to: the exchange's own route, or one that is open to the policy.
    pub route: RouteName,
    /// What stands before the path; empty, or a path.
    pub path_prefix: String,
    /// How long the head of the answer may take; none: as long as the route lets it.
    pub timeout_milliseconds: Option<u32>,
}

impl Planned {
    /// The target of a request there; none if it would be none.
    pub fn target(&self, uri: &Uri) -> Option<Uri> {
        let mut parts = uri.clone().into_parts();
        let target = parts
            .path_and_query
            .as_ref()
            .map_or("/", |target| target.as_str());
        let target = PathAndQuery::try_from(format!("{}{target}", self.path_prefix)).ok()?;
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).ok()
    }
}

impl Forwarding {
    /// To that route, by default.
    pub fn to(route: RouteName, upgrade: Option<HeaderValue>) -> Self {
        Forwarding {
            route,
            upgrade,
            kept: http::Extensions::new(),
            tried: false,
            planned: None,
        }
    }
}

/// One request and its response, with what policies noted about them.
///
/// The exchange travels into each call and back out of it. Dropping it, for
/// example because the client went away, still puts the uses of secrets that it
/// holds into the audit trail.
pub struct Exchange {
    pub(crate) id: ExchangeId,
    pub(crate) outside: Arc<dyn Outside>,
    pub(crate) client_address: IpAddr,
    pub(crate) authority: String,
    pub(crate) tls: Option<Arc<ClientTls>>,
    /// The request as policies see and change it. Client keys have been taken
    /// out; nothing attached is in it.
    pub request: http::request::Parts,
    /// The request's body.
    pub request_body: PolicyBody,
    /// The response, once there is one.
    pub response: Option<ResponseHead>,
    /// The response's body.
    pub response_body: PolicyBody,
    /// What is to be attached to the request.
    pub notes: Notes,
    /// What has been used, and whether the audit trail holds it.
    pub ledger: Ledger,
    pub(crate) presented: Presented,
    pub(crate) variables: Vec<Variable>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) logs_dropped: u64,
    pub(crate) reports: Vec<StopReport>,
    /// Places that were given back while uses were not yet on record: others see them
    /// free once they are.
    pub(crate) places: Vec<Place>,
    /// A policy made the response itself.
    pub(crate) responded: bool,
    /// None: the host sends the request, once the backend phase is over.
    pub forwarding: Option<Box<Forwarding>>,
    /// Why the request brought no answer, for the on-error phase.
    pub forward_failure: Option<ForwardFailure>,
}

impl Exchange {
    /// An exchange at its beginning. `request` must have had its client keys
    /// taken out by [`keyward_vault::Vault::take_client_keys`], which gives
    /// `presented`; `authority` is what the client asked for. `outside` stays the
    /// exchange's world to its end, whatever others get meanwhile.
    pub fn new(
        client_address: IpAddr,
        authority: String,
        request: http::request::Parts,
        request_body: PolicyBody,
        presented: Presented,
        ledger: Ledger,
        outside: Arc<dyn Outside>,
    ) -> Self {
        Exchange {
            id: ledger.exchange(),
            outside,
            client_address,
            authority,
            tls: None,
            request,
            request_body,
            response: None,
            response_body: PolicyBody::empty(),
            notes: Notes::default(),
            ledger,
            presented,
            variables: Vec::new(),
            logs: Vec::new(),
            logs_dropped: 0,
            reports: Vec::new(),
            places: Vec::new(),
            responded: false,
            forwarding: None,
            forward_failure: None,
        }
    }

    /// The same exchange, of a client whose TLS connection is known.
    pub fn with_tls(mut self, tls: Option<Arc<ClientTls>>) -> Self {
        self.tls = tls;
        self
    }

    /// The same exchange, whose request policies send in the backend phase.
    #[must_use]
    pub fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.forwarding = Some(Box::new(forwarding));
        self
    }

    /// The exchange's identifier.
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// The request's path, without the query.
    pub fn path(&self) -> &str {
        self.request.uri.path()
    }

    /// Sets the response that came from the backend.
    pub fn set_response(&mut self, head: ResponseHead, body: PolicyBody) {
        self.response = Some(head);
        self.response_body = body;
    }

    /// A variable that a policy wrote.
    pub fn variable(&self, policy: &str, name: &str) -> Option<&Bytes> {
        self.variables
            .iter()
            .find(|variable| variable.policy.as_str() == policy && variable.name.as_str() == name)
            .map(|variable| &variable.value)
    }

    /// Every variable: whose it is, its name and its value.
    pub fn variables(&self) -> impl Iterator<Item = (&PolicyName, &VariableName, &Bytes)> {
        let variables = self.variables.iter();
        variables.map(|variable| (&variable.policy, &variable.name, &variable.value))
    }

    /// Waits until everything that was used is in the audit trail, then lets go
    /// of what waited for that: the policies' log lines, and the places that they gave
    /// back. Call it before anything
    /// of this exchange leaves the host.
    ///
    /// Cancel-safe. Errors: the trail can't be written; the lines are dropped.
    pub async fn settle(&mut self) -> Result<Durable, AuditUnavailable> {
        let durable = self.ledger.barrier().await;
        match durable {
            Ok(durable) => {
                self.flush_logs();
                Ok(durable)
            }
            Err(unavailable) => {
                self.logs.clear();
                self.reports.clear();
                Err(unavailable)
            }
        }
    }

    /// Writes the log lines and reports that nothing holds back any more, and gives
    /// places back.
    pub fn flush_logs(&mut self) {
        if !self.ledger.is_settled() {
            return;
        }
        self.places.clear();
        for line in self.logs.drain(..) {
            self.outside.log(&line);
        }
        for report in self.reports.drain(..) {
            self.outside.stopped(&report);
        }
    }

    /// Log lines dropped for their number so far.
    pub fn logs_dropped(&self) -> u64 {
        self.logs_dropped
    }

    pub(crate) fn headers(
        &self,
        side: crate::bindings::keyward::policy::exchange::Side,
    ) -> Option<&HeaderMap> {
        use crate::bindings::keyward::policy::exchange::Side;
        match side {
            Side::Request => Some(&self.request.headers),
            Side::Response => self.response.as_ref().map(|head| &head.headers),
        }
    }
}
