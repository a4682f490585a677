//! Connections that wait for their next request. One pool belongs to one route
//! and to either credentialed or plain requests: what carries a secret never
//! shares a connection with what does not. A route has TLS configurations of its
//! own, so no connection serves another host, whatever its certificate covers.
//!
//! What a connection carries is written into each request, so no connection belongs to
//! a version of a secret: the request after a rotation takes whichever is free and
//! carries the new one. Where a version is the connection's own (a client's
//! certificate in TLS) or outlives a request (a token that was fetched with it), its
//! number has to stand in the key of the pool or of the cache, so that what is left of
//! the old one drains and is never taken again.
//!
//! A pool has at most as many connections as its route says. Who finds all of them
//! in use waits.
//!
//! A connection keeps the head of its last request in its buffer until the next
//! one. Where that head carried a value, an idle connection is closed after ten
//! seconds, by a timer, so that the value doesn't stay in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::connect::{Http1, Http2, Opener, Sender};
use crate::connection::{Connection, Line, Ride};
use crate::error::Stage;

/// Idle connections beyond this many are closed.
const MAX_IDLE: usize = 256;
/// An idle connection that carried a value is closed after this time.
const MAX_IDLE_TIME_CREDENTIALED: Duration = Duration::from_secs(10);
/// How many requests share an HTTP/2 connection at most, before another one is
/// opened; fewer where the backend allows fewer (RFC 9113, 6.5.2).
const MAX_STREAMS: usize = 100;

pub(crate) struct Pool {
    pub(crate) opener: Opener,
    idle: Mutex<Idle>,
    max_idle_time: Duration,
    /// Whether idle connections are closed when their time is over, and not only
    /// when they are next looked at.
    closes: bool,
    /// A permit for each HTTP/1 request and each HTTP/2 connection. An HTTP/1
    /// connection is opened only where none is idle, so that there are never more
    /// of them than permits.
    room: Arc<Semaphore>,
    /// Whether the backend spoke HTTP/2 when last asked. Then connections are opened
    /// one after the other, since one serves many.
    speaks_http2: AtomicBool,
    opening: tokio::sync::Mutex<()>,
    /// Told when an HTTP/2 connection may have come to take another request.
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct Idle {
    /// The last one used is at the back and goes first, so that connections that
    /// are not needed age at the front.
    http1: VecDeque<(Http1, Instant)>,
    http2: Vec<Shared>,
    /// Whether a task waits to close what is idle.
    watched: bool,
}

/// An HTTP/2 connection, with requests on it or not.
struct Shared {
    http2: Http2,
    used: Instant,
    /// One clone here and one for each request on it.
    room: Arc<OwnedSemaphorePermit>,
}

impl Shared {
    /// A request beyond what the backend allows would wait inside the connection,
    /// after its check, for as long as the backend likes.
    fn has_streams_left(&self) -> bool {
        let allowed = self.http2.max_streams().min(MAX_STREAMS);
        Arc::strong_count(&self.room) <= allowed
    }

    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.room) > 1
    }
}

impl Pool {
    /// For requests that carry nothing.
    pub(crate) fn plain(opener: Opener) -> Arc<Self> {
        let max_idle_time = opener.route.timeouts().idle;
        Self::new(opener, max_idle_time, false)
    }

    /// For requests that carry a value or a signature.
    pub(crate) fn credentialed(opener: Opener) -> Arc<Self> {
        let max_idle_time = opener.route.timeouts().idle;
        Self::new(opener, max_idle_time.min(MAX_IDLE_TIME_CREDENTIALED), true)
    }

