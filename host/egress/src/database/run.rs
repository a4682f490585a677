//! One statement, in a transaction of its own, within its grant's bounds. What it set
//! up in its session is taken back before the connection serves another query.

use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::join;
use keyward_vault::{QueryCall, QueryLimits, QueryRows, QueryTerms, Vault};
use tokio::time::{Instant, timeout_at};
use tokio_postgres::Statement;

use super::QueryError;
use super::gate::Closed;
use super::login::LoggedIn;
use super::pool::Connection;
use super::value::{self, Cell, Parameter};

/// How many statements stay prepared on a connection.
const MAX_PREPARED: usize = 64;
/// What `DISCARD ALL` does (PostgreSQL, `DISCARD`), but for prepared statements, of
/// which the client library keeps some of its own: settings, roles, advisory locks,
/// temporary tables, cursors, the last values of sequences.
const FORGET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                      SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// When a query began, and when it is over at the latest.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) began: Instant,
    pub(super) until: Instant,
}

/// Runs a query and leaves the connection as it was, or drops it.
pub(super) async fn run(
    mut connection: Connection,
    call: &QueryCall,
    terms: &QueryTerms,
    vault: &Vault,
    address: &str,
    times: Times,
) -> Result<QueryRows, QueryError> {
    let logged_in = connection.logged_in()?;
    logged_in.seen.expect(terms.max_bytes);
    let ran = within(logged_in, call, terms, vault, address, times).await;
    let closed = logged_in.seen.closed();
    let ran = match (ran, closed) {
        (Err(_), Some(Closed::TooMuch)) => return Err(QueryError::TooManyBytes),
        (Err(QueryError::TimedOut), _) => return Err(QueryError::TimedOut),
        (ran, _) => ran,
    };
    // Nothing is left to be done by ROLLBACK if nothing was begun.
    let end = match &ran {
        Ok(_) => "COMMIT",
        Err(_) => "ROLLBACK",
    };
    let client = &logged_in.client;
    // Sent together, so that it takes no longer.
    let (ended, forgotten) = join(client.batch_execute(end), client.batch_execute(FORGET)).await;
    let is_over = ran.is_ok() || ended.is_ok();
    if is_over && forgotten.is_ok() {
        connection.is_clean();
    }
    let rows = ran?;
    ended?;
    Ok(rows)
}

async fn within(
    logged_in: &mut LoggedIn,
    call: &QueryCall,
    terms: &QueryTerms,
    vault: &Vault,
    address: &str,
    times: Times,
) -> Result<QueryRows, QueryError> {
    let statement = prepared(logged_in, call.statement()).await?;
    // The last moment at which nothing has happened.
    let allowed = call.check(vault, address);
    let limits = allowed.map_err(|_| QueryError::Denied)?;
    let narrowed = times.began + Duration::from_millis(limits.timeout_ms);
    let until = times.until.min(narrowed);
    logged_in.seen.expect(limits.max_bytes);
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    let mode = match terms.writes {
        true => "READ WRITE",
        false => "READ ONLY",
    };
    // Numbers and words of our own.
    let begin = format!(
        "START TRANSACTION {mode}; SET LOCAL statement_timeout = {}",
        left.max(1)
    );
    let answered = async {
        logged_in.client.batch_execute(&begin).await?;
        answer(logged_in, &statement, call, limits).await
    };
    let answered = timeout_at(until, answered).await;
    answered.unwrap_or(Err(QueryError::TimedOut))
}

/// The statement as this connection knows it.
pub(super) async fn prepared(
    logged_in: &mut LoggedIn,
    asked: &keyward_vault::Statement,
) -> Result<Statement, QueryError> {
    let types = asked.parameters.iter().map(|type_| type_.as_str());
    let types: Vec<_> = types.collect();
    // The types are part of what was prepared.
    let key = format!("{}\0{}", types.join(","), asked.sql).into_boxed_str();
    if let Some(known) = logged_in.prepared.get(&key) {
        return Ok(known.clone());
    }
    let types: Vec<_> = asked.parameters.iter().map(value::type_of).collect();
    let statement = logged_in.client.prepare_typed(&asked.sql, &types).await?;
    if statement.params().len() != types.len() {
        return Err(QueryError::Failed(None));
    }
    for (index, column) in statement.columns().iter().enumerate() {
        if !value::is_readable(column.type_()) {
            return Err(QueryError::ColumnType(index + 1));
        }
    }
    if logged_in.prepared.len() >= MAX_PREPARED {
        logged_in.prepared.clear();
    }
    logged_in.prepared.insert(key, statement.clone());
    Ok(statement)
}

async fn answer(
    logged_in: &LoggedIn,
    statement: &Statement,
    call: &QueryCall,
    limits: QueryLimits,
) -> Result<QueryRows, QueryError> {
    let values = call.values().iter().map(Parameter);
    let rows = logged_in.client.query_raw(statement, values).await?;
    let mut rows = pin!(rows);
    let columns = statement.columns().iter();
    let mut answer = QueryRows {
        columns: columns.map(|column| column.name().to_owned()).collect(),
        ..QueryRows::default()
    };
    let mut bytes = 0_u64;
    while let Some(row) = rows.try_next().await? {
        if answer.rows.len() as u64 >= limits.max_rows {
            return Err(QueryError::TooManyRows);
        }
        let raw = bytes.saturating_add(row.raw_size_bytes() as u64);
        if raw > limits.max_bytes {
            return Err(QueryError::TooManyBytes);
        }
        let mut cells = Vec::with_capacity(row.len());
        for index in 0..row.len() {
            let cell = row.try_get::<_, Cell>(index);
            let cell = cell.map_err(|_| QueryError::ColumnType(index + 1))?;
            bytes = bytes.saturating_add(cell.bytes());
            if bytes > limits.max_bytes {
                return Err(QueryError::TooManyBytes);
            }
            cells.push(cell.0);
        }
        // A row counts as long as it was on the wire, or as it is here.
        bytes = bytes.max(raw);
        answer.rows.push(cells);
    }
    answer.affected = rows.rows_affected().unwrap_or(0);
    Ok(answer)
}
