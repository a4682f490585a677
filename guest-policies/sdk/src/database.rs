//! Queries of databases: a statement of the grant, by its name, with values.

use crate::{Exchange, Failure, host};

/// A value in a query: of a parameter, or of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A binary floating-point number.
    Float(f64),
    /// A text. UUIDs, decimal numbers, dates and JSON are texts, too.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment, in milliseconds since 1970.
    Timestamp(i64),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl Value {
    /// The value as a text: as it is, or a number's digits, or `true`. None of bytes
    /// and of no value.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null | Self::Bytes(_) => None,
            Self::Boolean(truth) => Some(truth.to_string()),
            Self::Integer(number) | Self::Timestamp(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// What a query brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value for each column.
    pub rows: Vec<Vec<Value>>,
    /// How many rows the statement wrote, or read.
    pub affected: u64,
}

impl Rows {
    /// The value in the first row's column of that name; none without a row, or without
    /// such a column.
    #[must_use]
    pub fn first(&self, column: &str) -> Option<&Value> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.rows.first()?.get(index)
    }
}

/// A database, and the login with which the host speaks to it.
pub struct Database<'a> {
    exchange: &'a host::Exchange,
    handle: host::Database,
}

impl Database<'_> {
    /// Runs a statement that the grant lists, by the name that it has there.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`] of values that are not the statement's,
    /// [`Failure::Exhausted`], [`Failure::Limit`] of rows, bytes or time,
    /// [`Failure::Unavailable`], [`Failure::Upstream`].
    pub fn query(&self, statement: &str, parameters: &[Value]) -> Result<Rows, Failure> {
        host::query_database(&self.handle, self.exchange, statement, parameters)
    }
}

impl<'a> Exchange<'a> {
    /// Opens a database by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn database(&self, alias: &str) -> Result<Database<'a>, Failure> {
        Ok(Database {
            exchange: self.host,
            handle: host::open_database(self.host, alias)?,
        })
    }
}
