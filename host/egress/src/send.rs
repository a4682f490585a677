//! Sending a request to a route: the one function in which secrets are written.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use keyward_names::RouteName;
use keyward_vault::{AttachError, Found, Guard, Ledger, Notes, Target, Vault, Watch};
use tokio_rustls::TlsConnector;

use crate::again::{self, Again, MAX_KEPT_BYTES, Refresh};
use crate::answer;
use crate::body::{AnswerBody, Body, BodyError, empty};
use crate::connect::{self, Opener, SystemRoots};
use crate::decode::Decoding;
use crate::dialer::Dialer;
use crate::error::{EgressError, SetupError, Stage};
use crate::headers;
use crate::patient::Patient;
use crate::pool::{Connection, Lease, Pool, Unsent};
use crate::request_body::{Progress, RequestBody, Trailers};
use crate::route::{Route, Scheme};
use crate::search::Search;
use crate::timeouts::Timeouts;

/// How old the check of a note may be when the request is written: a withdrawn
/// grant is dead within a second.
const CHECK_HOLDS: Duration = Duration::from_millis(900);

/// How long the head of a guarded answer waits for the first part of its body.
const PEEK: Duration = Duration::from_millis(10);

/// How much of an answer is read that nobody gets, in bytes, and for how long.
const DRAIN_BYTES: u64 = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The routes, their connections, and the vault whose secrets may be written into
/// what goes there.
pub struct Egress {
    routes: HashMap<RouteName, Destination>,
    vault: Arc<Vault>,
    dialer: Dialer,
    /// Shared with those that are made from this one.
    refresh: Arc<OnceLock<Arc<dyn Refresh>>>,
}

#[derive(Clone)]
struct Destination {
    route: Arc<Route>,
    plain: Arc<Pool>,
    credentialed: Arc<Pool>,
    /// What was sent there of late.
    watch: Arc<Watch>,
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
    /// The protocol to switch to, such as `websocket`, where the client asked for
    /// one that it may use.
    pub upgrade: Option<HeaderValue>,
}

impl Egress {
    /// Prepares `routes`, without connecting to any. Reads the system's
    /// certificate authorities if a route trusts them.
    pub fn new(
        routes: impl IntoIterator<Item = Route>,
        vault: Arc<Vault>,
    ) -> Result<Self, SetupError> {
        Self::with_dialer(routes, vault, Dialer::default())
    }

