//! One statement, in a transaction of its own, within its grant's bounds.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use keyward_vault::{QueryCall, QueryRows, QueryTerms, Vault};
use tokio::time::Instant;
use tokio_postgres::Statement;

use super::QueryError;
use super::gate::Closed;
use super::login::LoggedIn;
use super::pool::Connection;
use super::value::{self, Cell, Parameter};

/// How many statements stay prepared on a connection.
const MAX_PREPARED: usize = 64;

/// Runs a query and leaves the connection as it was, or drops it.
pub(super) async fn run(
    mut connection: Connection,
    call: &QueryCall,
    terms: &QueryTerms,
    vault: &Vault,
    address: &str,
    until: Instant,
) -> Result<QueryRows, QueryError> {
    let logged_in = connection.logged_in()?;
    logged_in.seen.expect(terms.max_bytes);
    let ran = within(logged_in, call, terms, vault, address, until).await;
    let closed = logged_in.seen.closed();
    let ran = match (ran, closed) {
        (Err(_), Some(Closed::TooMuch)) => return Err(QueryError::TooManyBytes),
        (Err(QueryError::TimedOut), _) => return Err(QueryError::TimedOut),
        (ran, _) => ran,
    };
    // Whatever there was is over; nothing is left to be done if nothing was begun.
    if ran.is_err() && logged_in.client.batch_execute("ROLLBACK").await.is_err() {
        return ran;
    }
    connection.is_clean();
    ran
}

async fn within(
    logged_in: &mut LoggedIn,
    call: &QueryCall,
    terms: &QueryTerms,
    vault: &Vault,
    address: &str,
    until: Instant,
) -> Result<QueryRows, QueryError> {
    let statement = prepared(logged_in, call).await?;
    // The last moment at which nothing has happened.
    let allowed = call.check(vault, address);
    allowed.map_err(|_| QueryError::Denied)?;
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
    logged_in.client.batch_execute(&begin).await?;
    let rows = answer(logged_in, &statement, call, terms).await?;
    logged_in.client.batch_execute("COMMIT").await?;
    Ok(rows)
}

/// The statement as this connection knows it.
async fn prepared(logged_in: &mut LoggedIn, call: &QueryCall) -> Result<Statement, QueryError> {
    let asked = call.statement();
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
    terms: &QueryTerms,
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
        if answer.rows.len() as u64 >= call.max_rows() {
            return Err(QueryError::TooManyRows);
        }
        bytes = bytes.saturating_add(row.raw_size_bytes() as u64);
        if bytes > terms.max_bytes {
            return Err(QueryError::TooManyBytes);
        }
        let cells = (0..row.len()).map(|index| {
            let cell = row.try_get::<_, Cell>(index);
            cell.map(|cell| cell.0)
                .map_err(|_| QueryError::ColumnType(index + 1))
        });
        answer.rows.push(cells.collect::<Result<_, _>>()?);
    }
    answer.affected = rows.rows_affected().unwrap_or(0);
    Ok(answer)
}
