//! Sending a request to a route: the one function in which secrets are written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use keyward_names::RouteName;
use keyward_vault::{AttachError, Found, Guard, Ledger, Notes, Target, Vault};
use tokio_rustls::TlsConnector;

use crate::body::{AnswerBody, Body, BodyError, Progress, RequestBody};
use crate::connect::{self, SystemRoots};
use crate::error::{EgressError, SetupError, Stage};
use crate::headers;
use crate::pool::{Connection, Lease, Pool, Unsent};
use crate::route::{Route, Scheme};

/// How old the check of a note may be when the request is written: a withdrawn
/// grant is dead within a second.
const CHECK_HOLDS: Duration = Duration::from_millis(900);

/// How long the head of a guarded answer waits for the first part of its body.
const PEEK: Duration = Duration::from_millis(10);

/// The routes, their connections, and the vault whose secrets may be written into
/// what goes there.
pub struct Egress {
    routes: HashMap<RouteName, Destination>,
    vault: Arc<Vault>,
}

#[derive(Clone)]
struct Destination {
    route: Arc<Route>,
    plain: Arc<Pool>,
    credentialed: Arc<Pool>,
}

/// A request that is to leave.
pub struct Outgoing {
    /// Where to.
    pub route: RouteName,
    /// Method, path, query and headers. Scheme, host and port are the route's,
    /// whatever stands here.
    pub head: http::request::Parts,
    /// The body; it is streamed, unless a note needs it as a whole.
    pub body: Body,
    /// What policies asked to be attached.
    pub notes: Notes,
}

impl Egress {
    /// Prepares `routes`, without connecting to any. Reads the system's
    /// certificate authorities if a route trusts them.
    pub fn new(
        routes: impl IntoIterator<Item = Route>,
        vault: Arc<Vault>,
    ) -> Result<Self, SetupError> {
        let none = HashMap::new();
        Self {
            routes: none,
            vault,
        }
        .with_routes(routes)
    }

    /// An egress with these routes and the same vault. A route that is equal to one
    /// that is here keeps its connections and its authorities.
    pub fn with_routes(&self, routes: impl IntoIterator<Item = Route>) -> Result<Self, SetupError> {
        let system = SystemRoots::default();
        let mut opened = HashMap::new();
        for route in routes {
            let name = route.name().clone();
            let known = self.routes.get(&name);
            let destination = match known.filter(|known| *known.route == route) {
                Some(known) => known.clone(),
                None => Destination::new(route, &system)?,
            };
            if opened.insert(name.clone(), destination).is_some() {
                return Err(SetupError::DuplicateRoute(name));
            }
        }
        Ok(Self {
            routes: opened,
            vault: Arc::clone(&self.vault),
        })
    }

    /// The routes, in no particular order.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.values().map(|destination| &*destination.route)
    }

    /// The route of that name.
    pub fn route(&self, name: &RouteName) -> Option<&Route> {
        self.routes.get(name).map(|destination| &*destination.route)
    }

    /// Sends a request and waits for the head of the answer; the body follows as
    /// it arrives. Redirects and challenges are answers like any other.
    ///
    /// Before anything leaves, a connection attempt included, all that this
    /// exchange has used so far is durable in the audit trail. Notes are checked
    /// against the final request and the grants then in force, once a connection
    /// and, where it is signed, the body are there; a check that is older than
    /// 0.9 s when the record is durable no longer counts. Where a value of class B or C was written, the answer is asked for
    /// in plain bytes and as a whole, its head is searched for the value before
    /// this returns, its body as it passes, and its trailers are dropped.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    ///
    /// Cancel safety: dropped, it breaks the request off. What was used stays in
    /// the ledger and is recorded all the same.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        ledger: &mut Ledger,
    ) -> Result<Response<Body>, EgressError> {
        let Outgoing {
            route: name,
            mut head,
            body,
            notes,
        } = outgoing;
        let destination = self.routes.get(&name).ok_or(EgressError::UnknownRoute)?;
        let route = &*destination.route;
        let pool = destination.pool(&notes);

        // The final head, but for what is attached.
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(EgressError::Invalid);
        }
        head.uri = route.address(&head.uri)?;
        headers::strip_request(&mut head.headers);
        if !notes.is_empty() {
            headers::strip_overrides(&mut head.headers);
        }

        // The body, in memory only if it is to be signed: as much of it as takes
        // the client's time comes before the checks.
        let body = match notes.needs_body() {
            Some(limit) => RequestBody::whole(body, limit, route.response_timeout()).await?,
            None => RequestBody::stream(body),
        };

        // That a connection is opened may depend on what was used, so the record
        // comes before it too. It may take seconds, so it comes before the checks.
        let connection = match pool.waiting() {
            Some(connection) => connection,
            None => {
                settle(ledger).await?;
                pool.open().await.map_err(EgressError::Unreachable)?
            }
        };

        let checked_at = Instant::now();
        let guard = if notes.is_empty() {
            settle(ledger).await?;
            None
        } else {
            self.attach(&name, notes, &mut head, body.bytes(), ledger, checked_at)
                .await?
        };

        let progress = body.progress();
        let request = Request::from_parts(head, body);
        let deadline =
            Arc::ptr_eq(pool, &destination.credentialed).then(|| checked_at + CHECK_HOLDS);
        let answer = exchange(connection, pool, request, deadline);
        let (answer, lease) = in_time(answer, progress, route.response_timeout()).await?;
        guarded(answer, lease, guard).await
    }

    /// Checks the notes against the final head, waits until the uses are durable,
    /// and writes the values. The guard is none if nothing that was written could
    /// be reflected.
    async fn attach(
        &self,
        route: &RouteName,
        notes: Notes,
        head: &mut http::request::Parts,
        body: Option<&[u8]>,
        ledger: &mut Ledger,
        checked_at: Instant,
    ) -> Result<Option<Guard>, EgressError> {
        let (Some(authority), Some(path_and_query)) =
            (head.uri.authority(), head.uri.path_and_query())
        else {
            return Err(EgressError::Invalid);
        };
        let target = Target {
            route,
            method: &head.method,
            authority: authority.as_str(),
            path_and_query,
        };
        let checked = notes
            .check(&self.vault, ledger, &target)
            .map_err(|_| EgressError::Denied)?;
        let durable = ledger
            .barrier()
            .await
            .map_err(|_| EgressError::AuditUnavailable)?;
        if checked_at.elapsed() > CHECK_HOLDS {
            return Err(EgressError::AuditUnavailable);
        }
        let guard = checked
            .write(&durable, head, body)
            .map_err(|error| match error {
                AttachError::NotDurable => EgressError::AuditUnavailable,
                AttachError::BodyTooLarge { max } => EgressError::BodyTooLarge { limit: max },
                _ => EgressError::Denied,
            })?;
        Ok((!guard.is_empty()).then_some(guard))
    }
}

