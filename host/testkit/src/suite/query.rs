//! Databases that are pretended: what they answer to a statement.

use keyward::engine::QueryFailure;
use keyward::vault::{QueryRows, QueryValue};

/// One answer of a database. The first that fits a query counts; a query that none fits
/// brings no rows.
#[derive(Clone, Debug)]
pub struct QueryAnswer {
    /// To which statement, by the name that it has in the grant.
    pub statement: String,
    /// With which values; `None`: with any.
    pub parameters: Option<Vec<QueryValue>>,
    /// What comes back.
    pub answer: Result<QueryRows, QueryFailure>,
}

impl QueryAnswer {
    /// Whether it is for this query.
    pub fn fits(&self, statement: &str, values: &[QueryValue]) -> bool {
        let mut parameters = self.parameters.iter();
        self.statement == statement && parameters.all(|parameters| parameters == values)
    }
}
