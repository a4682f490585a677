//! Queries of databases: the one function in which a database's password and a
//! connection meet is [`login::open`].
//!
//! A query names its route by its grant, and nothing else: the route's networks, its
//! authorities and its times are those of any other, and the host that the login was
//! made for must be the route's. Connections are kept, each pool for one login in one
//! version; a statement that is given up is cancelled at the database.

mod gate;
mod login;
mod pool;
mod run;
mod trial;
mod value;

use std::sync::Arc;
use std::time::Duration;

use keyward_vault::{Ledger, Query, QueryCall, QueryRows};

use crate::error::Stage;
use crate::route::{Host, Route};
use crate::send::Egress;

pub(crate) use pool::Databases;
pub use trial::Tried;

/// How long a refused login waits for a source to be asked.
const REFRESH_TIME: Duration = Duration::from_secs(3);

/// The five characters by which a database says what went wrong (SQL's SQLSTATE): a
/// code of a list, and never text from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// `None` if it isn't five digits and capital letters.
    fn new(code: &str) -> Option<Self> {
        let is = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
        let code: [u8; 5] = code.as_bytes().try_into().ok()?;
        code.iter().all(is).then_some(Self(code))
    }

    /// The code: `42501`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn is_of(self, classes: &[&str]) -> bool {
        classes.iter().any(|class| self.as_str().starts_with(class))
    }
}

impl std::fmt::Display for SqlState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why [`Egress::query`] brought no rows. For the operator; no variant holds text of
/// the database's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The grant is gone or has changed. The reason is in the audit trail.
    #[error("no grant allows it any more")]
    Denied,
    /// The secret is a login for another host or port than the route's. Nothing was
    /// sent.
    #[error("the secret is a login for another host or port than the route's")]
    OtherHost,
    /// There is no such route, or it doesn't lead to a database. Nothing was sent.
    #[error("no route of that name leads to a database")]
    UnknownRoute,
    /// The audit record could not be made durable, so nothing was sent.
    #[error("the audit trail could not be written, so nothing was sent")]
    AuditUnavailable,
    /// No connection came about.
    #[error("the database could not be reached: {0}")]
    Unreachable(Stage),
    /// The server speaks no TLS.
    #[error("the server speaks no TLS")]
    NoTls,
    /// The server asks for the password itself, or for a weak proof of it, which it
    /// is not given.
    #[error(
        "the server asks for the password by another method than SCRAM-SHA-256, set password_encryption and pg_hba.conf to that"
    )]
    WeakLogin,
    /// The server doesn't accept the login.
    #[error("the server refuses the login{}", code(*.0))]
    Login(Option<SqlState>),
    /// The database denies the statement to its user.
    #[error("the database denies the statement to its user{}", code(*.0))]
    NotPrivileged(Option<SqlState>),
    /// The database can't take the values, or they break one of its rules.
    #[error("the database can't take the values{}", code(*.0))]
    Values(Option<SqlState>),
    /// The answer has more rows than the grant allows.
    #[error("more rows than the grant allows")]
    TooManyRows,
    /// The answer has more bytes than the grant allows.
    #[error("more bytes than the grant allows")]
    TooManyBytes,
    /// It took longer than the grant allows.
    #[error("longer than the grant allows")]
    TimedOut,
    /// The database has no room or is shutting down, or the connection broke.
    #[error("the database can't serve now{}", code(*.0))]
    Unavailable(Option<SqlState>),
    /// The statement has a column of a type that can't be passed on.
    #[error("column {0} is of a type that is not passed on, cast it to text in the statement")]
    ColumnType(usize),
    /// The database failed, or its answer could not be used.
    #[error("the database failed{}", code(*.0))]
    Failed(Option<SqlState>),
}

fn code(code: Option<SqlState>) -> String {
    code.map_or_else(String::new, |code| format!(" (SQLSTATE {code})"))
}

impl From<tokio_postgres::Error> for QueryError {
    /// By the code alone: what else the server says may be data.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            return Self::Unavailable(None);
        };
        let code = SqlState::new(code.code());
        let is = |classes: &[&str]| code.is_some_and(|code| code.is_of(classes));
        // PostgreSQL, appendix A.
        if is(&["28"]) {
            Self::Login(code)
        } else if is(&["42501", "25006"]) {
            Self::NotPrivileged(code)
        } else if is(&["22", "23"]) {
            Self::Values(code)
        } else if is(&["57014"]) {
            Self::TimedOut
        } else if is(&["08", "53", "57"]) {
            Self::Unavailable(code)
        } else {
            Self::Failed(code)
        }
    }
}

