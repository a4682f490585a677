//! Connections to databases that wait for their next query. A pool belongs to one
//! route, one login in one version, and to statements that only read or to those that
//! may write; a version that follows has a pool of its own, and this one drains. A
//! connection serves one grant as long as it lives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use keyward_names::GrantId;
use keyward_vault::{DatabaseLogin, QueryCall};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::QueryError;
use super::login::{self, LoggedIn};
use crate::connect::Opener;
use crate::error::Stage;

/// How long the database is given to hear that a statement is given up.
const CANCEL_TIME: Duration = Duration::from_secs(5);
/// A connection is closed when it is this old, busy or not: what the database has let
/// its user do when it logged in must not last for ever.
const MAX_AGE: Duration = Duration::from_secs(30 * 60);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The route, and where it leads.
    address: Arc<str>,
    secret: Uuid,
    writes: bool,
}

/// The pools of all routes. Shared by an egress and those that are made from it.
#[derive(Default)]
pub(crate) struct Databases(Mutex<HashMap<Key, (u64, Arc<Pool>)>>);

impl Databases {
    /// The pool of a query's login. One of an older version is retired.
    pub(super) fn pool(
        &self,
        opener: &Arc<Opener>,
        address: &Arc<str>,
        call: &QueryCall,
    ) -> Arc<Pool> {
        let (secret, version) = call.version();
        let address = format!("{} {address}", opener.route.name()).into();
        let key = Key {
            address,
            secret,
            writes: call.terms().is_some_and(|terms| terms.writes),
        };
        let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of routes and secrets that are gone have nothing left in them.
        pools.retain(|other, (_, pool)| *other == key || !pool.is_unused());
        let pool = Arc::new(Pool::new(Arc::clone(opener)));
        match pools.get(&key) {
            Some((known, pool)) if *known == version && pool.opener.route == opener.route => {
                return Arc::clone(pool);
            }
            // A query that began before a rotation: its connection is not kept.
            Some((known, _)) if *known > version => {
                pool.retire();
                return pool;
            }
            _ => {}
        }
        if let Some((_, old)) = pools.insert(key, (version, Arc::clone(&pool))) {
            old.retire();
        }
        pool
    }
}

pub(super) struct Pool {
    pub(super) opener: Arc<Opener>,
    room: Arc<Semaphore>,
    idle: Mutex<Idle>,
    retired: AtomicBool,
}

#[derive(Default)]
struct Idle {
    /// The last one used is at the back and goes first.
    connections: Vec<Waiting>,
    /// Whether a task waits to close what is idle.
    watched: bool,
}

struct Waiting {
    logged_in: LoggedIn,
    /// Whose it is.
    grant: GrantId,
    opened: Instant,
    used: Instant,
}

impl Pool {
    fn new(opener: Arc<Opener>) -> Self {
        Self {
            room: Arc::new(Semaphore::new(opener.route.max_connections())),
            opener,
            idle: Mutex::default(),
            retired: AtomicBool::new(false),
        }
    }

    /// A connection of this grant that waits, or a new one; when there are as many as
    /// the route allows, as soon as one of them is free. `is_allowed` is asked before a
    /// new one logs in.
    ///
    /// Cancel safety: dropped, it closes a connection that was being opened.
    pub(super) async fn connection(
        self: Arc<Self>,
        login: &DatabaseLogin,
        grant: &GrantId,
        is_allowed: impl FnOnce() -> Result<(), QueryError>,
    ) -> Result<Connection, QueryError> {
        let room = Arc::clone(&self.room).acquire_owned();
        let room = room
            .await
            .map_err(|_| QueryError::Unreachable(Stage::Busy))?;
        let (logged_in, opened) = match self.waiting(grant) {
            Some(waiting) => (waiting.logged_in, waiting.opened),
            None => {
                let opened = login::open(&self.opener, login, is_allowed).await;
                (opened?, Instant::now())
            }
        };
        Ok(Connection {
            encrypted: login.encrypted,
            logged_in: Some(logged_in),
            opened,
            is_clean: false,
            grant: grant.clone(),
            pool: self,
            room: Some(room),
        })
    }

