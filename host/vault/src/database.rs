//! Queries: a statement of a grant, run on the database whose login a secret is.
//!
//! A permit becomes a [`Query`], which says what is to be run, and nobody can run it:
//! the policy named a statement and gave values. Once the use is in the audit trail,
//! that becomes a [`QueryCall`], with which the egress connects. The password is
//! given out in one place, to the function that hands it to the connection.

use std::sync::Arc;

use keyward_names::{ComponentDigest, ExchangeId, RouteName, SecretName};
use minicbor::Decoder;
use uuid::Uuid;

use crate::audit::{Act, Administrative, Outcome, UseEntry};
use crate::error::VaultError;
use crate::format::Damaged;
use crate::grants::{Grant, ParameterType, QueryTerms, Statement, Terms};
use crate::identity::{Actor, SecretState};
use crate::ledger::{Afterwards, Durable, Ledger, Position};
use crate::live::{LiveSecret, Material};
use crate::mac::OperationError;
use crate::permit::{Denied, Permit};
use crate::secret::Secret;
use crate::uses;
use crate::vault::Vault;

/// The most bytes that the parameters of one query may have together.
pub const MAX_PARAMETER_BYTES: usize = 256 << 10;
/// The longest decimal number, in characters.
const MAX_DECIMAL_CHARS: usize = 1000;
/// The moments that PostgreSQL and its wire format hold, in milliseconds since 1970:
/// 4713 BC to 294276 AD.
const MOMENTS: std::ops::RangeInclusive<i64> = -210_866_803_200_000..=9_224_318_015_999_999;

/// A value in a query: of a parameter, or of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// No value.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A binary floating-point number.
    Float(f64),
    /// A text, also of a UUID, a decimal number, a date, a time or JSON.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A moment, in milliseconds since 1970.
    Timestamp(i64),
}

/// What a query brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueryRows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value for each column.
    pub rows: Vec<Vec<QueryValue>>,
    /// How many rows the statement wrote, or read.
    pub affected: u64,
}

/// Why a query isn't one that the grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryRefused {
    /// The grant has no such statement; that is on record.
    #[error("the grant has no such statement")]
    NotListed,
    /// Too many parameters, too few, or not of the statement's types.
    #[error("the parameters are not those of the statement")]
    Parameters,
}

/// A query that is permitted and entered into the exchange's ledger.
#[must_use = "a query that isn't run has been recorded all the same"]
pub struct Query {
    call: QueryCall,
    exchange: ExchangeId,
    position: Position,
}

/// A query to be run, once.
pub struct QueryCall {
    grant: Arc<Grant>,
    statement: Statement,
    values: Vec<QueryValue>,
    secret: Arc<LiveSecret>,
    component: ComponentDigest,
    entry: UseEntry,
    afterwards: Afterwards,
}

/// How far a query may go: what its permit and the grant in force both allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryLimits {
    /// The most rows of the answer.
    pub max_rows: u64,
    /// The most bytes of the answer.
    pub max_bytes: u64,
    /// The longest time that the query may take, in milliseconds, from its start.
    pub timeout_ms: u64,
}

/// How to log in at a database.
pub struct DatabaseLogin {
    /// The user.
    pub user: String,
    /// The host: a DNS name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database; empty for the one that is called like the user.
    pub database: String,
    /// Whether TLS is spoken; not only to this machine itself.
    pub encrypted: bool,
    /// What the connection is called in the server's lists.
    pub application_name: Option<String>,
    password: Secret,
}

