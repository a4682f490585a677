//! Whether the databases that grants of `query` name can be asked: reached, logged in at,
//! and whether they know the grants' statements. No statement is run.

use keyward::egress::{Egress, QueryError};
use keyward::names::{GrantId, RouteName, SecretName, StatementName};
use keyward::vault::{Actor, Grant, Terms, Vault, VaultError};
use serde::{Deserialize, Serialize};

/// How far one grant's way to its database leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseEntry {
    /// By which grant.
    pub grant: GrantId,
    /// The login.
    pub secret: SecretName,
    /// Where the database is.
    pub route: RouteName,
    /// How many statements the grant has.
    pub statements: u64,
    /// What is wrong; nothing if all is in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<DatabaseFault>,
}

/// What is wrong with a database, and what mends it. No text of the database's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DatabaseFault {
    /// The statement that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<StatementName>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

impl DatabaseFault {
    fn of(statement: Option<&StatementName>, error: &QueryError) -> Self {
        Self {
            statement: statement.cloned(),
            message: error.to_string(),
            advice: error.advice().to_owned(),
        }
    }
}

/// Tries each grant of `query` among these, one after the other: at most ten seconds
/// each. Each login that is tried is on record as an act of `actor`.
///
/// Must run inside a tokio runtime with I/O and time.
pub async fn check_databases<'g>(
    vault: &Vault,
    egress: &Egress,
    grants: impl IntoIterator<Item = &'g Grant>,
    actor: &Actor,
) -> Vec<DatabaseEntry> {
    let mut entries = Vec::new();
    for grant in grants {
        let Terms::Query(terms) = &grant.terms else {
            continue;
        };
        let Some(to) = grant.to.first() else {
            continue;
        };
        let faults = match vault.try_login(&grant.secret, actor) {
            Ok(Some(trial)) => {
                let tried = egress.try_login(&to.route, &trial, &terms.statements);
                match tried.await {
                    Err(error) => vec![DatabaseFault::of(None, &error)],
                    Ok(tried) => tried
                        .iter()
                        .filter_map(|(name, came)| {
                            let error = came.as_ref().err()?;
                            Some(DatabaseFault::of(Some(name), error))
                        })
                        .collect(),
                }
            }
            Ok(None) => vec![unusable(grant)],
            Err(error) => vec![refused(&error)],
        };
        entries.push(DatabaseEntry {
            grant: grant.id.clone(),
            secret: grant.secret.clone(),
            route: to.route.clone(),
            statements: terms.statements.len() as u64,
            faults,
        });
    }
    entries
}

fn unusable(grant: &Grant) -> DatabaseFault {
    DatabaseFault {
        statement: None,
        message: format!("{} is no login that can be used now", grant.secret),
        advice: "see `keyward secret show`: it is disabled, has no value, or is of another kind"
            .to_owned(),
    }
}

fn refused(error: &VaultError) -> DatabaseFault {
    DatabaseFault {
        statement: None,
        message: error.to_string(),
        advice: "see `keyward secret list` and `keyward audit verify`".to_owned(),
    }
}