    fn new(opener: Opener, max_idle_time: Duration, closes: bool) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(opener.route.max_connections()));
        Arc::new(Self {
            opener,
            idle: Mutex::default(),
            max_idle_time,
            closes,
            room,
            speaks_http2: AtomicBool::new(false),
            opening: tokio::sync::Mutex::default(),
            changed: Notify::new(),
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

    /// A new connection, or one that came free while there was no room for a new
    /// one.
    ///
    /// Cancel safety: dropped, it closes a connection that was being opened.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<Connection, Stage> {
        let room = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(room) => room,
            Err(_) => {
                let patience = self.opener.route.timeouts().connect;
                let free = tokio::time::timeout(patience, self.room_or_line()).await;
                match free.map_err(|_| Stage::Busy)? {
                    Free::Line(line) => return Ok(self.reuse(line)),
                    Free::Room(room) => match self.take_http1() {
                        Some(sender) => return Ok(self.reuse(Line::Http1(sender, room))),
                        None => room,
                    },
                }
            }
        };
        // Held until others find what was opened.
        let _turn = match self.turn().await? {
            Turn::Line(line) => return Ok(self.reuse(line)),
            Turn::Open(turn) => turn,
        };
        self.make_room();
        let opened = self.opener.open().await;
        if opened.is_err() {
            // Those who wait for their turn try at once, each for itself.
            self.speaks_http2.store(false, Ordering::Relaxed);
        }
        let line = match opened? {
            Sender::Http1(sender) => {
                self.speaks_http2.store(false, Ordering::Relaxed);
                Line::Http1(sender, room)
            }
            Sender::Http2(http2) => {
                self.speaks_http2.store(true, Ordering::Relaxed);
                let room = Arc::new(room);
                let mut idle = self.lock();
                idle.http2.push(Shared {
                    http2: http2.clone(),
                    used: Instant::now(),
                    room: Arc::clone(&room),
                });
                self.watch(&mut idle);
                drop(idle);
                self.changed.notify_waiters();
                Line::Http2(http2, self.ride(room))
            }
        };
        Ok(Connection {
            line: Some(line),
            reused: false,
            pool: Arc::clone(self),
        })
    }

    /// Waits until nobody else opens a connection that this request could share.
    async fn turn(self: &Arc<Self>) -> Result<Turn<'_>, Stage> {
        if !self.speaks_http2.load(Ordering::Relaxed) {
            return Ok(Turn::Open(None));
        }
        let patience = self.opener.route.timeouts().connect;
        let turn = tokio::time::timeout(patience, self.opening.lock()).await;
        let turn = turn.map_err(|_| Stage::Busy)?;
        if let Some(line) = self.take_http2() {
            return Ok(Turn::Line(line));
        }
        let alone = self.speaks_http2.load(Ordering::Relaxed);
        Ok(Turn::Open(alone.then_some(turn)))
    }

    /// Closes idle connections for which there is no room beside the one that is
    /// about to be opened: their permits are taken.
    fn make_room(&self) {
        let free = self.room.available_permits();
        let mut idle = self.lock();
        while idle.http1.len() > free {
            idle.http1.pop_front();
        }
    }

    /// Waits for room for a connection, or in one that many share.
    async fn room_or_line(self: &Arc<Self>) -> Free {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(line) = self.take_http2() {
                return Free::Line(line);
            }
            tokio::select! {
                room = Arc::clone(&self.room).acquire_owned() => {
                    if let Ok(room) = room {
                        return Free::Room(room);
                    }
                }
                () = changed => {}
            }
        }
    }

    /// A new HTTP/1.1 connection for one request that may switch protocols. It does
    /// not come back.
    ///
    /// Cancel safety: dropped, it closes a connection that was being opened.
    pub(crate) async fn open_for_upgrade(self: &Arc<Self>) -> Result<Connection, Stage> {
        let room = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_| Stage::Busy)?;
        let sender = self.opener.open_for_upgrade().await?;
        Ok(Connection {
            line: Some(Line::Upgrade(sender, room)),
            reused: false,
            pool: Arc::clone(self),
        })
    }

    /// A connection that waits for its next request.
    pub(crate) fn waiting(self: &Arc<Self>) -> Option<Connection> {
        if let Some(line) = self.take_http2() {
            return Some(self.reuse(line));
        }
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let sender = self.take_http1()?;
        Some(self.reuse(Line::Http1(sender, room)))
    }

    fn ride(self: &Arc<Self>, room: Arc<OwnedSemaphorePermit>) -> Ride {
        Ride {
            room: Some(room),
            pool: Arc::clone(self),
        }
    }

    fn take_http2(self: &Arc<Self>) -> Option<Line> {
        let mut idle = self.lock();
        idle.http2.retain(|shared| {
            let rests = !shared.is_in_use() && shared.used.elapsed() > self.max_idle_time;
            !shared.http2.sender.is_closed() && !rests
        });
        let shared = idle
            .http2
            .iter_mut()
            .find(|shared| shared.has_streams_left())?;
        shared.used = Instant::now();
        let ride = self.ride(Arc::clone(&shared.room));
        Some(Line::Http2(shared.http2.clone(), ride))
    }

    fn take_http1(&self) -> Option<Http1> {
        let mut idle = self.lock();
        while let Some((sender, since)) = idle.http1.pop_back() {
            if since.elapsed() > self.max_idle_time {
                // All that are left have waited longer.
                idle.http1.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn reuse(self: &Arc<Self>, line: Line) -> Connection {
        Connection {
            line: Some(line),
            reused: true,
            pool: Arc::clone(self),
        }
    }

    pub(crate) fn put(self: &Arc<Self>, sender: Http1) {
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
            .retain(|shared| time.is_none_or(|time| shared.used >= time));
    }

    /// Since when the one that has waited longest is idle.
    fn oldest(&self) -> Option<Instant> {
        let http1 = self.http1.front().map(|(_, since)| *since);
        let http2 = self.http2.iter().map(|shared| shared.used);
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

/// What a request may do after others have opened connections.
enum Turn<'a> {
    /// Take this.
    Line(Line),
    /// Open one, alone or beside others.
    Open(Option<tokio::sync::MutexGuard<'a, ()>>),
}

/// What came free for a request that waited.
enum Free {
    Room(OwnedSemaphorePermit),
    Line(Line),
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use crate::dialer::Dialer;
    use crate::route::Route;
    use keyward_names::RouteName;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn an_idle_connection_that_carried_a_value_is_closed_and_a_plain_one_stays() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let route = Route::new(RouteName::parse("backend").unwrap(), &url).unwrap();
        let route = Arc::new(route);
        let opener = || Opener {
            route: Arc::clone(&route),
            tls: None,
            shows: false,
            dialer: Dialer::default(),
        };
        let pool = |closes| Pool::new(opener(), Duration::from_millis(20), closes);
        let (plain, credentialed) = (pool(false), pool(true));
        assert!(Pool::credentialed(opener()).closes);
        assert!(!Pool::plain(opener()).closes);

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
