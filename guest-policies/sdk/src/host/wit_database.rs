//! Queries of databases, as imported by a component.

use super::Exchange;
use crate::bindings::imports::keyward::policy::secrets;
use crate::{Failure, Rows, Value};

pub(crate) use secrets::Database;

impl From<secrets::QueryFailure> for Failure {
    fn from(failure: secrets::QueryFailure) -> Self {
        use secrets::QueryFailure as F;
        match failure {
            F::Denied => Self::Denied,
            F::Invalid => Self::Invalid,
            F::Exhausted => Self::Exhausted,
            F::Limit => Self::Limit,
            F::Unavailable => Self::Unavailable,
            F::Upstream => Self::Upstream,
        }
    }
}

pub(crate) fn open_database(_: &Exchange, alias: &str) -> Result<Database, Failure> {
    Ok(Database::open(alias)?)
}

pub(crate) fn query_database(
    handle: &Database,
    _: &Exchange,
    statement: &str,
    parameters: &[Value],
) -> Result<Rows, Failure> {
    let parameters: Vec<_> = parameters.iter().map(given).collect();
    let rows = handle.query(statement, &parameters)?;
    let taken_row = |row: Vec<_>| row.into_iter().map(taken).collect();
    Ok(Rows {
        columns: rows.columns,
        rows: rows.rows.into_iter().map(taken_row).collect(),
        affected: rows.affected,
    })
}

fn given(value: &Value) -> secrets::QueryValue {
    use secrets::QueryValue as V;
    match value {
        Value::Null => V::Null,
        Value::Boolean(value) => V::Boolean(*value),
        Value::Integer(value) => V::Integer(*value),
        Value::Float(value) => V::Float(*value),
        Value::Text(value) => V::Text(value.clone()),
        Value::Bytes(value) => V::Bytes(value.clone()),
        Value::Timestamp(value) => V::Timestamp(*value),
    }
}

fn taken(value: secrets::QueryValue) -> Value {
    use secrets::QueryValue as V;
    match value {
        V::Null => Value::Null,
        V::Boolean(value) => Value::Boolean(value),
        V::Integer(value) => Value::Integer(value),
        V::Float(value) => Value::Float(value),
        V::Text(value) => Value::Text(value),
        V::Bytes(value) => Value::Bytes(value),
        V::Timestamp(value) => Value::Timestamp(value),
    }
}
