//! Telling those who wait that their records are committed.
//!
//! To wake a task on another thread takes a system call; to wake one on its own
//! thread takes none. So the committing thread wakes one task of a batch, and that
//! one wakes the others when it runs, or when it is dropped. Tasks can be slow, or
//! never run again, and nobody may depend on a stranger: whom the first has not
//! woken when [`Herald::AFTER`] has passed, the committing thread wakes itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::trail::AuditUnavailable;

/// What became of a record: its index.
pub(crate) type Committed = Result<u64, AuditUnavailable>;

/// A place where one record's outcome is left, seen from both sides.
pub(crate) fn notice() -> (Notifier, Notice) {
    let place = Arc::new(Place(Mutex::new(State::Open(None))));
    (Notifier(Arc::clone(&place)), Notice(place))
}

/// Where an outcome is left.
pub(crate) struct Notifier(Arc<Place>);

/// A future of the outcome. Dropped, it wants it no more.
pub(crate) struct Notice(Arc<Place>);

struct Place(Mutex<State>);

enum State {
    Open(Option<Waker>),
    /// The outcome, and those whom its reader wakes.
    Told(Committed, Option<Arc<Others>>),
    /// It was read, or nobody will.
    Closed,
}

/// Tasks that one of them wakes.
#[derive(Default)]
struct Others(Mutex<Vec<Waker>>);

impl Others {
    fn wake(&self) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the outcome; returns who is to be woken.
    fn tell(&self, outcome: Committed) -> Option<Waker> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Open(waker) => {
                *state = State::Told(outcome, None);
                waker
            }
            before => {
                *state = before;
                None
            }
        }
    }

    /// Makes who reads the outcome wake the others. Returns whether there still is
    /// an outcome to be read.
    fn charge(&self, others: &Arc<Others>) -> bool {
        match &mut *self.lock() {
            State::Told(_, charge) => {
                *charge = Some(Arc::clone(others));
                true
            }
            State::Open(_) | State::Closed => false,
        }
    }

    /// Takes the outcome, if there is one.
    fn close(&self) -> Option<Committed> {
        let mut state = self.lock();
        let (outcome, others) = match std::mem::replace(&mut *state, State::Closed) {
            State::Told(outcome, others) => (Some(outcome), others),
            State::Open(_) | State::Closed => (None, None),
        };
        drop(state);
        if let Some(others) = others {
            others.wake();
        }
        outcome
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // Of a record that was never committed: its thread has ended.
        if let Some(waker) = self.0.tell(Err(AuditUnavailable)) {
            waker.wake();
        }
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Future for Notice {
    type Output = Committed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Committed> {
        {
            let mut state = self.0.lock();
            if let State::Open(waker) = &mut *state {
                match waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => *waker = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
        }
        // Polled again after its end: there is no outcome any more.
        Poll::Ready(self.0.close().unwrap_or(Err(AuditUnavailable)))
    }
}

/// Wakes those whose outcomes are there.
#[derive(Default)]
pub(crate) struct Herald {
    /// Whom it has left to be woken by another, and since when.
    left: Option<(Arc<Others>, Instant)>,
    first: Option<(Notifier, Waker)>,
    more: Vec<Waker>,
}

impl Herald {
    /// How long whoever was woken first has to wake the others.
    pub(crate) const AFTER: Duration = Duration::from_millis(1);

    /// Leaves an outcome. Who waits for it is woken by [`Herald::wake`].
    pub(crate) fn tell(&mut self, notifier: Notifier, outcome: Committed) {
        if let Some(waker) = notifier.0.tell(outcome) {
            match &self.first {
                None => self.first = Some((notifier, waker)),
                Some(_) => self.more.push(waker),
            }
        }
    }

    /// Wakes all who were told.
    pub(crate) fn wake(&mut self) {
        self.catch_up();
        let Some((notifier, waker)) = self.first.take() else {
            return;
        };
        if !self.more.is_empty() {
            let others = Arc::new(Others(Mutex::new(std::mem::take(&mut self.more))));
            if notifier.0.charge(&others) {
                self.left = Some((others, Instant::now()));
            } else {
                others.wake();
            }
        }
        waker.wake();
    }

    /// When [`Herald::catch_up`] is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.left.as_ref().map(|(_, since)| *since + Self::AFTER)
    }

    /// Wakes those whom whoever was charged has not woken yet.
    pub(crate) fn catch_up(&mut self) {
        if let Some((others, _)) = self.left.take() {
            others.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Counter {
        fn woken(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn poll(notice: &mut Notice, counter: &Arc<Counter>) -> Poll<Committed> {
        let waker = Waker::from(Arc::clone(counter));
        Pin::new(notice).poll(&mut Context::from_waker(&waker))
    }

    /// Three who wait, told by one herald that has woken them.
    fn batch() -> (Herald, Vec<(Notice, Arc<Counter>)>) {
        let mut herald = Herald::default();
        let mut waiting = Vec::new();
        for index in 0..3 {
            let (notifier, mut notice) = notice();
            let counter = Arc::default();
            assert_eq!(poll(&mut notice, &counter), Poll::Pending);
            herald.tell(notifier, Ok(index));
            waiting.push((notice, counter));
        }
        herald.wake();
        (herald, waiting)
    }

    fn woken(waiting: &[(Notice, Arc<Counter>)]) -> Vec<usize> {
        waiting.iter().map(|(_, counter)| counter.woken()).collect()
    }

    #[test]
    fn who_is_woken_first_wakes_the_others() {
        let (herald, mut waiting) = batch();
        assert_eq!(woken(&waiting), [1, 0, 0]);
        let (first, counter) = &mut waiting[0];
        assert_eq!(poll(first, counter), Poll::Ready(Ok(0)));
        assert_eq!(woken(&waiting), [1, 1, 1]);
        let (last, counter) = &mut waiting[2];
        assert_eq!(poll(last, counter), Poll::Ready(Ok(2)));
        drop(herald);
    }

    #[test]
    fn a_first_one_that_is_dropped_wakes_the_others() {
        let (_herald, mut waiting) = batch();
        waiting.remove(0);
        assert_eq!(woken(&waiting), [1, 1]);
    }

    #[test]
    fn a_first_one_that_never_runs_holds_nobody_up() {
        let (mut herald, waiting) = batch();
        assert!(herald.due().is_some());
        herald.catch_up();
        assert_eq!(woken(&waiting), [1, 1, 1]);
        assert_eq!(herald.due(), None);
    }

    #[test]
    fn the_next_batch_leaves_nobody_of_the_last_behind() {
        let (mut herald, waiting) = batch();
        herald.wake();
        assert_eq!(woken(&waiting), [1, 1, 1]);
    }

    #[test]
    fn an_outcome_that_never_comes_is_a_failure() {
        let (notifier, mut notice) = notice();
        let counter = Arc::default();
        assert_eq!(poll(&mut notice, &counter), Poll::Pending);
        drop(notifier);
        assert_eq!(counter.woken(), 1);
        assert_eq!(
            poll(&mut notice, &counter),
            Poll::Ready(Err(AuditUnavailable))
        );
    }
}
