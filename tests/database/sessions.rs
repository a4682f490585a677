//! A session keeps nothing for the next query, and serves one grant; what waited for a
//! connection logs in only under a grant, and a slow database counts its connections.

use std::sync::Arc;
use std::time::Duration;

use keyward::egress::{QueryError, Roots, Stage};
use keyward::vault::QueryValue;
use keyward_tests::PostgresServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::world::{End, World, grant, login, route, statement, until, with};
use crate::{PASSWORD, server};

fn text(text: &str) -> QueryValue {
    QueryValue::Text(text.to_owned())
}

fn statements() -> String {
    [
        statement("session", "SELECT pg_backend_pid()"),
        with(
            "set",
            "SELECT set_config('app.tenant', $1, false)",
            &["text"],
        ),
        statement(
            "tenant",
            "SELECT coalesce(current_setting('app.tenant', true), '')",
        ),
        statement("lock", "SELECT pg_try_advisory_lock(7)"),
        statement(
            "locks",
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        ),
        statement("make", "CREATE TEMPORARY TABLE remains AS SELECT 1 AS one"),
        statement(
            "remains",
            "SELECT count(*) FROM pg_class WHERE relname = 'remains'",
        ),
        statement("role", "SET ROLE pg_monitor"),
        statement(
            "fail",
            "SELECT set_config('app.tenant', 'x', false), 1 / (random() * 0)::int4",
        ),
        statement("user", "SELECT current_user::text"),
    ]
    .concat()
}

#[tokio::test]
async fn what_a_query_sets_up_in_its_session_is_gone_when_it_is_over() {
    let server = server!();
    let grants = grant("writes = true", &statements());
    let login = login("postgres", PASSWORD, server.port());
    let world = World::of(&server, &login, &grants);
    let session = world.value("session", Vec::new()).await;

    let set = world.value("set", vec![text("acme")]).await;
    assert_eq!(set, text("acme"));
    assert_eq!(world.value("tenant", Vec::new()).await, text(""));
    let locked = world.value("lock", Vec::new()).await;
    assert_eq!(locked, QueryValue::Boolean(true));
    let none = QueryValue::Integer(0);
    assert_eq!(world.value("locks", Vec::new()).await, none);
    // Twice, which would not do if the first were there.
    world.rows("make", Vec::new()).await;
    assert_eq!(world.value("remains", Vec::new()).await, none);
    world.rows("make", Vec::new()).await;
    world.rows("role", Vec::new()).await;
    assert_eq!(world.value("user", Vec::new()).await, text("postgres"));
    let failed = world.error("fail", Vec::new()).await;
    assert!(matches!(failed, QueryError::Values(_)), "{failed:?}");
    assert_eq!(world.value("tenant", Vec::new()).await, text(""));

    // It was the same session all the time.
    assert_eq!(world.value("session", Vec::new()).await, session, "control");
}

#[tokio::test]
async fn a_session_serves_one_grant_and_they_are_together_no_more_than_the_route_allows() {
    let server = server!();
    let url = format!("postgres://localhost:{}", server.port());
    let roots = Roots::Pem(server.certificate().to_vec());
    let there = route(&url)
        .unwrap()
        .with_roots(roots)
        .with_max_connections(1);
    let first = grant("", &statements());
    let other = first.replace("id = \"ask\"", "id = \"other\"");
    let login = login("app", PASSWORD, server.port());
    let world = World::on(there, &login, &first);
    let session = world.value("session", Vec::new()).await;
    assert_eq!(world.value("session", Vec::new()).await, session, "control");
    world.set_grants(&other);
    let others = world.value("session", Vec::new()).await;
    assert_ne!(others, session);
    assert_eq!(world.value("session", Vec::new()).await, others, "control");
    world.set_grants(&first);
    assert_ne!(world.value("session", Vec::new()).await, session, "closed");
}

