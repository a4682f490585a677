//! What a case expects. What it doesn't name, it doesn't look at.

use http::{HeaderName, Method};
use keyward::engine::Phase;
use keyward::names::{PolicyName, RouteName, SecretName};

use super::{At, Span};

/// What is expected of one request.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What policies said.
    pub verdicts: Vec<VerdictExpected>,
    /// The status that the client got.
    pub status: Option<At<Vec<u16>>>,
    /// The headers that it got.
    pub headers: Vec<HeaderExpected>,
    /// The body that it got.
    pub body: Option<BodyExpected>,
    /// What policies kept.
    pub variables: Vec<VariableExpected>,
    /// The lines that policies wrote: each of these, in this order, others between.
    pub log: Option<At<Vec<LogExpected>>>,
    /// The uses of secrets on record: exactly these, in any order.
    pub audit: Option<At<Vec<AuditExpected>>>,
    /// The calls that backends got: exactly these, in this order.
    pub calls: Option<At<Vec<CallExpected>>>,
    /// What a call of a policy used at most, by the names of `Used`.
    pub budget: Vec<(String, At<u64>)>,
    /// Why a policy was stopped, in one word; `None`: none may be stopped.
    pub stopped: Option<At<String>>,
    /// Why the exchange failed, in one word.
    pub failure: Option<At<String>>,
    /// Where it stands.
    pub span: Span,
}

/// What a policy is expected to say in a phase.
#[derive(Clone, Debug)]
pub struct VerdictExpected {
    /// The phase.
    pub phase: Phase,
    /// Which policy; `None`: the last that ran in the phase.
    pub policy: Option<PolicyName>,
    /// `proceed`, `respond`, `fail`, `stopped`, or `none` where it must not run.
    pub verdict: At<String>,
}

/// What is expected of a header.
#[derive(Clone, Debug)]
pub struct HeaderExpected {
    /// Which header.
    pub name: HeaderName,
    /// Its values, joined by `, `.
    pub value: Matcher,
}

/// What a text is expected to be.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Which way.
    pub form: MatcherForm,
    /// Where it stands.
    pub span: Span,
}

/// The ways to expect a text.
#[derive(Clone, Debug)]
pub enum MatcherForm {
    /// It is this text.
    Is(String),
    /// This text is in it.
    Contains(String),
    /// This text is not in it.
    Lacks(String),
    /// It begins with this text.
    Begins(String),
    /// The whole of it matches this pattern.
    Matches(regex_lite::Regex),
    /// It is there, whatever it is.
    Present,
    /// It is not there.
    Absent,
}

/// What is expected of a body.
#[derive(Clone, Debug)]
pub enum BodyExpected {
    /// A text.
    Text(Matcher),
    /// The same as JSON, in any order of keys and with any space.
    Json(At<serde_json::Value>),
    /// It broke off.
    Broken(Span),
}

/// What is expected of a variable.
#[derive(Clone, Debug)]
pub struct VariableExpected {
    /// Which policy's.
    pub policy: PolicyName,
    /// Its name.
    pub name: String,
    /// Its value, as text.
    pub value: Matcher,
}

/// A line that a policy is expected to write.
#[derive(Clone, Debug)]
pub struct LogExpected {
    /// Which policy; `None`: any.
    pub policy: Option<PolicyName>,
    /// `debug`, `info`, `warn`, `error`; `None`: any.
    pub level: Option<String>,
    /// The text.
    pub message: Matcher,
}

/// A use of a secret that is expected to be on record.
#[derive(Clone, Debug)]
pub struct AuditExpected {
    /// `attach`, `sign-request`, `mac-sign`, `mac-verify`, `identify`, `present`,
    /// `jws-sign`, `seal`, `open`, `token`.
    pub operation: Option<String>,
    /// Which policy.
    pub policy: Option<PolicyName>,
    /// Which secret.
    pub secret: Option<SecretName>,
    /// By which grant.
    pub grant: Option<String>,
    /// Under which alias.
    pub alias: Option<String>,
    /// To which route.
    pub route: Option<RouteName>,
    /// What came of it: `allowed`, `not-granted`, …
    pub outcome: Option<String>,
    /// How often.
    pub count: Option<u64>,
    /// Where it stands.
    pub span: Span,
}

/// A call that a backend is expected to get.
#[derive(Clone, Debug)]
pub struct CallExpected {
    /// On which route.
    pub route: Option<RouteName>,
    /// With which method.
    pub method: Option<Method>,
    /// With which path, without the query.
    pub path: Option<Matcher>,
    /// With which query.
    pub query: Option<Matcher>,
    /// With which headers.
    pub headers: Vec<HeaderExpected>,
    /// With which body.
    pub body: Option<BodyExpected>,
    /// With these secrets attached and no others.
    pub attached: Option<At<Vec<SecretName>>>,
    /// Signed with these secrets, each signature verified over what arrived.
    pub signed: Option<At<Vec<SignatureExpected>>>,
    /// Where it stands.
    pub span: Span,
}

/// A signature that a call is expected to carry.
#[derive(Clone, Debug)]
pub struct SignatureExpected {
    /// With which secret.
    pub secret: SecretName,
    /// The header that holds a code over the body; `None`: a signature of the request.
    pub header: Option<HeaderName>,
}
