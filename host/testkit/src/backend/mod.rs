//! Backends that are pretended: nobody listens anywhere. A connection is a pipe in
//! memory, at whose other end stands a server that speaks real HTTP under real TLS.

mod answer;
mod certificates;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use keyward::egress::{Connect, DialFuture, Stream};
use tokio_rustls::TlsAcceptor;

pub(crate) use answer::joined;
pub(crate) use certificates::Certificates;

use crate::hostile::Memories;
use crate::run::ObservedCall;
use crate::suite::{Backend, Fault, RouteSection, Suite};
use crate::world::{Clock, address_of};

/// Bytes that a pipe holds in either direction.
const PIPE_BYTES: usize = 64 << 10;

/// The backends of one case.
pub(crate) struct Backends {
    routes: Vec<RouteSection>,
    answers: Vec<(Backend, AtomicU32)>,
    clock: Clock,
    began: Instant,
    acceptors: Vec<TlsAcceptor>,
    /// What arrived since this was last asked.
    calls: Mutex<Vec<ObservedCall>>,
    /// What echoes keep from one request to the next.
    kept: Mutex<Memories>,
}

impl Backends {
    pub(crate) fn new(
        suite: &Suite,
        answers: Vec<Backend>,
        clock: Clock,
        certificates: &Certificates,
    ) -> Self {
        Self {
            routes: suite.routes.clone(),
            answers: answers
                .into_iter()
                .map(|answer| (answer, AtomicU32::new(0)))
                .collect(),
            clock,
            began: Instant::now(),
            acceptors: certificates.acceptors().to_vec(),
            calls: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    pub(crate) fn connector(self: Arc<Self>) -> Connector {
        Connector(self)
    }

    /// What arrived since this was last asked, in order.
    pub(crate) fn take_calls(&self) -> Vec<ObservedCall> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// When it all began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether an answer may be given again; counts it.
    fn spend(answer: &(Backend, AtomicU32)) -> bool {
        let (answer, given) = answer;
        answer
            .times
            .is_none_or(|times| given.fetch_add(1, Ordering::Relaxed) < times)
    }

    fn is_spent(answer: &(Backend, AtomicU32)) -> bool {
        let (answer, given) = answer;
        answer
            .times
            .is_some_and(|times| given.load(Ordering::Relaxed) >= times)
    }

    /// Whether nobody takes connections at a route now: where the next answer, whatever
    /// the request, is that.
    fn refuses(&self, route: &RouteSection) -> bool {
        let mut answers = self.answers.iter();
        let next = answers.find(|answer| {
            let of = answer.0.route.as_ref();
            of.is_none_or(|of| *of == route.name) && !Self::is_spent(answer)
        });
        next.is_some_and(|next| {
            next.0.answer.fault == Some(Fault::Refused)
                && next.0.matches.is_any()
                && Self::spend(next)
        })
    }
}

/// Dials the backends of a case.
pub(crate) struct Connector(Arc<Backends>);

impl Connect for Connector {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        Box::pin(async move {
            let backends = &self.0;
            let mut routes = backends.routes.iter().enumerate();
            let found = routes.find(|(place, route)| address_of(*place, route) == address);
            let Some((place, route)) = found else {
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            if backends.refuses(route) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let tls = match route.url.starts_with("http://") {
                true => None,
                false => backends.acceptors.get(place).cloned(),
            };
            tokio::spawn(service::serve(Arc::clone(backends), place, theirs, tls));
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}