#[tokio::test]
async fn a_session_that_is_open_is_not_used_once_its_secret_is_disabled() {
    let server = server!();
    let world = World::new(&server, &grant("", &statements()));
    let asked = || server.log().matches("SELECT pg_backend_pid()").count();
    let session = world.value("session", Vec::new()).await;
    assert_eq!(world.value("session", Vec::new()).await, session, "control");
    let before = asked();
    assert!(before >= 2, "control: the server's log has each query");
    // One that was permitted before, and those that come after.
    let mut ledger = world.ledger();
    let permitted = world.permitted("session", Vec::new(), &mut ledger).unwrap();
    world.disable(true);
    let late = world.egress.query(permitted, &mut ledger).await;
    assert_eq!(late.unwrap_err(), QueryError::Denied);
    for _ in 0..3 {
        assert_eq!(world.ask("session", Vec::new()).await, End::Denied);
    }
    assert_eq!(asked(), before, "the server was asked nothing");
    world.disable(false);
    world.value("session", Vec::new()).await;
    assert!(asked() > before, "control");
}

/// A way to a server that can be blocked: what arrives then waits. Its port, and how
/// many connections have come.
async fn way(server: &PostgresServer) -> (u16, watch::Sender<bool>, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = server.port();
    let (blocked, is_blocked) = watch::channel(false);
    let (came, coming) = watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            came.send_modify(|count| *count += 1);
            let mut is_blocked = is_blocked.clone();
            tokio::spawn(async move {
                if is_blocked.wait_for(|is| !*is).await.is_err() {
                    return;
                }
                let far = TcpStream::connect(("127.0.0.1", behind)).await;
                if let Ok(mut far) = far {
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    (port, blocked, coming)
}

fn over(port: u16, server: &PostgresServer, grants: &str) -> Arc<World> {
    let roots = Roots::Pem(server.certificate().to_vec());
    let there = route(&format!("postgres://localhost:{port}"))
        .unwrap()
        .with_roots(roots)
        .with_max_connections(1);
    Arc::new(World::on(there, &login("app", PASSWORD, port), grants))
}

#[tokio::test]
async fn a_grant_that_is_gone_when_the_server_is_reached_makes_no_proof() {
    let server = server!();
    let one = grant("", &statements());
    for is_revoked in [true, false] {
        let (port, blocked, mut coming) = way(&server).await;
        let world = over(port, &server, &one);
        blocked.send_replace(true);
        let asked = Arc::clone(&world);
        let asking = tokio::spawn(async move { asked.ask("session", Vec::new()).await });
        coming.wait_for(|count| *count == 1).await.unwrap();
        if is_revoked {
            world.set_grants("");
        }
        blocked.send_replace(false);
        let end = asking.await.unwrap();
        let logins = server
            .log()
            .matches("connection authorized: user=app")
            .count();
        if is_revoked {
            assert_eq!(end, End::Error(QueryError::Denied));
            assert_eq!(logins, 0);
            assert_eq!(world.outcomes(), ["allowed", "revoked"]);
        } else {
            assert!(matches!(end, End::Rows(_)), "control");
            assert_eq!(logins, 1, "control");
        }
    }
}

#[tokio::test]
async fn a_connection_counts_until_the_database_has_heard_that_it_is_given_up() {
    let server = server!();
    let sleep = with("sleep", "SELECT pg_sleep($1)::text", &["float8"]);
    let (port, blocked, mut coming) = way(&server).await;
    let world = over(port, &server, &grant("timeout-ms = 500", &sleep));
    world.rows("sleep", vec![QueryValue::Float(0.0)]).await;
    blocked.send_replace(true);
    // Given up at once, and the word of that is under way.
    let asked = Arc::clone(&world);
    let asking =
        tokio::spawn(async move { asked.ask("sleep", vec![QueryValue::Float(60.0)]).await });
    tokio::task::yield_now().await;
    let end = asking.await.unwrap();
    assert_eq!(end, End::Error(QueryError::TimedOut));
    let heard = coming.wait_for(|count| *count == 2);
    let heard = tokio::time::timeout(Duration::from_secs(5), heard).await;
    heard.unwrap().unwrap();
    let error = world.error("sleep", vec![QueryValue::Float(0.0)]).await;
    assert_eq!(error, QueryError::Unreachable(Stage::Busy));
    assert_eq!(*coming.borrow(), 2, "no other was opened");
    blocked.send_replace(false);
    until("it is closed", async || {
        let end = world.ask("sleep", vec![QueryValue::Float(0.0)]).await;
        matches!(end, End::Rows(_))
    })
    .await;
}
