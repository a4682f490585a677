//! Every type of value, both ways, and values that look like SQL.

use keyward::egress::QueryError;
use keyward::vault::{QueryRefused, QueryValue};

use crate::server;
use crate::world::{End, World, grant, statement, with};

fn text(text: &str) -> QueryValue {
    QueryValue::Text(text.to_owned())
}

#[tokio::test]
async fn each_type_of_value_comes_back_as_it_was_sent() {
    let server = server!();
    let cases: Vec<(&str, QueryValue, QueryValue)> = vec![
        ("bool", QueryValue::Boolean(true), QueryValue::Boolean(true)),
        ("int2", QueryValue::Integer(-7), QueryValue::Integer(-7)),
        (
            "int4",
            QueryValue::Integer(70_000),
            QueryValue::Integer(70_000),
        ),
        (
            "int8",
            QueryValue::Integer(i64::MIN),
            QueryValue::Integer(i64::MIN),
        ),
        ("float4", QueryValue::Float(0.5), QueryValue::Float(0.5)),
        ("float8", QueryValue::Float(1e300), QueryValue::Float(1e300)),
        (
            "text",
            text("Grüße, \u{1f600} '\"; --"),
            text("Grüße, \u{1f600} '\"; --"),
        ),
        (
            "bytea",
            QueryValue::Bytes(vec![0, 255, b'\'']),
            QueryValue::Bytes(vec![0, 255, b'\'']),
        ),
        (
            "timestamptz",
            QueryValue::Timestamp(1_795_343_400_123),
            QueryValue::Timestamp(1_795_343_400_123),
        ),
        (
            "timestamptz",
            QueryValue::Timestamp(-1),
            QueryValue::Timestamp(-1),
        ),
        (
            "uuid",
            text("018F4C1E-7d5a-7b60-8c3d-2b8d2a6f0e11"),
            text("018f4c1e-7d5a-7b60-8c3d-2b8d2a6f0e11"),
        ),
        (
            "numeric",
            text("-0012345678901234567890.1250"),
            text("-12345678901234567890.1250"),
        ),
        ("numeric", text("0.00001"), text("0.00001")),
        ("numeric", text("100000000"), text("100000000")),
        (
            "jsonb",
            text("{\"b\":1, \"a\":[null]}"),
            text("{\"a\": [null], \"b\": 1}"),
        ),
    ];
    let mut statements = String::new();
    let mut listed = Vec::new();
    for (type_, ..) in &cases {
        if !listed.contains(type_) {
            listed.push(type_);
            statements += &with(type_, &format!("SELECT $1::{type_} AS it"), &[type_]);
        }
    }
    let world = World::new(&server, &grant("", &statements));
    for (type_, sent, expected) in cases {
        let rows = world.rows(type_, vec![sent.clone()]).await;
        assert_eq!(rows.columns, ["it"]);
        assert_eq!(rows.rows, [[expected]], "{type_} {sent:?}");
        assert_eq!(
            world.value(type_, vec![QueryValue::Null]).await,
            QueryValue::Null
        );
    }
}

#[tokio::test]
async fn other_types_of_columns_are_texts_or_refused_by_their_number() {
    let server = server!();
    let statements = [
        statement("enum", "SELECT plan FROM customers WHERE id = 1"),
        statement("date", "SELECT date '2026-11-22'"),
        statement("local", "SELECT timestamp '1970-01-01 00:00:01'"),
        statement("json", "SELECT json '{}'"),
        statement(
            "name",
            "SELECT relname FROM pg_class WHERE relname = 'customers'",
        ),
        statement("point", "SELECT 1, point '(1,2)'"),
        statement("array", "SELECT ARRAY[1,2]"),
        statement("forever", "SELECT timestamptz 'infinity'"),
    ]
    .concat();
    let world = World::new(&server, &grant("", &statements));
    assert_eq!(world.value("enum", Vec::new()).await, text("gold"));
    assert_eq!(world.value("date", Vec::new()).await, text("2026-11-22"));
    assert_eq!(
        world.value("local", Vec::new()).await,
        QueryValue::Timestamp(1000)
    );
    assert_eq!(world.value("json", Vec::new()).await, text("{}"));
    assert_eq!(world.value("name", Vec::new()).await, text("customers"));
    assert_eq!(
        world.error("point", Vec::new()).await,
        QueryError::ColumnType(2)
    );
    assert_eq!(
        world.error("array", Vec::new()).await,
        QueryError::ColumnType(1)
    );
    assert_eq!(
        world.error("forever", Vec::new()).await,
        QueryError::ColumnType(1)
    );
}

#[tokio::test]
async fn sql_in_a_parameter_stays_data() {
    let server = server!();
    let statements = [
        with(
            "by-name",
            "SELECT id FROM customers WHERE name = $1",
            &["text"],
        ),
        with("note", "INSERT INTO visits VALUES ($1)", &["text"]),
        statement("noted", "SELECT who FROM visits"),
        statement("count", "SELECT count(*) FROM customers"),
    ]
    .concat();
    let world = World::new(&server, &grant("writes = true", &statements));
    let found = world.rows("by-name", vec![text("acme")]).await;
    assert_eq!(found.rows, [[QueryValue::Integer(1)]], "control");
    let attempts = [
        "' OR '1'='1",
        "acme' OR 1=1 --",
        "acme'; DROP TABLE customers; --",
        "\\'; DELETE FROM customers; --",
        "$1",
        "acme\u{2019} OR 1=1",
        "E'\\x27' OR true",
        "acme /* */",
        "%",
        "acme\u{feff}",
    ];
    for attempt in attempts {
        let found = world.rows("by-name", vec![text(attempt)]).await;
        assert_eq!(found.rows.len(), 0, "{attempt}");
        let noted = world.rows("note", vec![text(attempt)]).await;
        assert_eq!(noted.affected, 1);
    }
    let noted = world.rows("noted", Vec::new()).await;
    let expected: Vec<_> = attempts.map(|attempt| vec![text(attempt)]).into();
    assert_eq!(noted.rows, expected, "each as it was sent");
    assert_eq!(
        world.value("count", Vec::new()).await,
        QueryValue::Integer(2)
    );
}

