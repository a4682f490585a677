//! Sending a request to a route: the one function in which secrets are written.
//!
//! Its steps, each in a file: [`prepare`] with the [`tokens`] that it needs, connect,
//! [`attach`] (check, barrier, signatures of keys that are [`elsewhere`], write),
//! [`exchange`], [`receive`].

mod attach;
mod destination;
mod elsewhere;
mod exchange;
mod fetch;
mod flights;
mod prepare;
mod receive;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use keyward_names::RouteName;
use keyward_vault::{Guard, Ledger, Notes, Vault};

use crate::again::{Again, Refresh};
use crate::answer;
use crate::body::Body;
use crate::connect::SystemRoots;
use crate::connection::{Connection, Lease};
use crate::database::{Databases, Reached};
use crate::dialer::Dialer;
use crate::error::{EgressError, SetupError};
use crate::identity::showing;
use crate::patient::Patient;
use crate::pool::Pool;
use crate::request_body::RequestBody;
use crate::route::Route;
use attach::{CHECK_HOLDS, Shown, attach, settle, shown};
use destination::Destination;
use flights::Flights;
use receive::{drain, guarded, switched};
use tokens::obtain;

pub use elsewhere::RemoteSigner;
pub(crate) use exchange::{Another, exchange, in_time};
pub(crate) use prepare::Prepared;