    /// Like [`Egress::new`], with names looked up and addresses dialled in another
    /// way than the system's.
    pub fn with_dialer(
        routes: impl IntoIterator<Item = Route>,
        vault: Arc<Vault>,
        dialer: Dialer,
    ) -> Result<Self, SetupError> {
        let none = HashMap::new();
        Self {
            routes: none,
            vault,
            dialer,
            refresh: Arc::default(),
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
                None => Destination::new(route, &system, &self.dialer, &self.vault)?,
            };
            if opened.insert(name.clone(), destination).is_some() {
                return Err(SetupError::DuplicateRoute(name));
            }
        }
        Ok(Self {
            routes: opened,
            vault: Arc::clone(&self.vault),
            dialer: self.dialer.clone(),
            refresh: Arc::clone(&self.refresh),
        })
    }

    /// Has secrets fetched again with this, when a backend answers 401 and a grant
    /// says `retry-on-401`. Counts for those that were made from this one, too, and
    /// for good: only the first call has an effect. Without it, a request is sent
    /// again if the vault has another version by then.
    ///
    /// What it holds of the vault it should hold weakly, since it is held here.
    pub fn refresh_with(&self, refresh: Arc<dyn Refresh>) {
        self.refresh.get_or_init(|| refresh);
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
    /// 0.9 s when the record is durable no longer counts. Where a value of class B or
    /// C is written, or was sent to that host within the last 24 hours by whomever,
    /// the answer is asked for as a whole and in no encoding (or one that the grants
    /// have decoded), its head is searched before this returns, its body as it passes,
    /// and its trailers at its end. Where a grant says `status-only`, nothing else of
    /// the answer is passed on.
    ///
    /// Where `upgrade` names a protocol, the request goes out over an HTTP/1.1
    /// connection of its own. If the backend switches, the answer's status is 101
    /// and its extensions hold a [`hyper::upgrade::OnUpgrade`]; its `connection` and
    /// `upgrade` headers are for the caller to write. Beside a value of class B or C
    /// this is denied.
    ///
    /// Where a grant says `retry-on-401` and the backend answers so, the secret is
    /// fetched again ([`Refresh`]), and the request sent once more if there is another
    /// version then: if its body has at most 64 KiB and its length was known, or was
    /// held in memory for a signature. All of the above holds for the second request
    /// as for the first; the second answer is the one that is passed on.
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
            upgrade,
        } = outgoing;
        let destination = self.routes.get(&name).ok_or(EgressError::UnknownRoute)?;
        let route = &*destination.route;
        let timeouts = route.timeouts();
        let credentialed = !notes.is_empty();

        // The final head, but for what is attached.
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(EgressError::Invalid);
        }
        // What comes back after the switch is not HTTP, and nothing searches it.
        if upgrade.is_some() && notes.carry_a_value() {
            return Err(EgressError::Denied);
        }
        head.uri = route.address(&head.uri)?;
        headers::strip_request(&mut head.headers);
        if credentialed {
            headers::strip_beside_a_credential(&mut head.headers);
        }

        let replay = match upgrade {
            None => notes.replay(&head.method),
            Some(_) => None,
        };
        // The body, in memory only if it is to be signed or may be sent twice: as much
        // of it as takes the client's time comes before the checks.
        let body = match notes.needs_body() {
            Some(limit) => Box::pin(RequestBody::whole(body, limit, timeouts.request_body)).await?,
            None if replay.is_some() && again::is_short(&body) => {
                let patience = timeouts.request_body;
                Box::pin(RequestBody::whole(body, MAX_KEPT_BYTES, patience)).await?
            }
            None if credentialed => RequestBody::stream(body, Trailers::Drop),
            None => RequestBody::stream(body, Trailers::Pass),
        };
        let again = replay.and_then(|replay| Again::keep(replay, &head, &body));

        let parts = (head, body, notes);
        let upgraded = upgrade.as_ref();
        let (mut answer, mut lease, mut guard) = self
            .once(&name, destination, parts, upgraded, ledger)
            .await?;
        if let Some(again) = again
            && Again::is_for(answer.status())
        {
            let refresh = self.refresh.get().map(Arc::as_ref);
            let renewed = Box::pin(again.renew(&self.vault, refresh, ledger)).await;
            if let Some(parts) = renewed {
                drain(answer.into_body(), lease, &guard);
                (answer, lease, guard) =
                    Box::pin(self.once(&name, destination, parts, None, ledger)).await?;
            }
        }
        if let Some(protocol) = upgrade
            && answer.status() == StatusCode::SWITCHING_PROTOCOLS
        {
            return switched(answer, &protocol, &guard);
        }
        let answer = guarded(answer, Some(lease), guard).await?;
        if http_body::Body::is_end_stream(answer.body()) {
            return Ok(answer);
        }
        Ok(answer.map(|body| Patient::new(body, timeouts.body).boxed_unsync()))
    }

    /// Sends a request whose head is final but for what is attached.
    async fn once(
        &self,
        name: &RouteName,
        destination: &Destination,
        (mut head, body, notes): (http::request::Parts, RequestBody, Notes),
        upgrade: Option<&HeaderValue>,
        ledger: &mut Ledger,
    ) -> Result<(Response<Incoming>, Lease, Guard), EgressError> {
        let route = &*destination.route;
        let credentialed = !notes.is_empty();
        let pool = destination.pool(credentialed);

        // That a connection is opened may depend on what was used, so the record
        // comes before it too. It may take seconds, so it comes before the checks.
        let waiting = if upgrade.is_none() {
            pool.waiting()
        } else {
            None
        };
        let connection = match waiting {
            Some(connection) => connection,
            None => {
                settle(ledger).await?;
                let opened = match upgrade {
                    // Seldom, and large: not a part of every request's future.
                    None => Box::pin(pool.open()).await,
                    Some(_) => Box::pin(pool.open_for_upgrade()).await,
                };
                opened.map_err(EgressError::Unreachable)?
            }
        };

        let checked_at = Instant::now();
        let guard = if credentialed {
            self.attach(name, notes, &mut head, body.bytes(), ledger, checked_at)
                .await?
        } else {
            settle(ledger).await?;
            let guard = destination.watch.guard(ledger);
            guard.ask_for_readable(&mut head.headers);
            guard
        };
        if let Some(protocol) = upgrade {
            let switch = HeaderValue::from_static("upgrade");
            head.headers.insert(CONNECTION, switch);
            head.headers.insert(UPGRADE, protocol.clone());
        }

        let progress = body.progress();
        let request = Request::from_parts(head, body);
        let answer = exchange(
            connection,
            pool,
            request,
            Another {
                deadline: credentialed.then(|| checked_at + CHECK_HOLDS),
                retries: if credentialed || upgrade.is_some() {
                    0
                } else {
                    route.retries()
                },
                may_reconnect: upgrade.is_none(),
            },
        );
        let (answer, lease) = in_time(answer, progress, route.timeouts()).await?;
        let (head, incoming) = answer.into_parts();
        // Dropped with its connection, so that what follows is nobody's answer.
        if !answer::is_clear(&head) {
            return Err(EgressError::Protocol);
        }
        Ok((Response::from_parts(head, incoming), lease, guard))
    }

    /// Checks the notes against the final head, waits until the uses are durable,
    /// and writes the values. Returns what watches the answer for them.
    async fn attach(
        &self,
        route: &RouteName,
        notes: Notes,
        head: &mut http::request::Parts,
        body: Option<&[u8]>,
        ledger: &mut Ledger,
        checked_at: Instant,
    ) -> Result<Guard, EgressError> {
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
        Ok(guard)
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
    fn new(
        route: Route,
        system: &SystemRoots,
        dialer: &Dialer,
        vault: &Vault,
    ) -> Result<Self, SetupError> {
        let route = Arc::new(route);
        // Each pool has a TLS configuration of its own, and so its own tickets.
        let opener = || {
            let tls = match route.scheme() {
                Scheme::Https => Some(TlsConnector::from(connect::tls(&route, system)?)),
                Scheme::Http => None,
            };
            Ok(Opener {
                route: Arc::clone(&route),
                tls,
                dialer: dialer.clone(),
            })
        };
        Ok(Self {
            plain: Pool::plain(opener()?),
            credentialed: Pool::credentialed(opener()?),
            watch: vault.watch(route.name(), route.authority()),
            route,
        })
    }

    fn pool(&self, credentialed: bool) -> &Arc<Pool> {
        if credentialed {
            &self.credentialed
        } else {
            &self.plain
        }
    }
}