#[tokio::test]
async fn what_the_grant_does_not_list_is_never_sent() {
    let server = server!();
    let statements = with(
        "by-id",
        "SELECT name FROM customers WHERE id = $1",
        &["int8"],
    );
    let world = World::new(&server, &grant("", &statements));
    for name in [
        "other",
        "",
        "by-id ",
        "BY-ID",
        "SELECT 1",
        "by-id; SELECT 1",
    ] {
        let end = world.ask(name, vec![QueryValue::Integer(1)]).await;
        assert_eq!(end, End::Refused(QueryRefused::NotListed), "{name}");
    }
    for values in [
        vec![],
        vec![text("1")],
        vec![QueryValue::Float(1.0)],
        vec![QueryValue::Integer(1), QueryValue::Integer(2)],
    ] {
        let end = world.ask("by-id", values).await;
        assert_eq!(end, End::Refused(QueryRefused::Parameters));
    }
    assert!(!server.log().contains("user=app"), "nobody has logged in");
    assert_eq!(world.outcomes(), ["other-choice"; 6]);

    let name = world.value("by-id", vec![QueryValue::Integer(1)]).await;
    assert_eq!(name, text("acme"), "control");
    assert!(server.log().contains("user=app"), "control");
    assert_eq!(world.outcomes().last().unwrap(), "allowed");
}

#[tokio::test]
async fn what_the_database_refuses_is_a_word_and_a_code() {
    let server = server!();
    let statements = [
        statement("denied", "SELECT value FROM secrets"),
        statement("write", "INSERT INTO visits VALUES ('x')"),
        statement("missing", "SELECT nothing FROM nowhere"),
        with("divide", "SELECT 1 / $1", &["int4"]),
        with("json", "SELECT $1::jsonb", &["jsonb"]),
        statement("two", "SELECT 1; SELECT 2"),
        statement("ask", "SELECT pg_sleep(0)::text"),
    ]
    .concat();
    let world = World::new(&server, &grant("", &statements));
    let words = [
        ("denied", Vec::new(), "42501", "denies"),
        ("write", Vec::new(), "25006", "denies"),
        ("missing", Vec::new(), "42P01", "failed"),
        ("divide", vec![QueryValue::Integer(0)], "22012", "values"),
        ("json", vec![text("{")], "22P02", "values"),
        ("two", Vec::new(), "42601", "failed"),
    ];
    for (name, values, code, word) in words {
        let error = world.error(name, values).await.to_string();
        assert!(
            error.contains(code) && error.contains(word),
            "{name}: {error}"
        );
        // The connection is as good as before.
        assert_eq!(world.value("ask", Vec::new()).await, text(""), "{name}");
    }
    let refused = world.outcomes();
    let failed = refused.iter().filter(|outcome| *outcome == "failed");
    assert_eq!(failed.count(), 6);
    // One connection was enough for all of it.
    assert_eq!(
        server
            .log()
            .matches("connection authorized: user=app")
            .count(),
        1
    );

    let writes = World::new(&server, &grant("writes = true", &statements));
    assert_eq!(
        writes.rows("write", Vec::new()).await.affected,
        1,
        "control"
    );
    let error = writes.error("write", Vec::new()).await.to_string();
    assert!(error.contains("23505"), "{error}");
}

#[tokio::test]
async fn what_is_on_record_is_the_statements_name_and_no_value() {
    let server = server!();
    let value = "acme-of-the-record";
    let statements = [
        with(
            "plan-of",
            "SELECT plan::text FROM customers WHERE name = $1",
            &["text"],
        ),
        statement("count", "SELECT count(*) FROM customers"),
    ];
    let world = World::new(&server, &grant("", &statements.concat()));
    for _ in 0..2 {
        assert!(matches!(
            world.ask("plan-of", vec![text(value)]).await,
            End::Rows(_)
        ));
    }
    world.rows("count", Vec::new()).await;
    // What the policy calls it is no statement of the grant.
    let other = world.ask("others", Vec::new()).await;
    assert_eq!(other, End::Refused(QueryRefused::NotListed));
    let uses = world.uses();
    let said: Vec<_> = uses
        .iter()
        .map(|used| (used["statement"].as_str(), used["outcome"].as_str()))
        .collect();
    let allowed = Some("allowed");
    assert_eq!(
        said,
        [
            (Some("plan-of"), allowed),
            (Some("plan-of"), allowed),
            (Some("count"), allowed),
            (None, Some("other-choice")),
        ]
    );
    let trail = keyward::vault::VaultFiles::in_directory(world.folder()).audit;
    let name = keyward::names::SecretName::parse("login").unwrap();
    let who = keyward::vault::who_used(&trail, &name, None).unwrap();
    let counts = who.iter().map(|sum| {
        let statement = sum.statement.as_ref().map(ToString::to_string);
        (statement, sum.count)
    });
    let counts: Vec<_> = counts.collect();
    let of = |name: &str| Some(name.to_owned());
    assert_eq!(
        counts,
        [(None, 1), (of("count"), 1), (of("plan-of"), 2)],
        "summed by statement"
    );
    let files = world.files();
    let holds = |text: &str| {
        files
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds("plan-of"), "control");
    assert!(!holds(value) && !holds("SELECT"));
}
