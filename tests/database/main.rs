//! Queries of a real PostgreSQL: what a policy may ask and gets, what is refused, and
//! that the password goes nowhere.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod bounds;
mod doctor;
mod logins;
mod policy;
mod sessions;
mod values;
mod world;

use keyward_tests::PostgresServer;

/// A server, or nothing where this machine can't have one.
macro_rules! server {
    () => {
        if keyward_tests::PostgresServer::is_left_out() {
            return;
        } else {
            crate::started()
        }
    };
}
pub(crate) use server;

/// The password of each user of the server that tests share.
pub(crate) const PASSWORD: &str = "Vq8-mK2x_Zt5!rW9";

/// A server of one's own, with the user `app`, who may read `customers` and write
/// `visits`, and the users `postgres`, `clear` and `plain`.
pub(crate) fn started() -> PostgresServer {
    let mut statements = Vec::new();
    for user in ["app", "clear", "plain"] {
        statements.push(format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"));
    }
    statements.push(format!("ALTER ROLE postgres PASSWORD '{PASSWORD}'"));
    for statement in [
        "CREATE TYPE plan AS ENUM ('free', 'gold')",
        "CREATE TABLE customers (id int8 PRIMARY KEY, name text NOT NULL, plan plan NOT NULL)",
        "INSERT INTO customers VALUES (1, 'acme', 'gold'), (2, 'globex', 'free')",
        "CREATE TABLE visits (who text UNIQUE)",
        "CREATE TABLE secrets (value text)",
        "GRANT SELECT ON customers TO app, plain, clear",
        "GRANT SELECT, INSERT, DELETE ON visits TO app",
    ] {
        statements.push(statement.to_owned());
    }
    PostgresServer::start(&statements)
}
