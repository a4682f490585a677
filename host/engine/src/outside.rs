//! What lies outside the sandbox: the one trait through which the engine
//! reaches the world.

use std::future::Future;
use std::pin::Pin;

use http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use keyward_names::{IssuerName, PolicyName, RouteName};
use keyward_vault::{
    Ledger, Notes, Query, QueryRows, RemoteAnswer, RemoteCall, TokenFault, VerifiedToken,
};

use crate::body::Body;
use crate::exchange::LogLine;
use crate::report::StopReport;

/// A boxed future that borrows from the call it serves.
pub type OutsideFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A call that a policy makes to a backend of its own choice among the routes
/// that the operator opened to it. It has no host: the route has one.
pub struct OutsideRequest {
    /// Which policy calls.
    pub policy: PolicyName,
    /// Where to.
    pub route: RouteName,
    /// The method.
    pub method: Method,
    /// Path and query, starting with `/`.
    pub path_and_query: http::uri::PathAndQuery,
    /// Headers; none that the host writes itself.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: bytes::Bytes,
    /// What is to be attached to it.
    pub notes: Notes,
}

/// The request of an exchange, sent by a policy in the backend phase.
pub struct OutsideForward {
    /// Which policy sends it.
    pub policy: PolicyName,
    /// Where to: the exchange's own route, or one that is open to the policy.
    pub route: RouteName,
    /// The method, as policies left it.
    pub method: Method,
    /// The target, as policies left it.
    pub uri: Uri,
    /// The version in which the client asked.
    pub version: Version,
    /// The headers, as policies left them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// How many bytes it has, where a policy wrote it.
    pub written: Option<usize>,
    /// What is to be attached to it.
    pub notes: Notes,
    /// The protocol in which the client asks to go on.
    pub upgrade: Option<HeaderValue>,
}

/// Why an exchange's request brought no answer. The guest is told the same word and no
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardFailure {
    /// An attached secret may not go there.
    Denied,
    /// The request is malformed, or its body broke off.
    Invalid,
    /// The body is larger than it may be.
    Limit,
    /// No answer in time.
    TimedOut,
    /// No connection, no secret, or no durable audit record.
    Unavailable,
    /// The answer was not passed on.
    Upstream,
}

/// What came back.
pub struct OutsideResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, checked by the response guard.
    pub headers: HeaderMap,
    /// The body, as it arrives, checked by the response guard.
    pub body: Body,
}

/// Why a call to a backend came to nothing. The guest is told the same word and
/// no more; of a call that it gave no time, `unavailable` for one that had none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// The route is not open to the policy, or an attached secret may not go
    /// there.
    Denied,
    /// The request is malformed.
    Invalid,
    /// The body is larger than the operation takes.
    Limit,
    /// No answer in time.
    TimedOut,
    /// No connection, no secret, or no durable audit record.
    Unavailable,
    /// The answer was not passed on.
    Upstream,
}

/// Why a query brought nothing. The guest is told the same word and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryFailure {
    /// The grant is gone, its route leads elsewhere, or the database denies it to its
    /// user.
    Denied,
    /// The database can't take the values.
    Invalid,
    /// More rows, bytes or time than the grant allows.
    Limit,
    /// The database can't be reached or used now, or there is no durable audit
    /// record.
    Unavailable,
    /// The database failed, or its answer could not be used.
    Upstream,
}

/// Why a token of an issuer was not found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuedTokenFault {
    /// There is no issuer of that name.
    NoIssuer,
    /// Its keys can't be had now, or are too old to be believed.
    Unavailable,
    /// The token is not right.
    Token(TokenFault),
}

/// What lies outside: implemented by crate `keyward` for production, and by
/// test harnesses.
///
/// Implementations must not panic, and must not keep what they are given beyond
/// the call.
pub trait Outside: Send + Sync + 'static {
    /// Sends a request and waits for the head of the answer. Must wait for
    /// `ledger`'s barrier before the first byte leaves. Cancel-safe: dropping
    /// the future gives up the call.
    fn send<'a>(
        &'a self,
        request: OutsideRequest,
        ledger: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<OutsideResponse, SendFailure>>;

    /// Sends the request of an exchange whose policies send it themselves
    /// ([`Exchange::with_forwarding`](crate::Exchange::with_forwarding)), and waits for
    /// the head of the answer. Must wait for `ledger`'s barrier before the first byte
    /// leaves, and drop what it kept of an earlier answer. What it wants to remember
    /// of the call goes into `kept`, which is the exchange's. By default there is no
    /// backend. Cancel-safe: dropping the future gives up the call.
    fn forward<'a>(
        &'a self,
        request: OutsideForward,
        ledger: &'a mut Ledger,
        kept: &'a mut Extensions,
    ) -> OutsideFuture<'a, Result<OutsideResponse, ForwardFailure>> {
        let _ = (request, ledger, kept);
        Box::pin(std::future::ready(Err(ForwardFailure::Unavailable)))
    }

    /// Has the source of a key do what was permitted. That it is asked is in the audit
    /// trail: there is no other way to a [`RemoteCall`]. `None`, whatever went wrong;
    /// by default, since there are no sources. Cancel-safe: dropping the future gives
    /// up the call.
    fn remote<'a>(&'a self, call: &'a RemoteCall) -> OutsideFuture<'a, Option<RemoteAnswer>> {
        let _ = call;
        Box::pin(std::future::ready(None))
    }

    /// Checks a token against the keys that an issuer publishes, which are fetched if
    /// they have to be. By default there are no issuers. `now` is the time by which it
    /// has to be valid, in milliseconds since 1970. Cancel-safe: dropping the future gives
    /// up the wait, and not what others wait for.
    fn verify_token<'a>(
        &'a self,
        issuer: &'a IssuerName,
        token: &'a str,
        now: u64,
    ) -> OutsideFuture<'a, Result<VerifiedToken, IssuedTokenFault>> {
        let _ = (issuer, token, now);
        Box::pin(std::future::ready(Err(IssuedTokenFault::NoIssuer)))
    }

    /// Runs a query on the database that its grant names. Must wait for `ledger`'s
    /// barrier before anything leaves. By default there are no databases. Cancel-safe:
    /// dropping the future gives up the query, and has the database give it up.
    fn query<'a>(
        &'a self,
        query: Query,
        ledger: &'a mut Ledger,
    ) -> OutsideFuture<'a, Result<QueryRows, QueryFailure>> {
        let _ = (query, ledger);
        Box::pin(std::future::ready(Err(QueryFailure::Unavailable)))
    }

    /// Returns after that many milliseconds.
    fn sleep(&self, milliseconds: u64) -> OutsideFuture<'static, ()>;

    /// The same, where a policy asked for it: nothing else is being waited for.
    fn pause(&self, milliseconds: u64) -> OutsideFuture<'static, ()> {
        self.sleep(milliseconds)
    }

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;

    /// Milliseconds on a clock that never jumps and goes as [`sleep`](Self::sleep) does,
    /// from a start of the implementation's choice: how long a call has waited is
    /// counted on it. By default [`now`](Self::now), for worlds whose time nobody sets.
    fn monotonic(&self) -> u64 {
        self.now()
    }

    /// Fills `into` with cryptographically secure random bytes.
    fn random(&self, into: &mut [u8]);

    /// Writes a log line. It is called only once nothing that the line may
    /// depend on is still missing from the audit trail.
    fn log(&self, line: &LogLine);

    /// Takes the report about a policy that was stopped, for its author: not for a
    /// client. Called like [`Outside::log`]. By default nobody reads it.
    fn stopped(&self, report: &StopReport) {
        let _ = report;
    }
}