    /// One of this grant. If there is none, those of others make room for one, so that
    /// there are never more than the route allows.
    fn waiting(&self, grant: &GrantId) -> Option<Waiting> {
        let mut idle = self.lock();
        idle.close_old(self.opener.route.timeouts().idle);
        let connections = &mut idle.connections;
        connections.retain(|waiting| !waiting.logged_in.client.is_closed());
        let mut grants = connections.iter().map(|waiting| &waiting.grant);
        if let Some(at) = grants.rposition(|other| other == grant) {
            return Some(connections.remove(at));
        }
        let others = self.room.available_permits();
        let too_many = connections.len().saturating_sub(others);
        connections.drain(..too_many);
        None
    }

    fn put(self: &Arc<Self>, logged_in: LoggedIn, grant: GrantId, opened: Instant) {
        let is_over = self.retired.load(Ordering::Acquire) || opened.elapsed() > MAX_AGE;
        if is_over || logged_in.client.is_closed() {
            return;
        }
        let mut idle = self.lock();
        idle.connections.push(Waiting {
            logged_in,
            grant,
            opened,
            used: Instant::now(),
        });
        if idle.watched {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                idle.watched = true;
                let patience = self.opener.route.timeouts().idle;
                runtime.spawn(close_idle(Arc::downgrade(self), patience));
            }
            // What is dropped after its runtime has nobody to close it later.
            Err(_) => *idle = Idle::default(),
        }
    }

    /// Closes what waits, and what comes back.
    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.lock().connections.clear();
    }

    fn is_unused(&self) -> bool {
        let is_free = self.room.available_permits() == self.opener.route.max_connections();
        is_free && self.lock().connections.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        // A list of connections is usable whatever happened to its last holder.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn close_old(&mut self, patience: Duration) {
        self.connections
            .retain(|waiting| waiting.used.elapsed() <= patience);
    }
}

/// Closes the connections of a pool when they have been idle for long enough. Ends
/// when there is none left, or no pool.
async fn close_idle(pool: Weak<Pool>, patience: Duration) {
    loop {
        let due = {
            let Some(pool) = pool.upgrade() else {
                return;
            };
            let mut idle = pool.lock();
            idle.close_old(patience);
            let used = idle.connections.iter().map(|waiting| waiting.used);
            let Some(oldest) = used.min() else {
                idle.watched = false;
                return;
            };
            oldest + patience
        };
        // A moment later, so that it is over when it is looked at.
        let due = tokio::time::Instant::from_std(due) + Duration::from_millis(10);
        tokio::time::sleep_until(due).await;
    }
}

/// A connection for one query. Dropped while a statement may be running, it has the
/// database give that up and closes.
pub(super) struct Connection {
    /// None once it is given back.
    logged_in: Option<LoggedIn>,
    encrypted: bool,
    opened: Instant,
    is_clean: bool,
    grant: GrantId,
    pool: Arc<Pool>,
    /// Until it is closed, or waits.
    room: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// The connection itself, which nobody has taken.
    pub(super) fn logged_in(&mut self) -> Result<&mut LoggedIn, QueryError> {
        self.logged_in.as_mut().ok_or(QueryError::Failed(None))
    }

    /// No statement runs on it, no transaction is open, and nothing is left of what was
    /// set up in its session: it goes back when it is dropped.
    pub(super) fn is_clean(&mut self) {
        self.is_clean = true;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(logged_in) = self.logged_in.take() else {
            return;
        };
        if self.is_clean {
            return self.pool.put(logged_in, self.grant.clone(), self.opened);
        }
        if logged_in.client.is_closed() {
            return;
        }
        let token = logged_in.client.cancel_token();
        let (opener, encrypted) = (Arc::clone(&self.pool.opener), self.encrypted);
        let room = self.room.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let cancelled = login::cancel(&opener, encrypted, token);
                let _ = tokio::time::timeout(CANCEL_TIME, cancelled).await;
                drop(logged_in);
                // It counts until it is closed.
                drop(room);
            });
        }
    }
}
