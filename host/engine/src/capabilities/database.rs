//! Queries of databases. The statement is the grant's; the policy names it and gives
//! values for its parameters. What comes back is rows.

use keyward_vault::{QueryRefused, QueryRows, QueryValue, uses};
use wasmtime::component::Resource;

use super::exchange::within;
use super::secrets::handle;
use crate::bindings::keyward::policy::secrets as wit;
use crate::bindings::keyward::policy::secrets::{HostDatabase, SecretFailure};
use crate::outside;
use crate::state::{CallState, DatabaseHandle};

impl HostDatabase for CallState {
    handle!(DatabaseHandle);

    async fn query(
        &mut self,
        handle: Resource<DatabaseHandle>,
        statement: String,
        parameters: Vec<wit::QueryValue>,
    ) -> wasmtime::Result<Result<wit::QueryRows, wit::QueryFailure>> {
        let given = parameters.iter().map(bytes);
        self.enter_with(given.fold(statement.len(), usize::saturating_add))?;
        let alias = self.alias_of(&handle, |handle| &handle.0)?;
        let permit = match self.permit::<uses::Query>(alias) {
            Ok(permit) => permit,
            Err(failure) => return Ok(Err(to_failure(failure))),
        };
        let values = parameters.into_iter().map(to_vault).collect();
        let query = match permit.query(&statement, values, &mut self.exchange.ledger) {
            Ok(query) => query,
            Err(QueryRefused::NotListed) => return Ok(Err(wit::QueryFailure::Denied)),
            Err(QueryRefused::Parameters) => return Ok(Err(wit::QueryFailure::Invalid)),
        };
        let outside = std::sync::Arc::clone(&self.exchange.outside);
        let patience = self.patience();
        let asked = outside.query(query, &mut self.exchange.ledger);
        let answer = within(&*outside, patience, asked).await;
        // What was used has been settled by `query`, or nothing left.
        self.exchange.flush_logs();
        Ok(match answer {
            None => Err(wit::QueryFailure::Limit),
            Some(Err(failure)) => Err(to_wit(failure)),
            Some(Ok(rows)) => rows_to_wit(rows, self.policy.limits.call_bytes),
        })
    }
}

fn rows_to_wit(rows: QueryRows, most: usize) -> Result<wit::QueryRows, wit::QueryFailure> {
    let QueryRows {
        columns,
        rows,
        affected,
    } = rows;
    let rows: Vec<Vec<_>> = rows
        .into_iter()
        .map(|row| row.into_iter().map(from_vault).collect())
        .collect();
    let values = rows.iter().flatten().map(bytes);
    let names = columns.iter().map(String::len);
    if names.chain(values).fold(0, usize::saturating_add) > most {
        return Err(wit::QueryFailure::Limit);
    }
    Ok(wit::QueryRows {
        columns,
        rows,
        affected,
    })
}

/// What a value takes in the policy's memory, nearly.
fn bytes(value: &wit::QueryValue) -> usize {
    let beside = match value {
        wit::QueryValue::Text(text) => text.len(),
        wit::QueryValue::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    beside.saturating_add(16)
}

fn to_vault(value: wit::QueryValue) -> QueryValue {
    match value {
        wit::QueryValue::Null => QueryValue::Null,
        wit::QueryValue::Boolean(value) => QueryValue::Boolean(value),
        wit::QueryValue::Integer(value) => QueryValue::Integer(value),
        wit::QueryValue::Float(value) => QueryValue::Float(value),
        wit::QueryValue::Text(value) => QueryValue::Text(value),
        wit::QueryValue::Bytes(value) => QueryValue::Bytes(value),
        wit::QueryValue::Timestamp(value) => QueryValue::Timestamp(value),
    }
}

fn from_vault(value: QueryValue) -> wit::QueryValue {
    match value {
        QueryValue::Null => wit::QueryValue::Null,
        QueryValue::Boolean(value) => wit::QueryValue::Boolean(value),
        QueryValue::Integer(value) => wit::QueryValue::Integer(value),
        QueryValue::Float(value) => wit::QueryValue::Float(value),
        QueryValue::Text(value) => wit::QueryValue::Text(value),
        QueryValue::Bytes(value) => wit::QueryValue::Bytes(value),
        QueryValue::Timestamp(value) => wit::QueryValue::Timestamp(value),
    }
}

fn to_failure(failure: SecretFailure) -> wit::QueryFailure {
    match failure {
        SecretFailure::Denied => wit::QueryFailure::Denied,
        SecretFailure::Invalid => wit::QueryFailure::Invalid,
        SecretFailure::Exhausted => wit::QueryFailure::Exhausted,
        SecretFailure::Unavailable => wit::QueryFailure::Unavailable,
    }
}

fn to_wit(failure: outside::QueryFailure) -> wit::QueryFailure {
    match failure {
        outside::QueryFailure::Denied => wit::QueryFailure::Denied,
        outside::QueryFailure::Invalid => wit::QueryFailure::Invalid,
        outside::QueryFailure::Limit => wit::QueryFailure::Limit,
        outside::QueryFailure::Unavailable => wit::QueryFailure::Unavailable,
        outside::QueryFailure::Upstream => wit::QueryFailure::Upstream,
    }
}
