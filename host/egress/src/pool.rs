//! Connections that wait for their next request. One pool belongs to one route
//! and to either credentialed or plain requests: what carries a secret never
//! shares a connection with what does not.
//!
//! A connection keeps the head of its last request in its buffer until the next
//! one. Where that head carried a value, an idle connection is closed after ten
//! seconds, by a timer, so that the value doesn't stay in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::header::HOST;
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use crate::body::RequestBody;
use crate::connect::{self, Sender};
use crate::error::Stage;
use crate::route::Route;

/// Idle connections beyond this many are closed.
const MAX_IDLE: usize = 256;
/// An idle connection is not used again after this time.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// An idle connection that carried a value is closed after this time.
const MAX_IDLE_TIME_CREDENTIALED: Duration = Duration::from_secs(10);
/// A connection whose request is still being written when the answer has ended
/// gets this long before it is closed.
const DRAIN_TIME: Duration = Duration::from_secs(5);

type Http1 = http1::SendRequest<RequestBody>;
type Http2 = http2::SendRequest<RequestBody>;

pub(crate) struct Pool {
    route: Arc<Route>,
    tls: Option<TlsConnector>,
    idle: Mutex<Idle>,
    max_idle_time: Duration,
    /// Whether idle connections are closed when their time is over, and not only
    /// when they are next looked at.
    closes: bool,
}

#[derive(Default)]
struct Idle {
    /// The last one used is at the back and goes first, so that connections that
    /// are not needed age at the front.
    http1: VecDeque<(Http1, Instant)>,
    http2: Option<(Http2, Instant)>,
    /// Whether a task waits to close what is idle.
    watched: bool,
}

impl Pool {
    /// For requests that carry nothing.
    pub(crate) fn plain(route: Arc<Route>, tls: Option<TlsConnector>) -> Arc<Self> {
        Arc::new(Self {
            route,
            tls,
            idle: Mutex::default(),
            max_idle_time: MAX_IDLE_TIME,
            closes: false,
        })
    }

    /// For requests that carry a value or a signature.
    pub(crate) fn credentialed(route: Arc<Route>, tls: Option<TlsConnector>) -> Arc<Self> {
        Arc::new(Self {
            route,
            tls,
            idle: Mutex::default(),
            max_idle_time: MAX_IDLE_TIME_CREDENTIALED,
            closes: true,
        })
    }

    /// A connection that waits, or a new one.
    ///
    /// Cancel safety: dropped, it closes a connection that was being opened.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<Connection, Stage> {
        match self.waiting() {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    /// A new connection.
    ///
    /// Cancel safety: dropped, it closes a connection that was being opened.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Connection, Stage> {
        let sender = connect::connect(&self.route, self.tls.as_ref()).await?;
        if let Sender::Http2(sender) = &sender {
            let mut idle = self.lock();
            idle.http2 = Some((sender.clone(), Instant::now()));
            self.watch(&mut idle);
        }
        Ok(Connection {
            sender: Some(sender),
            reused: false,
            pool: Arc::clone(self),
        })
    }

    /// A connection that waits for its next request.
    pub(crate) fn waiting(self: &Arc<Self>) -> Option<Connection> {
        let mut idle = self.lock();
        if let Some((sender, used)) = idle.http2.as_mut() {
            if !sender.is_closed() {
                *used = Instant::now();
                let sender = Sender::Http2(sender.clone());
                return Some(self.reuse(sender));
            }
            idle.http2 = None;
        }
        while let Some((sender, since)) = idle.http1.pop_back() {
            if since.elapsed() > self.max_idle_time {
                // All that are left have waited longer.
                idle.http1.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(self.reuse(Sender::Http1(sender)));
            }
        }
        None
    }

    fn reuse(self: &Arc<Self>, sender: Sender) -> Connection {
        Connection {
            sender: Some(sender),
            reused: true,
            pool: Arc::clone(self),
        }
    }

    fn put(self: &Arc<Self>, sender: Http1) {
        let now = Instant::now();
        let mut idle = self.lock();
        idle.close_since(now.checked_sub(self.max_idle_time));
        if idle.http1.len() >= MAX_IDLE {
            idle.http1.pop_front();
        }
        idle.http1.push_back((sender, now));
        self.watch(&mut idle);
    }