impl Egress {
    /// Runs a query on the database that its grant names, and returns its rows.
    ///
    /// Before anything leaves, a connection attempt included, all that this exchange
    /// has used so far is durable in the audit trail. That the grant is in force is
    /// asked again when the connection is there. Where the server refuses the login,
    /// the secret is fetched again ([`Refresh`](crate::Refresh)), and one more try is
    /// made if there is another version of it then.
    ///
    /// Must run inside a tokio runtime with I/O and time.
    ///
    /// Cancel safety: dropped, it has the database give the statement up, and closes
    /// the connection. What was used stays in the ledger and is recorded all the same.
    pub async fn query(&self, query: Query, ledger: &mut Ledger) -> Result<QueryRows, QueryError> {
        let call = released(query, ledger).await?;
        let refused = match self.once_queried(&call).await {
            Err(refused @ QueryError::Login(_)) => refused,
            done => return done,
        };
        if let Some(refresh) = self.refresh() {
            // What came in time counts.
            let refreshed = refresh.refresh(call.secret());
            let _ = tokio::time::timeout(REFRESH_TIME, refreshed).await;
        }
        match call.renew(self.vault(), ledger) {
            None => Err(refused),
            Some(query) => {
                let call = released(query, ledger).await?;
                self.once_queried(&call).await
            }
        }
    }

    async fn once_queried(&self, call: &QueryCall) -> Result<QueryRows, QueryError> {
        let rows = self.queried(call).await;
        match &rows {
            // What the grants refuse is on record as that.
            Ok(_) | Err(QueryError::Denied | QueryError::OtherHost) => {}
            Err(_) => call.failed(),
        }
        rows
    }

    async fn queried(&self, call: &QueryCall) -> Result<QueryRows, QueryError> {
        let (route, terms) = (call.route(), call.terms());
        let (Some(route), Some(terms), Some(login)) = (route, terms, call.login()) else {
            return Err(QueryError::UnknownRoute);
        };
        let reached = self.database(route).ok_or(QueryError::UnknownRoute)?;
        let (opener, address) = reached;
        if !is_for(&opener.route, &login.host, login.port) {
            call.elsewhere();
            return Err(QueryError::OtherHost);
        }
        let began = tokio::time::Instant::now();
        let until = began + Duration::from_millis(terms.timeout_ms);
        let pool = self.databases().pool(&opener, &address, call);
        // Who waited, for room or for the server, makes no proof without a grant.
        let is_allowed = || {
            let allowed = call.check(self.vault(), &address);
            allowed.map(drop).map_err(|_| QueryError::Denied)
        };
        let connection = pool.connection(login, call.grant(), is_allowed);
        let connection = match tokio::time::timeout_at(until, connection).await {
            Ok(connection) => connection?,
            Err(_) => return Err(QueryError::Unreachable(Stage::Busy)),
        };
        let times = run::Times { began, until };
        let run = run::run(connection, call, terms, self.vault(), &address, times);
        match tokio::time::timeout_at(until, run).await {
            Ok(rows) => rows,
            Err(_) => Err(QueryError::TimedOut),
        }
    }
}

async fn released(query: Query, ledger: &mut Ledger) -> Result<QueryCall, QueryError> {
    let durable = ledger.barrier().await;
    let durable = durable.map_err(|_| QueryError::AuditUnavailable)?;
    let released = query.release(&durable);
    released.map_err(|_| QueryError::AuditUnavailable)
}

/// Whether a login is one for the route's host and port.
fn is_for(route: &Route, host: &str, port: u16) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let same = match route.host() {
        Host::Name(name) => name.eq_ignore_ascii_case(host),
        Host::Address(address) => {
            let written = bare.unwrap_or(host).parse::<std::net::IpAddr>();
            written.is_ok_and(|written| written.to_canonical() == address.to_canonical())
        }
    };
    same && route.port() == port
}

/// What one connection is opened with.
pub(crate) type Reached = (Arc<crate::connect::Opener>, Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_five_capitals_and_digits() {
        assert!(SqlState::new("42P01").is_some());
        for text in ["", "42p01", "42P011", "4\n501", "42P0é"] {
            assert!(SqlState::new(text).is_none(), "{text:?}");
        }
    }
}