/// When a request may be sent on another connection.
pub(crate) struct Another {
    /// After which the check of what was written no longer counts.
    deadline: Option<Instant>,
    /// How often, if the connection closed after a byte of the request was written.
    retries: u32,
    /// Whether, if it closed before.
    may_reconnect: bool,
}

impl Another {
    /// Where no byte of it was written, and else never.
    pub(crate) fn if_untouched() -> Self {
        Self {
            deadline: None,
            retries: 0,
            may_reconnect: true,
        }
    }
}

/// Writes the request. A connection that had been waiting may turn out to be
/// closed before it takes a byte; then the next one is tried.
pub(crate) async fn exchange(
    mut connection: Connection,
    pool: &Arc<Pool>,
    mut request: Request<RequestBody>,
    mut again: Another,
) -> Result<(Response<Incoming>, Lease), EgressError> {
    loop {
        let reused = connection.is_reused() && again.may_reconnect;
        let copy = (again.retries > 0).then(|| repeatable(&request)).flatten();
        request = match (connection.send(request).await, copy) {
            (Ok(answer), _) => return Ok(answer),
            (Err(Unsent::Untouched(request)), _) if reused => *request,
            (Err(Unsent::Untouched(_)), _) => {
                return Err(EgressError::Unreachable(Stage::Closed));
            }
            (Err(Unsent::Closed), Some(copy)) => {
                again.retries -= 1;
                copy
            }
            (Err(Unsent::Closed | Unsent::Malformed), _) => return Err(EgressError::Protocol),
        };
        connection = match again.deadline {
            None => Box::pin(pool.connection()).await,
            Some(deadline) => {
                let next =
                    tokio::time::timeout_at(deadline.into(), Box::pin(pool.connection())).await;
                // A connection that was there at once comes after the deadline too.
                next.ok()
                    .filter(|_| Instant::now() < deadline)
                    .unwrap_or(Err(Stage::Closed))
            }
        }
        .map_err(EgressError::Unreachable)?;
    }
}

