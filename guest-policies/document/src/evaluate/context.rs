//! What an expression can ask of the request that it is evaluated for.

use std::sync::Arc;

use keyward_document_program::{Member, Type};

use super::{Outcome, Value};

/// A dictionary of texts with several values each; names are compared without case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListsOf {
    /// `context.Request.Headers`.
    Request,
    /// `context.Response.Headers`.
    Response,
    /// `Query` of a URL.
    Query(UrlOf),
}

/// A URL of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlOf {
    /// `context.Request.Url`.
    Request,
    /// `context.Request.OriginalUrl`.
    Original,
    /// `context.Api.ServiceUrl`.
    Service,
}

/// A URL's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// Without `:`.
    pub scheme: String,
    /// Without a port.
    pub host: String,
    /// The scheme's own if none is written.
    pub port: u16,
    /// From `/` on.
    pub path: String,
    /// From `?` on, or empty.
    pub query: String,
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        if !matches!((&*self.scheme, self.port), ("http", 80) | ("https", 443)) {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}{}", self.path, self.query)
    }
}

/// The request, and what is known about it. Everything is asked for when it is
/// needed, and may be asked for again.
pub trait Context {
    /// A text of the context, by its member: [`Member::RequestMethod`],
    /// [`Member::LastErrorReason`], [`Member::ApiId`] and so on. `None` is `null`.
    fn text(&self, member: Member) -> Option<Arc<str>>;

    /// Whether a part is there: [`Type::IResponse`], [`Type::LastError`],
    /// [`Type::IUser`], [`Type::IProduct`] and so on. What is not is `null`.
    fn has(&self, part: Type) -> bool;

    /// The response's status.
    fn status(&self) -> u16;

    /// A variable; `None` if there is none of that name. Errors:
    /// [`Secret`](super::Exception::Secret) if it holds one.
    fn variable(&self, name: &str) -> Outcome<Option<Value>>;

    /// Whether there is a variable of that name, also one that holds a secret.
    fn has_variable(&self, name: &str) -> bool;

    /// How many variables there are.
    fn variables(&self) -> usize;

    /// The values of an entry; `None` if there is none of that name.
    fn list(&self, of: ListsOf, name: &str) -> Option<Vec<Arc<str>>>;

    /// How many entries there are.
    fn lists(&self, of: ListsOf) -> usize;

    /// A parameter of the operation's template.
    fn parameter(&self, name: &str) -> Option<String>;

    /// How many there are.
    fn parameters(&self) -> usize;

    /// A URL's parts; `None` is `null`.
    fn url(&self, of: UrlOf) -> Option<Url>;

    /// Whether there is such a URL. Asked of each one that an expression names, whatever
    /// it wants of it: worth an answer that does not make its parts.
    fn has_url(&self, of: UrlOf) -> bool {
        self.url(of).is_some()
    }

    /// The path of one, which is nearly always all that is wanted.
    fn url_path(&self, of: UrlOf) -> Option<Arc<str>> {
        self.url(of).map(|url| url.path.into())
    }

    /// A body; `None` if there is none. Unless it is preserved, it is not there
    /// afterwards. Errors: [`InvalidOperation`](super::Exception::InvalidOperation)
    /// if it was read before.
    fn body(&self, of: Type, preserve: bool) -> Outcome<Option<Vec<u8>>>;

    /// `context.RequestId`.
    fn request_id(&self) -> u128;

    /// How long this request has taken, in ticks of 100 ns.
    fn elapsed(&self) -> i64;

    /// When it came, in ticks of 100 ns since the year 1, UTC.
    fn timestamp(&self) -> i64;

    /// Now, in ticks of 100 ns since the year 1, UTC.
    fn now(&self) -> i64;

    /// Bits that nobody can guess. Errors: there are no more of them.
    fn random(&self) -> Outcome<u64>;

    /// Whether somebody traces.
    fn tracing(&self) -> bool {
        false
    }

    /// Takes a message of `context.Trace`.
    fn trace(&self, message: &str);
}
