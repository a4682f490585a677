//! One request's way over a connection: the right to it, the request written, the
//! head of the answer, and the connection back in its pool when the answer has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::{HOST, TE};
use http::{Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::answer::MAX_INTERIM;
use crate::connect::{Http1, Http2};
use crate::pool::Pool;
use crate::request_body::RequestBody;

/// A connection whose request is still being written when the answer has ended
/// gets this long before it is closed.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The way of one request: a connection, and the right to it.
pub(crate) enum Line {
    Http1(Http1, OwnedSemaphorePermit),
    /// Not for a second request.
    Upgrade(Http1, OwnedSemaphorePermit),
    Http2(Http2, Ride),
}

/// One request's place on an HTTP/2 connection.
pub(crate) struct Ride {
    /// None while it is being dropped.
    pub(crate) room: Option<Arc<OwnedSemaphorePermit>>,
    pub(crate) pool: Arc<Pool>,
}

impl Drop for Ride {
    fn drop(&mut self) {
        self.room = None;
        self.pool.changed.notify_one();
    }
}

/// A connection for one request. Dropped without having sent one, it goes back.
pub(crate) struct Connection {
    /// None once it is being used.
    pub(crate) line: Option<Line>,
    pub(crate) reused: bool,
    pub(crate) pool: Arc<Pool>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(Line::Http1(sender, _room)) = self.line.take()
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
    /// It closed later, before an answer.
    Closed,
    /// It brought something else than an answer.
    Malformed,
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
    ) -> Result<(Response<Incoming>, Lease), Unsent> {
        match self.line.take() {
            Some(Line::Http1(mut sender, room)) => {
                let answer = self.send_http1(&mut sender, request).await?;
                let pool = Arc::clone(&self.pool);
                let held = Some((sender, pool));
                Ok((answer, Lease::Http1 { held, _room: room }))
            }
            Some(Line::Upgrade(mut sender, room)) => {
                let answer = self.send_http1(&mut sender, request).await?;
                let held = None;
                Ok((answer, Lease::Http1 { held, _room: room }))
            }
            Some(Line::Http2(mut http2, ride)) => {
                request.headers_mut().remove(HOST);
                *request.version_mut() = Version::HTTP_2;
                match http2.sender.try_send_request(request).await {
                    Ok(answer) => Ok((answer, Lease::Http2 { _ride: ride })),
                    Err(error) => Err(unsent(error, None)),
                }
            }
            // A connection is given away once, by this function, which consumes it.
            None => Err(Unsent::Untouched(Box::new(request))),
        }
    }

    async fn send_http1(
        &self,
        sender: &mut Http1,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unsent> {
        let origin = request.uri().path_and_query().cloned().map(Uri::from);
        let whole = std::mem::replace(request.uri_mut(), origin.unwrap_or_default());
        let headers = request.headers_mut();
        headers.insert(HOST, self.pool.opener.route.host_header());
        // Trailers of HTTP/1 have to be announced, and few announce them.
        headers.remove(TE);
        *request.version_mut() = Version::HTTP_11;
        let flood = Interim::watch(&mut request);
        tokio::select! {
            biased;
            answer = sender.try_send_request(request) => {
                answer.map_err(|error| unsent(error, Some(whole)))
            }
            () = flood.too_many() => Err(Unsent::Malformed),
        }
    }
}

/// Counts the interim answers (1xx) to a request, of which none is passed on. An
/// HTTP/1 backend could send them for ever.
#[derive(Default)]
struct Interim {
    count: AtomicU32,
    too_many: Notify,
}

impl Interim {
    fn watch(request: &mut Request<RequestBody>) -> Arc<Self> {
        let interim = Arc::new(Self::default());
        let counter = Arc::clone(&interim);
        hyper::ext::on_informational(request, move |_| {
            if counter.count.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM {
                counter.too_many.notify_one();
            }
        });
        interim
    }

    async fn too_many(&self) {
        self.too_many.notified().await;
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
        None if error.error().is_parse() => Unsent::Malformed,
        None => Unsent::Closed,
    }
}

/// The right to use a connection until the answer on it has ended.
pub(crate) enum Lease {
    Http1 {
        /// None if the connection is not for another request.
        held: Option<(Http1, Arc<Pool>)>,
        _room: OwnedSemaphorePermit,
    },
    Http2 {
        _ride: Ride,
    },
}

impl Lease {
    /// Puts the connection back. Dropping the lease of an HTTP/1 connection instead
    /// closes it.
    pub(crate) fn give_back(self) {
        let Self::Http1 {
            held: Some((mut sender, pool)),
            _room,
        } = self
        else {
            return;
        };
        if sender.is_ready() {
            // Before the room is free: who gets it finds the connection.
            pool.put(sender);
        } else if !sender.is_closed() {
            // Its task has not come round yet, or the request is still being
            // written.
            tokio::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(DRAIN_TIME, sender.ready()).await {
                    pool.put(sender);
                }
                drop(_room);
            });
        }
    }
}