/// The same request once more, if it can be sent twice and mean what it means sent
/// once (RFC 9110, 9.2.2). Only for requests without a credential.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !matches!(request.body(), RequestBody::Whole(None)) {
        return None;
    }
    let mut copy = Request::new(RequestBody::Whole(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Waits for the head of an answer. Time counts from the last part of the request's
/// body: a long upload is not a slow backend.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, EgressError>>,
    progress: Option<Arc<Progress>>,
    timeouts: &Timeouts,
) -> Result<T, EgressError> {
    let start = tokio::time::Instant::now();
    let due = || match &progress {
        // The backend would take more, and the client does not give it.
        Some(progress) if progress.is_waiting() => (
            progress.last().max(start) + timeouts.request_body,
            EgressError::RequestTimedOut,
        ),
        Some(progress) => (
            progress.last().max(start) + timeouts.response,
            EgressError::TimedOut,
        ),
        None => (start + timeouts.response, EgressError::TimedOut),
    };
    let mut answer = std::pin::pin!(answer);
    loop {
        // The shorter one: which of them counts may change while it waits.
        let soonest = due()
            .0
            .min(tokio::time::Instant::now() + timeouts.request_body);
        match tokio::time::timeout_at(soonest, &mut answer).await {
            Ok(Err(_))
                if progress
                    .as_ref()
                    .is_some_and(|progress| progress.is_broken()) =>
            {
                return Err(EgressError::RequestBody);
            }
            Ok(answer) => return answer,
            Err(_) => {
                let (deadline, error) = due();
                if deadline <= tokio::time::Instant::now() {
                    return Err(error);
                }
            }
        }
    }
}

/// An answer that switches protocols, as it was asked to: the connection is found in
/// its extensions, as a [`hyper::upgrade::OnUpgrade`].
fn switched(
    mut answer: Response<Incoming>,
    protocol: &HeaderValue,
    guard: &Guard,
) -> Result<Response<Body>, EgressError> {
    guard
        .check_headers(answer.headers())
        .map_err(|_| EgressError::Reflected)?;
    let mut chosen = answer.headers().get_all(UPGRADE).iter();
    let is_asked =
        |chosen: &HeaderValue| chosen.as_bytes().eq_ignore_ascii_case(protocol.as_bytes());
    if !chosen.next().is_some_and(is_asked) || chosen.next().is_some() {
        return Err(EgressError::Protocol);
    }
    let connection = hyper::upgrade::on(&mut answer);
    let (mut head, _) = answer.into_parts();
    headers::strip_response(&mut head.headers);
    head.extensions.clear();
    head.extensions.insert(connection);
    Ok(Response::from_parts(head, empty()))
}

/// Passes an answer through the guard: its head now, its body as it is read. What
/// of the body comes right with the head is searched before the head goes on, so
/// that a short answer that holds a value is refused as a whole.
async fn guarded(
    answer: Response<Incoming>,
    lease: Option<Lease>,
    mut guard: Guard,
) -> Result<Response<Body>, EgressError> {
    let (mut head, incoming) = answer.into_parts();
    // Nothing here asks to switch protocols.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(EgressError::Protocol);
    }
    if guard.is_status_only() {
        return Ok(status_of(&head, incoming, lease, &guard));
    }
    guard
        .check_head(&head)
        .map_err(|reflected| match reflected.found {
            Found::Value => EgressError::Reflected,
            // Not asked for, and nothing can be found in it.
            Found::Encoded | Found::Partial => EgressError::Protocol,
        })?;
    let search = match Decoding::of(&head.headers) {
        Ok(Some(decoding)) if !guard.is_empty() => Search::encoded(&guard, decoding),
        Err(_) if !guard.is_empty() => return Err(EgressError::Protocol),
        // Nothing is looked for as yet; if that changes while the body comes, it can
        // only be searched if it is plain and whole.
        decoding => {
            let is_whole = head.status != StatusCode::PARTIAL_CONTENT;
            Search::plain(&guard, is_whole && matches!(decoding, Ok(None)))
        }
    };
    headers::strip_response(&mut head.headers);
    // A reason phrase is the backend's text, in a place that nothing searches.
    head.extensions.clear();
    let mut body = AnswerBody::new(incoming, lease, search);
    if !guard.is_empty() && !is_event_stream(&head.headers) {
        body.peek(PEEK).await.map_err(|error| match error {
            BodyError::Reflected => EgressError::Reflected,
            _ => EgressError::Protocol,
        })?;
    }
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// An answer of which only the status is passed on. The rest is read, if it isn't
/// much, for the sake of the connection.
fn status_of(
    head: &http::response::Parts,
    incoming: Incoming,
    lease: Option<Lease>,
    guard: &Guard,
) -> Response<Body> {
    drain(incoming, lease, guard);
    let mut answer = Response::new(empty());
    *answer.status_mut() = head.status;
    answer
}

/// Reads what is left of an answer that nobody gets, if it isn't much, for the sake of
/// the connection.
fn drain(incoming: Incoming, lease: impl Into<Option<Lease>>, guard: &Guard) {
    let body = AnswerBody::new(incoming, lease.into(), Search::plain(guard, false));
    tokio::spawn(tokio::time::timeout(DRAIN_TIME, body.drain(DRAIN_BYTES)));
}

/// Whether the parts of a body may be far apart, so that its head does not wait for
/// the first of them.
fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let starts_with = |text: &[u8]| {
        let start = content_type.and_then(|content_type| content_type.get(..text.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    starts_with(b"text/event-stream") || starts_with(b"application/grpc")
}
