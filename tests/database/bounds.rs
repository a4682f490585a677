//! The grant's bounds: rows, bytes, time, connections; what is given up is cancelled,
//! and what is revoked isn't run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward::egress::{QueryError, Roots, Stage};
use keyward::vault::QueryValue;
use keyward_tests::PostgresServer;

use crate::world::{End, World, grant, login, route, statement, until, with};
use crate::{PASSWORD, server};

/// Whoever looks at the server from beside.
fn beside(server: &PostgresServer) -> World {
    let login = login("postgres", PASSWORD, server.port());
    let statements = [
        statement(
            "sleeping",
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state = 'active' \
             AND query LIKE '%pg_sleep%'",
        ),
        statement(
            "connections",
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'",
        ),
        statement(
            "end",
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'app'",
        ),
    ];
    World::of(
        server,
        &login,
        &grant("writes = true", &statements.concat()),
    )
}

async fn count(world: &World, statement: &str) -> i64 {
    match world.value(statement, Vec::new()).await {
        QueryValue::Integer(count) => count,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_has_no_more_rows_than_the_grant_allows() {
    let server = server!();
    let series = "SELECT generate_series(1, $1)";
    let statements = [
        with("many", series, &["int4"]),
        with("few", series, &["int4"]) + "max-rows = 2\n",
    ]
    .concat();
    let world = World::new(&server, &grant("max-rows = 3", &statements));
    for (name, most) in [("many", 3), ("few", 2)] {
        let rows = world.rows(name, vec![QueryValue::Integer(most)]).await;
        assert_eq!(rows.rows.len() as i64, most);
        for more in [most + 1, 2000] {
            let error = world.error(name, vec![QueryValue::Integer(more)]).await;
            assert_eq!(error, QueryError::TooManyRows, "{name} {more}");
        }
    }
    assert_eq!(
        server
            .log()
            .matches("connection authorized: user=app")
            .count(),
        1
    );
}

#[tokio::test]
async fn an_answer_has_no_more_bytes_than_the_grant_allows() {
    let server = server!();
    let statements = with("wide", "SELECT repeat('x', $1)", &["int4"]);
    let more = "max-bytes = 1024\ntimeout-ms = 20000";
    let world = World::new(&server, &grant(more, &statements));
    let rows = world.rows("wide", vec![QueryValue::Integer(1000)]).await;
    assert_eq!(rows.rows.len(), 1, "control");
    for length in [1025, 50_000, 5_000_000, 900_000_000] {
        let error = world.error("wide", vec![QueryValue::Integer(length)]).await;
        assert_eq!(error, QueryError::TooManyBytes, "{length}");
        let rows = world.rows("wide", vec![QueryValue::Integer(1)]).await;
        assert_eq!(rows.rows.len(), 1, "afterwards");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_both_sides() {
    let server = server!();
    let statements = with("sleep", "SELECT pg_sleep($1)::text", &["float8"]);
    let world = World::new(&server, &grant("timeout-ms = 300", &statements));
    world.rows("sleep", vec![QueryValue::Float(0.0)]).await;
    let start = Instant::now();
    let error = world.error("sleep", vec![QueryValue::Float(60.0)]).await;
    assert_eq!(error, QueryError::TimedOut);
    assert!(start.elapsed() < Duration::from_secs(10));
    let beside = beside(&server);
    until("the database has given it up", async || {
        count(&beside, "sleeping").await == 0
    })
    .await;
    world.rows("sleep", vec![QueryValue::Float(0.0)]).await;
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_any_more_is_cancelled() {
    let server = server!();
    let statements = with("sleep", "SELECT pg_sleep($1)::text", &["float8"]);
    let world = Arc::new(World::new(
        &server,
        &grant("timeout-ms = 60000", &statements),
    ));
    let beside = beside(&server);
    let asked = Arc::clone(&world);
    let asking =
        tokio::spawn(async move { asked.ask("sleep", vec![QueryValue::Float(60.0)]).await });
    until("it runs", async || count(&beside, "sleeping").await == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    until("it is cancelled", async || {
        count(&beside, "sleeping").await == 0
    })
    .await;
    assert!(
        server
            .log()
            .contains("canceling statement due to user request")
    );
    until("its connection is closed", async || {
        count(&beside, "connections").await == 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_error_once_and_then_replaced() {
    let server = server!();
    let statements = with("sleep", "SELECT pg_sleep($1)::text", &["float8"]);
    let world = Arc::new(World::new(
        &server,
        &grant("timeout-ms = 60000", &statements),
    ));
    let beside = beside(&server);
    let asked = Arc::clone(&world);
    let asking =
        tokio::spawn(async move { asked.ask("sleep", vec![QueryValue::Float(60.0)]).await });
    until("it runs", async || count(&beside, "sleeping").await == 1).await;
    assert_eq!(count(&beside, "end").await, 1);
    match asking.await.unwrap() {
        End::Error(QueryError::Unavailable(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(world.outcomes().await, ["allowed", "failed"]);
    world.rows("sleep", vec![QueryValue::Float(0.0)]).await;
    // One that waits, too.
    assert_eq!(count(&beside, "end").await, 1);
    until("it is gone", async || {
        count(&beside, "connections").await == 0
    })
    .await;
    world.rows("sleep", vec![QueryValue::Float(0.0)]).await;
}

#[tokio::test]
async fn there_are_no_more_connections_than_the_route_allows() {
    let server = server!();
    let statements = with("sleep", "SELECT pg_sleep($1)::text", &["float8"]);
    let url = format!("postgres://localhost:{}", server.port());
    let route = route(&url)
        .unwrap()
        .with_roots(Roots::Pem(server.certificate().to_vec()))
        .with_max_connections(2);
    let login = login("app", PASSWORD, server.port());
    let grants = grant("timeout-ms = 20000", &statements);
    let world = Arc::new(World::on(route, &login, &grants));
    let asks = (0..12).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.ask("sleep", vec![QueryValue::Float(0.05)]).await })
    });
    for asked in asks.collect::<Vec<_>>() {
        assert!(matches!(asked.await.unwrap(), End::Rows(_)));
    }
    assert_eq!(
        server
            .log()
            .matches("connection authorized: user=app")
            .count(),
        2
    );

    // Who waits in vain is told so when its time is over.
    world.set_grants(&grant("timeout-ms = 2000", &statements));
    let holding = (0..2).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.ask("sleep", vec![QueryValue::Float(60.0)]).await })
    });
    let holding: Vec<_> = holding.collect();
    let beside = beside(&server);
    until("both run", async || count(&beside, "sleeping").await == 2).await;
    world.set_grants(&grant("timeout-ms = 100", &statements));
    let error = world.error("sleep", vec![QueryValue::Float(0.0)]).await;
    assert_eq!(error, QueryError::Unreachable(Stage::Busy));
    for held in holding {
        assert!(matches!(
            held.await.unwrap(),
            End::Error(QueryError::TimedOut)
        ));
    }
}

#[tokio::test]
async fn a_grant_that_is_gone_when_the_statement_would_be_sent_counts() {
    let server = server!();
    let one = statement("one", "SELECT name FROM customers WHERE id = 1");
    let world = World::new(&server, &grant("", &one));
    let mut ledger = world.ledger();
    let changed = grant(
        "",
        &statement("one", "SELECT name FROM customers WHERE id = 2"),
    );
    for others in ["", &changed, &grant("", &statement("other", "SELECT 1"))] {
        world.set_grants(&grant("", &one));
        let query = world.permitted("one", Vec::new(), &mut ledger);
        let query = query.unwrap_or_else(|end| panic!("{end:?}"));
        world.set_grants(others);
        let asked = world.egress.query(query, &mut ledger).await;
        assert_eq!(asked, Err(QueryError::Denied));
    }
    assert!(
        !server.log().contains("START TRANSACTION"),
        "nothing was begun"
    );
    let denied = world.outcomes().await;
    let revoked = denied.iter().filter(|outcome| *outcome == "revoked");
    assert_eq!(revoked.count(), 3, "{denied:?}");
    world.set_grants(&grant("", &one));
    world.rows("one", Vec::new()).await;
    assert!(
        server.log().contains("START TRANSACTION READ ONLY"),
        "control"
    );
}
