//! What goes wrong on the way to a source. No variant holds text: neither what was
//! sent nor what a source answered may end up in an error.

use crate::error::Stage;
use crate::route::RouteError;

/// Why a profile makes no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceSetupError {
    /// Not `https://host[:port]`.
    #[error("not a URL of the form https://host[:port]")]
    Malformed,
    /// `user:password@`.
    #[error("the URL of a source has no user name or password; its own settings say how to log in")]
    UserInfo,
    /// `?…` or `#…`.
    #[error("the URL of a source has no query and no fragment")]
    Query,
    /// Something else in it is as no route's may be.
    #[error(transparent)]
    Url(RouteError),
    /// An address at which a platform serves credentials, where a source's own
    /// address was expected.
    #[error(
        "this address belongs to the platform's own service, which is asked for identities and nothing else"
    )]
    Platform,
    /// A platform's endpoint must be an address of this machine or a platform's own.
    #[error(
        "a platform's identity endpoint is http:// to 127.0.0.1, [::1], localhost or a link-local address"
    )]
    NotPlatform,
    /// No origin was named, so that nothing could be asked.
    #[error("a source needs at least one address to ask")]
    NoOrigin,
    /// The certificate authorities can't be read.
    #[error("the certificate authorities hold no usable PEM certificate")]
    Roots,
    /// The system's authorities are trusted and the system has none.
    #[error("this system has no certificate authorities; name a file of them")]
    SystemRoots,
    /// The cryptographic provider refused its own defaults.
    #[error("TLS can't be set up: the cryptographic provider supports no usable protocol")]
    Provider,
}

impl From<RouteError> for SourceSetupError {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Malformed => Self::Malformed,
            RouteError::UserInfo => Self::UserInfo,
            RouteError::Query => Self::Query,
            other => Self::Url(other),
        }
    }
}

/// Why [`SourceClient::send`](crate::source::SourceClient::send) returned no
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceTransportError {
    /// The request is for an origin that the profile does not name. Nothing was
    /// sent, and nothing was looked up.
    #[error("the request is for a host that is not pinned for this source")]
    NotPinned,
    /// The method, the path or a header can't be sent as it is. Nothing was sent.
    #[error("the request can't be sent as it is")]
    Invalid,
    /// No connection came about. Nothing of the request was sent.
    #[error("the source could not be reached: {0}")]
    Unreachable(Stage),
    /// The exchange took longer than it may. The source may have acted on it.
    #[error("the source did not answer in time")]
    TimedOut,
    /// The source broke the connection off, or answered with something that is not
    /// HTTP, is ambiguous, or comes in an encoding that was not asked for.
    #[error("the source's answer could not be used")]
    Protocol,
    /// The answer's body is longer than the profile allows.
    #[error("the source's answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}