/// The routes, their connections, and the vault whose secrets may be written into
/// what goes there.
pub struct Egress {
    routes: HashMap<RouteName, Destination>,
    vault: Arc<Vault>,
    dialer: Dialer,
    /// Shared with those that are made from this one.
    refresh: Arc<OnceLock<Arc<dyn Refresh>>>,
    /// The same.
    flights: Arc<Flights>,
    /// Where keys sign that are not here.
    signer: Option<Arc<dyn RemoteSigner>>,
    /// The connections to databases, shared likewise.
    databases: Arc<Databases>,
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
            flights: Arc::default(),
            signer: None,
            databases: Arc::default(),
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
            flights: Arc::clone(&self.flights),
            signer: self.signer.clone(),
            databases: Arc::clone(&self.databases),
        })
    }

    /// The same egress, where what is signed by keys which stay in their
    /// sources is signed through this. Without it, such requests are refused as
    /// [`EgressError::SecretUnavailable`].
    #[must_use]
    pub fn signing_through(mut self, signer: Arc<dyn RemoteSigner>) -> Self {
        self.signer = Some(signer);
        self
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

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }

    pub(crate) fn refresh(&self) -> Option<&dyn Refresh> {
        self.refresh.get().map(Arc::as_ref)
    }

    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }

    /// What connections to the database of that route are opened with.
    pub(crate) fn database(&self, name: &RouteName) -> Option<Reached> {
        self.routes.get(name)?.database()
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
    /// Where a key signs that stays in its source, that is asked once the record is
    /// durable ([`RemoteSigner`]), and has what is left of the 0.9 s; for a token's
    /// request, and for a connection on which its certificate is shown, 0.9 s before.
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
    /// Where a note needs a token, that is had first: one that is at hand, or one that is
    /// fetched from the token endpoint of its grant, once that is on record. Without a
    /// token nothing is sent. After a 401 (`retry-on-401`) it is another one.
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
            head,
            body,
            notes,
            upgrade,
        } = outgoing;
        let destination = self.routes.get(&name).ok_or(EgressError::UnknownRoute)?;
        let route = &*destination.route;
        let upgraded = upgrade.as_ref();
        let (prepared, again) =
            Prepared::new(self, destination, (head, body, notes), upgraded, ledger).await?;
        let (mut answer, mut lease, mut guard) =
            self.once(destination, prepared, upgraded, ledger).await?;
        if let Some(again) = again
            && Again::is_for(answer.status())
        {
            let refresh = self.refresh.get().map(Arc::as_ref);
            let renewed = Box::pin(again.renew(&self.vault, refresh, ledger)).await;
            let renewed = Box::pin(self.with_tokens(destination, renewed, ledger)).await;
            if let Some(prepared) = renewed {
                drain(answer.into_body(), lease, &guard);
                (answer, lease, guard) =
                    Box::pin(self.once(destination, prepared, None, ledger)).await?;
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
        let patience = route.timeouts().body;
        Ok(answer.map(|body| Patient::new(body, patience).boxed_unsync()))
    }

    /// The request that is tried once more, with its tokens; none if they can't be had:
    /// then the answer that there is is passed on.
    async fn with_tokens(
        &self,
        destination: &Destination,
        renewed: Option<Prepared>,
        ledger: &mut Ledger,
    ) -> Option<Prepared> {
        let mut prepared = renewed?;
        let Prepared { head, notes, .. } = &mut prepared;
        let obtained = obtain(self, destination, head, notes, ledger).await;
        obtained.ok().map(|()| prepared)
    }

    /// Sends a request that is final but for what is attached.
    async fn once(
        &self,
        destination: &Destination,
        prepared: Prepared,
        upgrade: Option<&HeaderValue>,
        ledger: &mut Ledger,
    ) -> Result<(Response<Incoming>, Lease, Guard), EgressError> {
        let Prepared {
            mut head,
            mut body,
            mut notes,
        } = prepared;
        let route = &*destination.route;
        let credentialed = !notes.is_empty();
        let shown = shown(&self.vault, destination, &mut notes, &head, ledger)?;
        let pool = match &shown {
            Some(shown) => &shown.pool,
            None => destination.pool(credentialed),
        };
        let connection = match &shown {
            Some(shown) => {
                let opened = connect_showing(shown, upgrade.is_some(), ledger, &self.signer);
                Box::pin(opened).await?
            }
            None => connect(pool, upgrade.is_some(), ledger).await?,
        };

        let checked_at = Instant::now();
        let guard = if credentialed {
            let bytes = body.bytes();
            let signer = self.signer.as_deref();
            let written = attach(
                (&self.vault, signer),
                destination,
                notes,
                &mut head,
                bytes,
                ledger,
                (checked_at, shown.as_ref().map(|shown| shown.identity)),
            )
            .await?;
            if let Some(written) = written.body {
                body = RequestBody::Whole(Some(written));
            }
            written.guard
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
        let answer = in_time(answer, progress, route.timeouts());
        let (answer, lease) = match &shown {
            // It may open another connection.
            Some(shown) => {
                let right = Box::pin(shown.right(ledger, self.signer.as_ref())).await?;
                Box::pin(showing(right, answer)).await?
            }
            None => answer.await?,
        };
        let (head, incoming) = answer.into_parts();
        // Dropped with its connection, so that what follows is nobody's answer.
        if !answer::is_clear(&head) {
            return Err(EgressError::Protocol);
        }
        Ok((Response::from_parts(head, incoming), lease, guard))
    }
}

/// A connection on which a certificate is shown, as [`connect`] has one.
async fn connect_showing(
    shown: &Shown,
    upgrade: bool,
    ledger: &mut Ledger,
    signer: &Option<Arc<dyn RemoteSigner>>,
) -> Result<Connection, EgressError> {
    if !upgrade && let Some(connection) = shown.pool.waiting() {
        return Ok(connection);
    }
    settle(ledger).await?;
    let right = shown.right(ledger, signer.as_ref()).await?;
    let opened = showing(right, open(&shown.pool, upgrade)).await;
    opened.map_err(|error| match (shown.may)() {
        true => error,
        // Withdrawn while the connection was being opened.
        false => EgressError::Denied,
    })
}

/// A connection that is waiting, or a new one. That one is opened may depend on what
/// was used, so the record comes before it too. It may take seconds, so it comes before
/// the checks.
async fn connect(
    pool: &Arc<Pool>,
    upgrade: bool,
    ledger: &mut Ledger,
) -> Result<Connection, EgressError> {
    if !upgrade && let Some(connection) = pool.waiting() {
        return Ok(connection);
    }
    settle(ledger).await?;
    open(pool, upgrade).await
}

async fn open(pool: &Arc<Pool>, upgrade: bool) -> Result<Connection, EgressError> {
    let opened = match upgrade {
        // Seldom, and large: not a part of every request's future.
        false => Box::pin(pool.open()).await,
        true => Box::pin(pool.open_for_upgrade()).await,
    };
    opened.map_err(EgressError::from)
}