/// Waits until all that the exchange has used is durable in the audit trail.
async fn settle(ledger: &mut Ledger) -> Result<(), EgressError> {
    if !ledger.is_settled() {
        ledger
            .barrier()
            .await
            .map_err(|_| EgressError::AuditUnavailable)?;
    }
    Ok(())
}

impl Destination {
    fn new(route: Route, system: &SystemRoots) -> Result<Self, SetupError> {
        let route = Arc::new(route);
        let tls = || match route.scheme() {
            Scheme::Https => connect::tls(&route, system).map(|tls| Some(TlsConnector::from(tls))),
            Scheme::Http => Ok(None),
        };
        Ok(Self {
            plain: Pool::plain(Arc::clone(&route), tls()?),
            credentialed: Pool::credentialed(Arc::clone(&route), tls()?),
            route,
        })
    }

    fn pool(&self, notes: &Notes) -> &Arc<Pool> {
        if notes.is_empty() {
            &self.plain
        } else {
            &self.credentialed
        }
    }
}

/// Writes the request. A connection that had been waiting may turn out to be
/// closed before it takes a byte; then the next one is tried, until the deadline,
/// after which the check of what was written no longer counts.
async fn exchange(
    mut connection: Connection,
    pool: &Arc<Pool>,
    mut request: Request<RequestBody>,
    deadline: Option<Instant>,
) -> Result<(Response<Incoming>, Option<Lease>), EgressError> {
    loop {
        let reused = connection.is_reused();
        request = match connection.send(request).await {
            Ok(answer) => return Ok(answer),
            Err(Unsent::Untouched(request)) if reused => *request,
            Err(Unsent::Untouched(_)) => return Err(EgressError::Unreachable(Stage::Closed)),
            Err(Unsent::Touched) => return Err(EgressError::Protocol),
        };
        connection = match deadline {
            None => pool.connection().await,
            Some(deadline) => {
                let next = tokio::time::timeout_at(deadline.into(), pool.connection()).await;
                // A connection that was there at once comes after the deadline too.
                next.ok()
                    .filter(|_| Instant::now() < deadline)
                    .unwrap_or(Err(Stage::Closed))
            }
        }
        .map_err(EgressError::Unreachable)?;
    }
}

/// Waits for the head of an answer, at most `patience` after the last part of the
/// request's body was taken.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, EgressError>>,
    progress: Option<Arc<Progress>>,
    patience: Duration,
) -> Result<T, EgressError> {
    let mut answer = std::pin::pin!(answer);
    let mut deadline = tokio::time::Instant::now() + patience;
    loop {
        match tokio::time::timeout_at(deadline, &mut answer).await {
            Ok(Err(_))
                if progress
                    .as_ref()
                    .is_some_and(|progress| progress.is_broken()) =>
            {
                return Err(EgressError::RequestBody);
            }
            Ok(answer) => return answer,
            Err(_) => {
                let next = progress
                    .as_ref()
                    .map_or(deadline, |progress| progress.last() + patience);
                if next <= deadline {
                    return Err(EgressError::TimedOut);
                }
                deadline = next;
            }
        }
    }
}

/// Passes an answer through the guard: its head now, its body as it is read. What
/// of the body comes right with the head is searched before the head goes on, so
/// that a short answer that holds a value is refused as a whole.
async fn guarded(
    answer: Response<Incoming>,
    lease: Option<Lease>,
    guard: Option<Guard>,
) -> Result<Response<Body>, EgressError> {
    let (mut head, incoming) = answer.into_parts();
    // Nothing here asks to switch protocols.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(EgressError::Protocol);
    }
    let is_guarded = guard.is_some();
    let stream = match guard {
        None => None,
        Some(guard) => {
            guard
                .check_head(&head)
                .map_err(|reflected| match reflected.found {
                    Found::Value => EgressError::Reflected,
                    // Not asked for, and nothing can be found in it.
                    Found::Encoded | Found::Partial => EgressError::Protocol,
                })?;
            Some(guard.stream())
        }
    };
    headers::strip_response(&mut head.headers);
    // A reason phrase is the backend's text, in a place that nothing searches.
    head.extensions.clear();
    let mut body = AnswerBody::new(incoming, lease, stream);
    if is_guarded {
        body.peek(PEEK).await.map_err(|error| match error {
            BodyError::Reflected => EgressError::Reflected,
            _ => EgressError::Protocol,
        })?;
    }
    Ok(Response::from_parts(head, body.boxed_unsync()))
}
