//! A vault with a login, grants, and an egress to a server.

use std::sync::Arc;
use std::time::Duration;

use keyward::egress::{Egress, Network, QueryError, Roots, Route, RouteError};
use keyward::names::{Alias, ComponentDigest, ExchangeId, PolicyName, RouteName, SecretName};
use keyward::vault::{
    Ask, Denied, Durability, Filter, Grants, Kind, Ledger, PolicyIdentity, Query, QueryRefused,
    QueryRows, QueryValue, Secret, Use, Vault, VaultFiles, query_trail, uses,
};
use keyward_tests::{PostgresServer, TestGateway};
use tempfile::TempDir;

/// How a query ended.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Rows(QueryRows),
    Refused(QueryRefused),
    Error(QueryError),
    Denied,
}

pub(crate) struct World {
    pub(crate) vault: Arc<Vault>,
    pub(crate) egress: Arc<Egress>,
    policy: PolicyIdentity,
    folder: TempDir,
}

/// A grant of these statements, each a table, on the secret `login`.
pub(crate) fn grant(more: &str, statements: &str) -> String {
    format!(
        "[[grant]]\nid = \"ask\"\npolicy = \"tester\"\nsecret = \"login\"\nalias = \"db\"\n\
         use = \"query\"\nto = [{{ route = \"db\" }}]\n{more}\n{statements}"
    )
}

/// A statement without parameters.
pub(crate) fn statement(name: &str, sql: &str) -> String {
    format!("[[grant.statement]]\nname = \"{name}\"\nsql = '''{sql}'''\n")
}

/// One with parameters.
pub(crate) fn with(name: &str, sql: &str, types: &[&str]) -> String {
    format!("{}parameters = {types:?}\n", statement(name, sql))
}

pub(crate) fn route(url: &str) -> Result<Route, RouteError> {
    Route::new(RouteName::parse("db").unwrap(), url)
}

impl World {
    /// As the user `app`.
    pub(crate) fn new(server: &PostgresServer, grants: &str) -> Self {
        Self::of(
            server,
            &login("app", crate::PASSWORD, server.port()),
            grants,
        )
    }

    pub(crate) fn of(server: &PostgresServer, login: &str, grants: &str) -> Self {
        let url = format!("postgres://localhost:{}", server.port());
        let roots = Roots::Pem(server.certificate().to_vec());
        Self::on(route(&url).unwrap().with_roots(roots), login, grants)
    }

    pub(crate) fn on(route: Route, login: &str, grants: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Arc::new(Vault::open(&files, Durability::Buffered).unwrap());
        let actor = TestGateway::actor();
        vault
            .add(&name(), Kind::Database, secret(login), &actor)
            .unwrap();
        let grants = Grants::parse("grants.toml", grants).unwrap_or_else(|error| panic!("{error}"));
        vault.set_grants(grants, &actor).unwrap();
        let egress = Arc::new(Egress::new([route], Arc::clone(&vault)).unwrap());
        let asks = vec![Ask {
            alias: Alias::parse("db").unwrap(),
            use_: Use::Query,
        }];
        Self {
            vault,
            egress,
            policy: PolicyIdentity {
                name: PolicyName::parse("tester").unwrap(),
                component: ComponentDigest::from_bytes([7; 32]),
                asks,
            },
            folder,
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.vault.begin(ExchangeId::from_bytes([3; 16]))
    }

    /// A query that is permitted.
    pub(crate) fn permitted(
        &self,
        statement: &str,
        values: Vec<QueryValue>,
        ledger: &mut Ledger,
    ) -> Result<Query, End> {
        let permit = self.vault.permit::<uses::Query>(&self.policy, "db", ledger);
        let permit = permit.map_err(|_: Denied| End::Denied)?;
        permit
            .query(statement, values, ledger)
            .map_err(End::Refused)
    }

    pub(crate) async fn ask(&self, statement: &str, values: Vec<QueryValue>) -> End {
        let mut ledger = self.ledger();
        let query = match self.permitted(statement, values, &mut ledger) {
            Ok(query) => query,
            Err(end) => return end,
        };
        match self.egress.query(query, &mut ledger).await {
            Ok(rows) => End::Rows(rows),
            Err(error) => End::Error(error),
        }
    }

    /// The rows of a query that brings some.
    pub(crate) async fn rows(&self, statement: &str, values: Vec<QueryValue>) -> QueryRows {
        match self.ask(statement, values).await {
            End::Rows(rows) => rows,
            other => panic!("{statement}: {other:?}"),
        }
    }

    /// The only value of a query's only row.
    pub(crate) async fn value(&self, statement: &str, values: Vec<QueryValue>) -> QueryValue {
        let rows = self.rows(statement, values).await.rows;
        assert_eq!(rows.len(), 1);
        rows[0][0].clone()
    }

    /// Why it brought nothing.
    pub(crate) async fn error(&self, statement: &str, values: Vec<QueryValue>) -> QueryError {
        match self.ask(statement, values).await {
            End::Error(error) => error,
            other => panic!("{statement}: {other:?}"),
        }
    }

    /// Gives the secret another value.
    pub(crate) fn rotate(&self, login: &str) {
        let actor = TestGateway::actor();
        self.vault
            .rotate(&name(), secret(login), &actor)
            .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Takes the secret out of use, or into it again.
    pub(crate) fn disable(&self, is_disabled: bool) {
        let actor = TestGateway::actor();
        let changed = match is_disabled {
            true => self.vault.disable(&name(), &actor),
            false => self.vault.enable(&name(), &actor),
        };
        changed.unwrap();
    }

    pub(crate) fn set_grants(&self, grants: &str) {
        let grants = Grants::parse("grants.toml", grants).unwrap();
        self.vault
            .set_grants(grants, &TestGateway::actor())
            .unwrap();
    }

    /// The outcomes of uses on record, oldest first.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let uses = self.uses().into_iter();
        uses.map(|used| used["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The uses on record, oldest first.
    pub(crate) fn uses(&self) -> Vec<serde_json::Value> {
        self.vault.audit().cover();
        let filter = Filter {
            use_: Some(Use::Query),
            ..Filter::default()
        };
        let audit = VaultFiles::in_directory(self.folder.path()).audit;
        let page = query_trail(&audit, &filter, 0, 1000).unwrap();
        let records = page.records.iter().map(|record| record.to_json());
        let uses = records.map(|record| record["uses"].as_array().cloned());
        uses.flat_map(Option::unwrap_or_default).collect()
    }

    /// Where the vault and its trail are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// All files of the vault and its trail, in one piece.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => all.extend(std::fs::read(path).unwrap()),
                }
            }
        }
        all
    }
}

/// A login at the database `postgres`.
pub(crate) fn login(user: &str, password: &str, port: u16) -> String {
    let encoded: String = password
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect();
    format!("postgres://{user}:{encoded}@localhost:{port}/postgres")
}

/// Waits until something is so, for at most ten seconds.
pub(crate) async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let start = std::time::Instant::now();
    while !is().await {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Only this machine, by its address.
pub(crate) fn here() -> Network {
    Network::Loopback
}

fn name() -> SecretName {
    SecretName::parse("login").unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::read_from(text.as_bytes(), 4096).unwrap()
}
