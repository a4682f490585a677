//! Looks something up in a database, and lets a request pass if there is a row.
//!
//! What is looked up is a text of the request: who is calling, as an earlier policy
//! found out, or a header. It becomes the only parameter of the grant's statement; the
//! policy never writes SQL. What the first row says is left in variables for the
//! policies that follow.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, HeaderName, Problem, Value, Verdict, policy, settings};

/// What the operator sets.
#[settings(check = has_one_source)]
#[derive(Debug)]
pub struct Settings {
    /// The grant's alias for the database.
    #[setting(default = "database")]
    pub alias: String,
    /// The grant's statement, which has one parameter of type text.
    #[setting(default = "lookup")]
    pub statement: String,
    /// The policy whose variable is looked up, such as `require-client-key`.
    pub of_policy: Option<String>,
    /// The variable that it leaves.
    #[setting(default = "subject")]
    pub variable: String,
    /// A header of the request that is looked up instead. Clients can write there what
    /// they like.
    pub of_header: Option<HeaderName>,
    /// A header in which the backend is told what the first column of the row says.
    /// What the client sent in it is replaced.
    pub result_header: Option<HeaderName>,
    /// The status of the answer where there is no row.
    #[setting(default = 403, min = 400, max = 499)]
    pub status: u16,
}

fn has_one_source(settings: &Settings) -> Result<(), &'static str> {
    match (&settings.of_policy, &settings.of_header) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err("set of-policy or of-header, and not both"),
    }
}

/// Looks up, and answers with a refusal where there is nothing.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it: then the request fails, and
/// does not pass.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    if let Some(header) = &settings.result_header {
        exchange.request().remove_header(header)?;
    }
    let Some(key) = key(settings, exchange) else {
        return refuse(settings, exchange);
    };
    let database = exchange.database(&settings.alias)?;
    let rows = database.query(&settings.statement, &[Value::Text(key)])?;
    let Some(row) = rows.rows.first() else {
        return refuse(settings, exchange);
    };
    for (column, value) in rows.columns.iter().zip(row) {
        if let Some(text) = value.to_text() {
            exchange.set_variable(column, &text)?;
        }
    }
    let first = row.first().and_then(Value::to_text);
    if let (Some(header), Some(text)) = (&settings.result_header, first) {
        exchange.request().set_header(header, &text)?;
    }
    Ok(Verdict::Proceed)
}

/// What is looked up.
fn key(settings: &Settings, exchange: &Exchange<'_>) -> Option<String> {
    let bytes = match (&settings.of_policy, &settings.of_header) {
        (Some(policy), _) => exchange.variable_of(policy, &settings.variable),
        (None, Some(header)) => exchange.request().header(header),
        (None, None) => None,
    };
    String::from_utf8(bytes?).ok().filter(|key| !key.is_empty())
}

fn refuse(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    exchange.reject(
        Problem::new(settings.status, "Not allowed").detail("This caller is not known here."),
    )
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests;