crate::secret::assert_not_implemented!(Query: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(QueryCall: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(DatabaseLogin: std::fmt::Debug, Clone, serde::Serialize);

impl DatabaseLogin {
    /// From the stored form (`FORMAT.md`): `[user, password, host, port, database,
    /// [[name, value], …]]`.
    pub(crate) fn prepare(stored: &[u8]) -> Result<Self, Damaged> {
        Self::read(&mut Decoder::new(stored)).map_err(|_| Damaged)
    }

    fn read(stored: &mut Decoder<'_>) -> Result<Self, minicbor::decode::Error> {
        stored.array()?;
        let user = stored.str()?.to_owned();
        let password = Secret::copy_of(stored.str()?.as_bytes());
        let (host, port) = (stored.str()?.to_owned(), stored.u16()?);
        let database = stored.str()?.to_owned();
        let mut login = Self {
            user,
            host,
            port,
            database,
            encrypted: true,
            application_name: None,
            password,
        };
        for _ in 0..stored.array()?.unwrap_or(0) {
            stored.array()?;
            match (stored.str()?, stored.str()?) {
                ("sslmode", mode) => login.encrypted = mode != "disable",
                ("application_name", name) => login.application_name = Some(name.to_owned()),
                _ => {}
            }
        }
        Ok(login)
    }

    /// Where it leads: the host, the port, and the database if it is named. Who logs in
    /// is not among it, as of other connection strings.
    pub(crate) fn public(&self) -> Vec<(String, String)> {
        let mut parts = vec![
            ("host".to_owned(), self.host.clone()),
            ("port".to_owned(), self.port.to_string()),
        ];
        if !self.database.is_empty() {
            parts.push(("database".to_owned(), self.database.clone()));
        }
        parts
    }

    /// Gives the password to what takes it to the connection, which must keep it no
    /// longer than it takes to log in.
    pub fn with_password<T>(&self, give: impl FnOnce(&[u8]) -> T) -> T {
        give(&self.password.expose())
    }
}

/// A login for whoever administers it to try, in the version that is in use. That it is
/// tried is on record.
pub struct LoginTrial(Arc<LiveSecret>);

crate::secret::assert_not_implemented!(LoginTrial: std::fmt::Debug, Clone, serde::Serialize);

impl LoginTrial {
    /// The login.
    pub fn login(&self) -> Option<&DatabaseLogin> {
        match self.0.material() {
            Some(Material::Database(login)) => Some(login),
            _ => None,
        }
    }
}

impl Vault {
    /// A database's login, to be tried: no policy's use, but an act of whoever asks, which
    /// is durable in the audit trail when this returns. None if the secret is disabled, has
    /// no value now, or is of another kind; then there is no act.
    ///
    /// Errors: [`VaultError::NoSuchSecret`]; [`VaultError::Audit`]: it can't be recorded.
    pub fn try_login(
        &self,
        name: &SecretName,
        actor: &Actor,
    ) -> Result<Option<LoginTrial>, VaultError> {
        let live = self.live();
        let secret = live.parts.secrets.get(name);
        let secret = secret.ok_or_else(|| VaultError::NoSuchSecret(name.clone()))?;
        let trial = LoginTrial(Arc::clone(secret));
        if secret.info.state == SecretState::Disabled || trial.login().is_none() {
            return Ok(None);
        }
        let (id, version) = (secret.info.id, secret.info.version);
        let act = Administrative::new(Act::LoginTried, &actor.name, actor.reason.as_deref());
        self.audit()
            .append_administrative(act.secret(id, name, version))?;
        Ok(Some(trial))
    }
}

impl Permit<uses::Query> {
    /// A statement of the grant, by its name, with these values for its parameters.
    /// `ledger` is the one that the permit was given for, and takes it on record.
    ///
    /// Errors: [`QueryRefused`]. That a statement isn't listed is on record as a
    /// refusal; with wrong parameters nothing is used.
    pub fn query(
        self,
        statement: &str,
        values: Vec<QueryValue>,
        ledger: &mut Ledger,
    ) -> Result<Query, QueryRefused> {
        // A permit of this use has an entry.
        let parts = self.into_entry().ok_or(QueryRefused::NotListed)?;
        let (grant, secret, component, mut entry) = parts;
        let listed = match &grant.terms {
            Terms::Query(terms) => terms.statement(statement),
            _ => None,
        };
        let Some(statement) = listed.cloned() else {
            entry.used.outcome = Outcome::OtherChoice;
            ledger.record(entry);
            return Err(QueryRefused::NotListed);
        };
        let types = &statement.parameters;
        let bytes = values.iter().map(QueryValue::bytes);
        let fits = values.len() == types.len()
            && bytes.sum::<usize>() <= MAX_PARAMETER_BYTES
            && values
                .iter()
                .zip(types)
                .all(|(value, type_)| value.fits(*type_));
        if !fits {
            return Err(QueryRefused::Parameters);
        }
        entry.used.route = grant.to.first().map(|to| to.route.clone());
        entry.used.statement = Some(statement.name.clone());
        let position = ledger.record(entry.clone());
        Ok(Query {
            exchange: ledger.exchange(),
            position,
            call: QueryCall {
                grant,
                statement,
                values,
                secret,
                component,
                entry,
                afterwards: ledger.afterwards(),
            },
        })
    }
}

impl QueryValue {
    /// Its length, at least.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }

    /// Whether a parameter of that type takes it.
    fn fits(&self, type_: ParameterType) -> bool {
        use ParameterType as P;
        match (self, type_) {
            (Self::Null, _)
            | (Self::Boolean(_), P::Bool)
            | (Self::Integer(_), P::Int8)
            | (Self::Float(_), P::Float4 | P::Float8)
            | (Self::Bytes(_), P::Bytea) => true,
            (Self::Integer(number), P::Int2) => i16::try_from(*number).is_ok(),
            (Self::Integer(number), P::Int4) => i32::try_from(*number).is_ok(),
            (Self::Timestamp(moment), P::Timestamptz) => MOMENTS.contains(moment),
            // PostgreSQL has no text with a NUL.
            (Self::Text(text), P::Text | P::Jsonb) => !text.contains('\0'),
            (Self::Text(text), P::Uuid) => Uuid::try_parse(text).is_ok(),
            (Self::Text(text), P::Numeric) => is_decimal(text),
            _ => false,
        }
    }
}

/// A sign or none, digits, and a fraction or none.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= MAX_DECIMAL_CHARS && is(whole) && is(fraction)
}

impl Query {
    /// What to run, given the proof that the use is in the audit trail.
    ///
    /// Errors: [`OperationError::NotDurable`]: the proof is of another exchange, or
    /// older than this use.
    pub fn release(self, durable: &Durable) -> Result<QueryCall, OperationError> {
        match durable.covers(self.exchange, self.position) {
            true => Ok(self.call),
            false => Err(OperationError::NotDurable),
        }
    }

    /// Where the database is.
    pub fn route(&self) -> Option<&RouteName> {
        self.call.route()
    }

    /// What is to be run.
    pub fn statement(&self) -> &Statement {
        self.call.statement()
    }

    /// With which values.
    pub fn values(&self) -> &[QueryValue] {
        self.call.values()
    }

    /// The grant's id.
    pub fn grant(&self) -> &keyward_names::GrantId {
        self.call.grant()
    }
}

impl QueryCall {
    /// Where the database is.
    pub fn route(&self) -> Option<&RouteName> {
        self.grant.to.first().map(|to| &to.route)
    }

    /// What to run.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// With which values, one for each parameter and of its type.
    pub fn values(&self) -> &[QueryValue] {
        &self.values
    }

    /// In which bounds; none if the grant is of another use, which no permit allows.
    pub fn terms(&self) -> Option<&QueryTerms> {
        match &self.grant.terms {
            Terms::Query(terms) => Some(terms),
            _ => None,
        }
    }

    /// The grant's id, for the operator's log.
    pub fn grant(&self) -> &keyward_names::GrantId {
        &self.grant.id
    }

    /// The secret that the login is.
    pub fn secret(&self) -> &keyward_names::SecretName {
        &self.secret.info.name
    }

    /// The login, in this version.
    pub fn login(&self) -> Option<&DatabaseLogin> {
        match self.secret.material() {
            Some(Material::Database(login)) => Some(login),
            _ => None,
        }
    }

    /// Whose connections it may use: the secret and its version.
    pub fn version(&self) -> (Uuid, u64) {
        (self.secret.info.id, self.secret.info.version)
    }

    /// Whether the grants in force still allow it, on the route that leads to
    /// `address` ([`RouteAddresses`](crate::RouteAddresses)), and how far. To be asked
    /// just before a connection logs in, and when it is there, just before the
    /// statement is sent.
    ///
    /// Errors: [`Denied`], which is recorded; also if the version of the login that
    /// the permit was given for was retired since.
    pub fn check(&self, vault: &Vault, address: &str) -> Result<QueryLimits, Denied> {
        let live = vault.live();
        let granted = live.still_granted(&self.grant, &self.component, &self.secret);
        let decision = granted.and_then(|(grant, now)| {
            if !now.allows(self.secret.info.version, &live.parts.clock) {
                return Err(Outcome::Revoked);
            }
            let (Terms::Query(terms), Some(own)) = (&grant.terms, self.terms()) else {
                return Err(Outcome::Revoked);
            };
            let same = terms.statement(self.statement.name.as_str()) == Some(&self.statement)
                && (terms.writes || !own.writes);
            let leads_there = self
                .route()
                .is_some_and(|route| live.parts.reach.has(grant, route, address));
            if !same || grant.to != self.grant.to || vault.is_suspended(grant) {
                return Err(Outcome::Revoked);
            }
            if !leads_there {
                return Err(Outcome::OtherAuthority);
            }
            let max_rows = |terms: &QueryTerms| terms.max_rows_of(&self.statement);
            Ok(QueryLimits {
                max_rows: max_rows(terms).min(max_rows(own)),
                max_bytes: terms.max_bytes.min(own.max_bytes),
                timeout_ms: terms.timeout_ms.min(own.timeout_ms),
            })
        });
        decision.map_err(|outcome| self.denied(outcome))
    }

    /// Takes on record that the route doesn't lead where the login belongs.
    pub fn elsewhere(&self) -> Denied {
        self.denied(Outcome::OtherAuthority)
    }

    fn denied(&self, outcome: Outcome) -> Denied {
        self.record(outcome);
        Denied::from(outcome)
    }

    /// Takes on record that the database didn't do it, for whatever reason. Queues the
    /// record and waits for nothing.
    pub fn failed(&self) {
        self.record(Outcome::Failed);
    }

    fn record(&self, outcome: Outcome) {
        let mut entry = self.entry.clone();
        entry.used.outcome = outcome;
        self.afterwards.record(entry);
    }

    /// The same query with the version of the login that is in use now, entered into
    /// the ledger as another use; none if that is the version of this one, or if it
    /// is no longer allowed.
    pub fn renew(self, vault: &Vault, ledger: &mut Ledger) -> Option<Query> {
        let live = vault.live();
        let granted = live.still_granted(&self.grant, &self.component, &self.secret);
        let (_, now) = granted.ok()?;
        if now.info.version == self.secret.info.version {
            return None;
        }
        let secret = Arc::clone(now);
        let mut entry = self.entry;
        entry.grants = live.digest;
        entry.used.secret = Some((secret.info.id, secret.info.version));
        let position = ledger.record(entry.clone());
        Some(Query {
            exchange: ledger.exchange(),
            position,
            call: Self {
                secret,
                entry,
                ..self
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_its_own_type_and_null_fits_all() {
        use ParameterType as P;
        let text = |text: &str| QueryValue::Text(text.to_owned());
        let fitting = [
            (QueryValue::Boolean(true), &[P::Bool][..]),
            (QueryValue::Integer(7), &[P::Int2, P::Int4, P::Int8]),
            (QueryValue::Integer(40_000), &[P::Int4, P::Int8]),
            (QueryValue::Integer(i64::MIN), &[P::Int8]),
            (QueryValue::Float(0.5), &[P::Float4, P::Float8]),
            (QueryValue::Bytes(vec![0]), &[P::Bytea]),
            (QueryValue::Timestamp(0), &[P::Timestamptz]),
            (QueryValue::Timestamp(i64::MAX), &[]),
            (QueryValue::Null, &P::ALL),
            (text("x' OR 1=1"), &[P::Text, P::Jsonb]),
            (text("a\0b"), &[]),
            (text("-12.50"), &[P::Text, P::Jsonb, P::Numeric]),
            (text("1."), &[P::Text, P::Jsonb]),
            (text("NaN"), &[P::Text, P::Jsonb]),
            (
                text("018f4c1e-7d5a-7b60-8c3d-2b8d2a6f0e11"),
                &[P::Text, P::Jsonb, P::Uuid],
            ),
        ];
        for (value, types) in fitting {
            for type_ in P::ALL {
                let fits = value.fits(type_);
                assert_eq!(fits, types.contains(&type_), "{value:?} {type_:?}");
            }
        }
    }
}
