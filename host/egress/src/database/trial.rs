//! Whether a login works, for whoever administers it: as a query is made, but for the
//! statements, which the database is asked to read and never runs.

use std::time::Duration;

use keyward_names::{RouteName, StatementName};
use keyward_vault::{LoginTrial, Statement};
use tokio::time::timeout;

use super::{QueryError, is_for, login, run};
use crate::error::Stage;
use crate::send::Egress;

/// How long a try may take.
const TRIAL_TIME: Duration = Duration::from_secs(10);

/// What came of each statement.
pub type Tried = Vec<(StatementName, Result<(), QueryError>)>;

impl Egress {
    /// Reaches a route's database, logs in, and has the statements prepared there. The
    /// connection is of no pool and closes.
    ///
    /// Errors: how far it came; of a statement, in its place. Must run inside a tokio
    /// runtime with I/O and time. Takes at most ten seconds. Cancel safety: dropped, it
    /// closes the connection.
    pub async fn try_login<'s>(
        &self,
        route: &RouteName,
        trial: &LoginTrial,
        statements: impl IntoIterator<Item = &'s Statement>,
    ) -> Result<Tried, QueryError> {
        let (opener, _) = self.database(route).ok_or(QueryError::UnknownRoute)?;
        let login = trial.login().ok_or(QueryError::Denied)?;
        if !is_for(&opener.route, &login.host, login.port) {
            return Err(QueryError::OtherHost);
        }
        let tried = async {
            let mut logged_in = login::open(&opener, login, || Ok(())).await?;
            let mut tried = Tried::new();
            for statement in statements {
                // No rows follow.
                logged_in.seen.expect(0);
                let prepared = run::prepared(&mut logged_in, statement).await;
                tried.push((statement.name.clone(), prepared.map(drop)));
            }
            Ok(tried)
        };
        let tried = timeout(TRIAL_TIME, tried).await;
        tried.unwrap_or(Err(QueryError::Unavailable(None)))
    }
}

impl QueryError {
    /// What an operator does about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Denied => "see `keyward grants check` and `keyward secret list`",
            Self::OtherHost => {
                "let the url of the route and the secret name the same host and port; `keyward secret show` says what the secret names"
            }
            Self::UnknownRoute => "add a [[route]] whose url is postgres://host:port",
            Self::AuditUnavailable => "see `keyward audit verify`, and whether the disk has room",
            Self::Unreachable(stage) => stage_advice(*stage),
            Self::NoTls => {
                "turn TLS on at the server: ssl = on in postgresql.conf, with a certificate for the route's host"
            }
            Self::WeakLogin => {
                "set password_encryption = 'scram-sha-256' and the method scram-sha-256 in pg_hba.conf, then set the user's password again"
            }
            Self::Login(_) => {
                "store the login that the server knows (`keyward secret rotate`); pg_hba.conf has to let its user in from this machine with hostssl and scram-sha-256"
            }
            Self::NotPrivileged(_) => {
                "give the login's user the rights that the statement needs, and `writes = true` to a grant that changes something"
            }
            Self::Values(_) | Self::TooManyRows | Self::TooManyBytes => {
                "correct the statement, or the bounds of its grant"
            }
            Self::ColumnType(_) => "cast the column in the statement: column::text",
            Self::TimedOut => "make the statement faster, or give its grant a longer `timeout-ms`",
            Self::Unavailable(_) => {
                "look into the server's log: it may be starting, stopping, or have no connection left"
            }
            Self::Failed(code) => failure_advice(code.map(|code| code.0)),
        }
    }
}

fn stage_advice(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve | Stage::ResolveTimeout => {
            "correct the host in the route's url, or what this machine asks for names"
        }
        Stage::Network => "add the range of the database's address to `networks` of the route",
        Stage::Busy => "give the route more `max-connections`",
        Stage::Connect | Stage::ConnectTimeout | Stage::Closed => {
            "start the database, or correct host and port in the route's url; see whether a firewall is between"
        }
        Stage::Tls | Stage::TlsTimeout | Stage::NotShown | Stage::NotSigned => {
            "let the route's `ca-file` name who vouches for the server's certificate, and the certificate the route's host"
        }
    }
}

/// By SQLSTATE (PostgreSQL, appendix A).
fn failure_advice(code: Option<[u8; 5]>) -> &'static str {
    match code.as_ref().map(|code| &code[..]) {
        Some([b'3', b'D', ..]) => "correct the name of the database in the secret, or make it",
        Some([b'4', b'2', ..]) => {
            "correct the statement in the grant, or make what it names: SQLSTATE 42P01 is a table, 42703 a column, 42883 a function that is not there"
        }
        _ => "look into the server's log",
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqlState;
    use super::*;

    #[test]
    fn advice_goes_by_the_code() {
        let of = |code| QueryError::Failed(SqlState::new(code)).advice();
        assert!(of("3D000").contains("name of the database"));
        assert!(of("42P01").contains("statement"));
        assert!(of("XX000").contains("log"));
        assert!(QueryError::Failed(None).advice().contains("log"));
    }
}