    /// Sees to it that what is idle is closed in time, if this pool does so.
    fn watch(self: &Arc<Self>, idle: &mut Idle) {
        if !self.closes || idle.watched {
            return;
        }
        match Handle::try_current() {
            Ok(runtime) => {
                idle.watched = true;
                runtime.spawn(close_idle(Arc::downgrade(self), self.max_idle_time));
            }
            // What is dropped after its runtime has nobody to close it later.
            Err(_) => *idle = Idle::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        // A list of connections is usable whatever happened to its last holder.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    /// Closes the HTTP/1 connections that have been idle since before that time.
    fn close_since(&mut self, time: Option<Instant>) {
        let over = |since: &Instant| time.is_some_and(|time| *since < time);
        while self.http1.front().is_some_and(|(_, since)| over(since)) {
            self.http1.pop_front();
        }
    }

    /// Closes all connections that have been idle since before that time. An HTTP/2
    /// connection on which an answer is still under way closes after it.
    fn close_all_since(&mut self, time: Option<Instant>) {
        self.close_since(time);
        self.http2
            .take_if(|(_, used)| time.is_some_and(|time| *used < time));
    }

    /// Since when the one that has waited longest is idle.
    fn oldest(&self) -> Option<Instant> {
        let http1 = self.http1.front().map(|(_, since)| *since);
        let http2 = self.http2.as_ref().map(|(_, used)| *used);
        http1.into_iter().chain(http2).min()
    }
}

/// Closes the connections of a pool when they have been idle for long enough.
/// Ends when there is none left, or no pool.
async fn close_idle(pool: Weak<Pool>, max_idle_time: Duration) {
    loop {
        let due = {
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut idle = pool.lock();
            idle.close_all_since(Instant::now().checked_sub(max_idle_time));
            let Some(oldest) = idle.oldest() else {
                idle.watched = false;
                return;
            };
            oldest + max_idle_time
        };
        // A moment later, so that it is over when it is looked at.
        let due = tokio::time::Instant::from_std(due) + Duration::from_millis(10);
        tokio::time::sleep_until(due).await;
    }
}

/// A connection for one request. Dropped without having sent one, it goes back.
pub(crate) struct Connection {
    /// None once it is being used.
    sender: Option<Sender>,
    reused: bool,
    pool: Arc<Pool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Sender::Http1(sender)) = self.sender.take()
            && !sender.is_closed()
        {
            self.pool.put(sender);
        }
    }
}

/// Why a connection brought no answer.
pub(crate) enum Unsent {
    /// It closed before a byte of the request was written. Here is the request.
    Untouched(Box<Request<RequestBody>>),
    /// It closed later.
    Touched,
}

impl Connection {
    /// Whether it had been used before, and so may have been closed meanwhile.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Writes a request, whose URI is whole, and waits for the head of its answer.
    ///
    /// Cancel safety: dropped, it breaks the request off.
    pub(crate) async fn send(
        mut self,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Option<Lease>), Unsent> {
        match self.sender.take() {
            Some(Sender::Http1(mut sender)) => {
                let origin = request.uri().path_and_query().cloned().map(Uri::from);
                let whole = std::mem::replace(request.uri_mut(), origin.unwrap_or_default());
                request
                    .headers_mut()
                    .insert(HOST, self.pool.route.host_header());
                *request.version_mut() = Version::HTTP_11;
                match sender.try_send_request(request).await {
                    Ok(answer) => {
                        let pool = Arc::clone(&self.pool);
                        Ok((answer, Some(Lease { sender, pool })))
                    }
                    Err(error) => Err(unsent(error, Some(whole))),
                }
            }
            Some(Sender::Http2(mut sender)) => {
                request.headers_mut().remove(HOST);
                *request.version_mut() = Version::HTTP_2;
                match sender.try_send_request(request).await {
                    Ok(answer) => Ok((answer, None)),
                    Err(error) => Err(unsent(error, None)),
                }
            }
            // A connection is given away once, by this function, which consumes it.
            None => Err(Unsent::Untouched(Box::new(request))),
        }
    }
}

fn unsent(mut error: TrySendError<Request<RequestBody>>, uri: Option<Uri>) -> Unsent {
    match error.take_message() {
        Some(mut request) => {
            if let Some(uri) = uri {
                *request.uri_mut() = uri;
            }
            Unsent::Untouched(Box::new(request))
        }
        None => Unsent::Touched,
    }
}

/// The right to use an HTTP/1 connection until the answer on it has ended.
pub(crate) struct Lease {
    sender: Http1,
    pool: Arc<Pool>,
}

impl Lease {
    /// Puts the connection back. Dropping the lease instead closes it.
    pub(crate) fn give_back(self) {
        let Self { mut sender, pool } = self;
        if sender.is_ready() {
            pool.put(sender);
        } else if !sender.is_closed() {
            // Its task has not come round yet, or the request is still being
            // written.
            tokio::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(DRAIN_TIME, sender.ready()).await {
                    pool.put(sender);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use keyward_names::RouteName;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_idle_connection_that_carried_a_value_is_closed_and_a_plain_one_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let route = Route::new(RouteName::parse("backend").unwrap(), &url).unwrap();
        let route = Arc::new(route);
        let pool = |closes| {
            Arc::new(Pool {
                route: Arc::clone(&route),
                tls: None,
                idle: Mutex::default(),
                max_idle_time: Duration::from_millis(20),
                closes,
            })
        };
        let (plain, credentialed) = (pool(false), pool(true));
        assert!(Pool::credentialed(Arc::clone(&route), None).closes);
        assert!(!Pool::plain(Arc::clone(&route), None).closes);

        let mut ends = Vec::new();
        for pool in [&plain, &credentialed] {
            // Dropped, it goes back to its pool.
            drop(pool.open().await.unwrap_or_else(|_| panic!("it connects")));
            ends.push(listener.accept().await.unwrap().0);
        }
        let mut byte = [0; 1];
        assert_eq!(ends[1].read(&mut byte).await.unwrap(), 0, "closed");
        assert!(!credentialed.lock().watched, "nothing is left to watch");
        let still = tokio::time::timeout(Duration::ZERO, ends[0].read(&mut byte));
        assert!(still.await.is_err(), "idle for longer, and still open");
        assert_eq!(plain.lock().http1.len(), 1);
    }
}
