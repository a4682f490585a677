//! What the requests of one HTTP/2 connection are doing: whether there are any,
//! and whether the client takes what it asked for. A client can keep a connection
//! alive and its windows shut, and hold a response for ever.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Of one connection.
#[derive(Default)]
pub(super) struct Activity {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    requests: usize,
    /// When the last request ended.
    idle_since: Option<Instant>,
    /// Since when the client has not taken what each response holds.
    stuck_since: BTreeMap<u64, Instant>,
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins; it ends when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        let mut state = self.state();
        state.requests += 1;
        state.next += 1;
        Running {
            id: state.next,
            activity: Arc::clone(self),
        }
    }

    /// For how long there has been no request; none while there is one. Counted
    /// from `opened` where there was none yet.
    pub(super) fn idle(&self, opened: Instant) -> Option<Duration> {
        let state = self.state();
        (state.requests == 0).then(|| state.idle_since.unwrap_or(opened).elapsed())
    }

    /// Whether there are responses of which the client has taken no part for longer
    /// than `patience`.
    pub(super) fn stuck(&self, patience: Duration) -> Stuck {
        let state = self.state();
        let is_stuck = |since: &&Instant| since.elapsed() > patience;
        match state.stuck_since.values().filter(is_stuck).count() {
            0 => Stuck::None,
            stuck if stuck < state.requests => Stuck::Some,
            _ => Stuck::All,
        }
    }
}

/// Of how many of a connection's requests the client doesn't take the responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    None,
    /// Of some; others go on.
    Some,
    /// Of all that there are.
    All,
}

/// A request that is going on.
pub(super) struct Running {
    id: u64,
    activity: Arc<Activity>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.requests = state.requests.saturating_sub(1);
        state.stuck_since.remove(&self.id);
        state.idle_since = Some(Instant::now());
    }
}

/// A response's body: hyper asks for its next part once the client has room for
/// one.
pub(super) struct Tracked<B> {
    body: Pin<Box<B>>,
    running: Running,
}

impl<B> Tracked<B> {
    pub(super) fn new(body: B, running: Running) -> Self {
        let mut state = running.activity.state();
        state.stuck_since.insert(running.id, Instant::now());
        drop(state);
        Self {
            body: Box::pin(body),
            running,
        }
    }
}

impl<B: Body> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let id = this.running.id;
        this.running.activity.state().stuck_since.remove(&id);
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        if frame.is_some() {
            let now = Instant::now();
            this.running.activity.state().stuck_since.insert(id, now);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
