//! Backends that are pretended: what they answer to what.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use keyward::names::RouteName;

use super::{Matcher, Span};
use crate::hostile::Echo;

/// One answer of a backend: to which requests, which answer. The first that matches a
/// request counts; a request that none matches gets 200 without a body.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Of which route; `None`: of any.
    pub route: Option<RouteName>,
    /// To which requests.
    pub matches: RequestMatch,
    /// What comes back.
    pub answer: Answer,
    /// How often it is given at most; `None`: always.
    pub times: Option<u32>,
    /// Where it stands.
    pub span: Span,
}

/// Which requests an answer is for.
#[derive(Clone, Debug, Default)]
pub struct RequestMatch {
    /// With this method.
    pub method: Option<Method>,
    /// With this path: `*` stands for any text without `/`, `**` for any text.
    pub path: Option<String>,
    /// With this text in the query, undecoded.
    pub query: Option<Matcher>,
    /// With these headers.
    pub headers: Vec<(HeaderName, Matcher)>,
    /// With this body.
    pub body: Option<Matcher>,
}

/// What a backend does with a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How much time passes before it answers.
    pub delay: Duration,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Vec<(HeaderName, HeaderValue)>,
    /// What of the request comes back in the answer.
    pub echo: Option<Echo>,
    /// What goes wrong instead.
    pub fault: Option<Fault>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            status: StatusCode::OK,
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            echo: None,
            fault: None,
        }
    }
}

/// What goes wrong at a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody takes the connection.
    Refused,
    /// The connection ends before the answer.
    Reset,
    /// There is never an answer.
    Timeout,
    /// The answer ends in the middle of its body.
    Cut,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Refused, Self::Reset, Self::Timeout, Self::Cut];

    /// Its name in a suite.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
        }
    }
}
