//! All that came to light in a case: every sink that a canary could be in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use keyward::Failure;
use keyward::engine::{GuestCall, LogLine, Phase, PolicyStop, StopReport, Used, Verdict};
use keyward::names::{ExchangeId, PolicyName, RouteName, SecretName};

use crate::suite::Echo;

/// All that came to light in a case. It holds canaries, and is for searching: what goes
/// into a report has to be redacted.
#[derive(Debug, Default)]
pub struct Observed {
    /// One for each request, in order.
    pub steps: Vec<ObservedStep>,
    /// The hostile backend that was in place of the suite's, if one was.
    pub echo: Option<Echo>,
    /// What takes the suite's values out of bytes.
    pub redactor: Redactor,
}

impl Observed {
    /// Bytes that came to light, as a report or a file may hold them: each value
    /// replaced by `{{secret NAME}}`.
    pub fn redact(&self, bytes: &[u8]) -> Vec<u8> {
        self.redactor.redact(bytes)
    }
}

/// What takes values out of bytes. By default nothing of them stays.
#[derive(Clone)]
pub struct Redactor(Arc<Redact>);

type Redact = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

impl Redactor {
    /// `redact` gives bytes back with each value replaced.
    pub fn new(redact: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self(Arc::new(redact))
    }

    /// The bytes, each value replaced.
    pub fn redact(&self, bytes: &[u8]) -> Vec<u8> {
        (self.0)(bytes)
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(|_| b"{{redacted}}".to_vec())
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// What came to light in one exchange.
#[derive(Debug)]
pub struct ObservedStep {
    /// Its identifier.
    pub exchange: ExchangeId,
    /// What the client got.
    pub response: ObservedResponse,
    /// Why it is not what the pipeline was made for.
    pub failure: Option<Failure>,
    /// Each call of a policy, in order.
    pub policies: Vec<ObservedPolicy>,
    /// Each call that a backend got, in order.
    pub calls: Vec<ObservedCall>,
    /// What the host obtained or made for backends by the end of it, in this exchange
    /// and those of the case before it.
    pub bearers: Vec<Bearer>,
    /// The lines that policies wrote.
    pub logs: Vec<LogLine>,
    /// Why policies were stopped.
    pub stops: Vec<StopReport>,
    /// What policies kept, at the exchange's end.
    pub variables: Vec<ObservedVariable>,
    /// The exchange's records in the audit trail, as JSON, and the record of what was
    /// counted in it; `AUDIT.md` of the vault names their fields.
    pub audit: Vec<serde_json::Value>,
    /// What metrics say of it; empty where nobody makes any.
    pub metrics: String,
    /// Real time.
    pub took: Duration,
}

/// What a client got.
#[derive(Debug, Clone, Default)]
pub struct ObservedResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as far as it came.
    pub body: Bytes,
    /// Whether it broke off.
    pub broken: bool,
    /// The trailers.
    pub trailers: HeaderMap,
}

/// One call of a policy.
#[derive(Debug)]
pub struct ObservedPolicy {
    /// Which policy.
    pub policy: PolicyName,
    /// In which phase.
    pub phase: Phase,
    /// What it said, or why it was stopped.
    pub verdict: Result<Verdict, PolicyStop>,
    /// What it used up.
    pub used: Used,
    /// Its calls into the host, in order.
    pub calls: Vec<GuestCall>,
    /// When each of them began, from the beginning of the exchange, and how long it
    /// took; real time.
    pub times: Vec<(Duration, Duration)>,
    /// Its memories after the call.
    pub memories: Vec<Vec<u8>>,
    /// When it began, from the beginning of the exchange; real time.
    pub at: Duration,
    /// How long it took; real time.
    pub took: Duration,
}

/// A variable.
#[derive(Debug, Clone)]
pub struct ObservedVariable {
    /// Whose it is.
    pub policy: PolicyName,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Bytes,
}

/// A request as a backend got it.
#[derive(Debug, Clone)]
pub struct ObservedCall {
    /// On which route.
    pub route: RouteName,
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers, as they arrived.
    pub headers: HeaderMap,
    /// Its body, as it arrived.
    pub body: Bytes,
    /// Its trailers.
    pub trailers: HeaderMap,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// The certificate that was shown on its connection, as DER.
    pub shown: Option<Arc<[u8]>>,
    /// What was attached to it by a grant: these values are where they may be.
    pub attached: Vec<Attached>,
    /// What it was answered; `None`: nothing.
    pub status: Option<u16>,
    /// The body of that; empty where a request was echoed.
    pub answer: Bytes,
    /// When it came, from the beginning of the exchange; real time.
    pub at: Duration,
}

/// What is worth as much as a secret while it is valid, to whoever has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bearer {
    /// The secret that it was obtained or made with.
    pub secret: SecretName,
    /// What it is, as in "access token".
    pub what: &'static str,
    /// Its value, without what stands around it.
    pub value: Bytes,
}

impl Bearer {
    /// What it is called in leaks: the secret, and what it is.
    pub fn name(&self) -> String {
        format!("{} {}", self.secret, self.what)
    }
}

/// A secret where a grant allows it to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Which secret.
    pub secret: SecretName,
    /// By which grant.
    pub grant: String,
    /// Where.
    pub place: AttachedPlace,
}

/// The part of a call in which the host put a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachedPlace {
    /// A header of this name.
    Header(http::HeaderName),
    /// A header of this name holds a [`Bearer`] of the secret's. The secret itself has
    /// no business there.
    Token(http::HeaderName),
    /// The query holds a [`Bearer`] of the secret's.
    TokenInQuery,
    /// The query.
    Query,
    /// The body, which the host wrote.
    Body,
    /// The handshake: a certificate was shown.
    Tls,
}
