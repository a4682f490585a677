//! Asking a source.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::answer;
use crate::connect::{self, Opener, SystemRoots};
use crate::dialer::Dialer;
use crate::error::{EgressError, SetupError};
use crate::headers;
use crate::pool::Pool;
use crate::request_body::RequestBody;
use crate::route::{Route, Scheme};
use crate::send::{Another, exchange, in_time};
use crate::source::body;
use crate::source::error::{SourceSetupError, SourceTransportError};
use crate::source::profile::SourceProfile;

/// Asks the origins of one profile.
pub struct SourceClient {
    origins: Vec<Origin>,
    profile: SourceProfile,
}

struct Origin {
    route: Arc<Route>,
    pool: Arc<Pool>,
}

/// What a source answered. It can't be printed: its body may hold a secret.
pub struct SourceAnswer {
    /// The status, whatever it is: redirects and challenges are answers like any
    /// other.
    pub status: StatusCode,
    /// The headers, without those that describe the connection.
    pub headers: HeaderMap,
    /// All of the body.
    pub body: Zeroizing<Vec<u8>>,
}

impl SourceClient {
    /// Prepares the profile's origins, without connecting to any. Reads the
    /// system's certificate authorities if the profile trusts them.
    pub fn new(profile: SourceProfile) -> Result<Self, SourceSetupError> {
        Self::with_dialer(profile, &Dialer::default())
    }

    /// Like [`SourceClient::new`], with names looked up and addresses dialled in
    /// another way than the system's.
    pub fn with_dialer(profile: SourceProfile, dialer: &Dialer) -> Result<Self, SourceSetupError> {
        let system = SystemRoots::default();
        let mut origins = Vec::new();
        for route in profile.routes() {
            let route = Arc::new(route);
            let tls = match route.scheme() {
                Scheme::Https | Scheme::Postgres => Some(TlsConnector::from(
                    connect::tls(&route, &system).map_err(setup)?,
                )),
                Scheme::Http => None,
            };
            origins.push(Origin {
                // Whatever is asked here carries a token or fetches one.
                pool: Pool::credentialed(Opener {
                    route: Arc::clone(&route),
                    tls,
                    shows: false,
                    dialer: dialer.clone(),
                }),
                route,
            });
        }
        if origins.is_empty() {
            return Err(SourceSetupError::NoOrigin);
        }
        Ok(Self { origins, profile })
    }

    /// What may be asked.
    pub fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    /// Sends a request, whose URI is absolute and of one of the profile's origins,
    /// and returns the whole answer.
    ///
    /// Headers that describe the connection are not taken along, and no content
    /// encoding is asked for. A request that found its connection closed before a
    /// byte of it was written goes out on another; no request is sent twice.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    ///
    /// Cancel safety: dropped, it breaks the request off.
    pub async fn send(
        &self,
        request: Request<Zeroizing<Vec<u8>>>,
    ) -> Result<SourceAnswer, SourceTransportError> {
        timeout(self.profile.deadline(), self.exchange(request))
            .await
            .unwrap_or(Err(SourceTransportError::TimedOut))
    }

    async fn exchange(
        &self,
        request: Request<Zeroizing<Vec<u8>>>,
    ) -> Result<SourceAnswer, SourceTransportError> {
        let origin = self
            .origin(request.uri())
            .ok_or(SourceTransportError::NotPinned)?;
        let (mut head, body) = request.into_parts();
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(SourceTransportError::Invalid);
        }
        head.uri = origin.route.address(&head.uri).map_err(from_egress)?;
        headers::strip_request(&mut head.headers);
        let identity = HeaderValue::from_static("identity");
        head.headers.insert(ACCEPT_ENCODING, identity);
        let body = (!body.is_empty()).then(|| Bytes::from_owner(body));
        let request = Request::from_parts(head, RequestBody::Whole(body));

        let connection = origin
            .pool
            .connection()
            .await
            .map_err(SourceTransportError::Unreachable)?;
        let timeouts = origin.route.timeouts();
        let answer = exchange(connection, &origin.pool, request, Another::if_untouched());
        let (answer, lease) = in_time(answer, None, timeouts).await.map_err(from_egress)?;
        let (mut head, incoming) = answer.into_parts();
        // Dropped with its connection, so that what follows is nobody's answer.
        if !answer::is_clear(&head) || is_encoded(&head.headers) {
            return Err(SourceTransportError::Protocol);
        }
        let body = body::read(incoming, self.profile.max_body(), timeouts.body).await?;
        lease.give_back();
        headers::strip_response(&mut head.headers);
        Ok(SourceAnswer {
            status: head.status,
            headers: head.headers,
            body,
        })
    }

    /// The origin that a URI belongs to: the same scheme, host and port, and no user
    /// name.
    fn origin(&self, uri: &Uri) -> Option<&Origin> {
        let authority = uri.authority()?;
        self.origins.iter().find(|origin| {
            let (scheme, port) = match origin.route.scheme() {
                Scheme::Https => ("https", ":443"),
                Scheme::Http => ("http", ":80"),
                // Nothing is asked over HTTP there.
                Scheme::Postgres => return false,
            };
            let pinned = origin.route.authority();
            let written = authority.as_str();
            let bare = written.strip_suffix(port).unwrap_or(written);
            uri.scheme_str() == Some(scheme)
                && (written.eq_ignore_ascii_case(pinned) || bare.eq_ignore_ascii_case(pinned))
        })
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn setup(error: SetupError) -> SourceSetupError {
    match error {
        SetupError::Roots(_) => SourceSetupError::Roots,
        SetupError::SystemRoots(_) => SourceSetupError::SystemRoots,
        SetupError::DuplicateRoute(_) | SetupError::Provider => SourceSetupError::Provider,
    }
}

fn from_egress(error: EgressError) -> SourceTransportError {
    match error {
        EgressError::Unreachable(stage) => SourceTransportError::Unreachable(stage),
        EgressError::TimedOut | EgressError::RequestTimedOut => SourceTransportError::TimedOut,
        EgressError::Invalid => SourceTransportError::Invalid,
        _ => SourceTransportError::Protocol,
    }
}
