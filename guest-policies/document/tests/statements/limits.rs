//! Rates, and the cache of values.

use keyward_document::compile::Bindings;
use keyward_document::policies::Scope;

use super::own::{self, failed, passed, read, run};
use super::world::{End, World, bindings, request};

#[test]
fn a_rate_limit_without_a_caller_does_not_apply() {
    let text = "<rate-limit calls=\"0\" renewal-period=\"10\"/>";
    passed(text, request("GET", "/").grant("subscription"));
    let (status, line, world) = failed(
        text,
        request("GET", "/").grant("subscription").key_of("ann"),
    );
    assert_eq!(status, 429);
    assert!(line.contains("RateLimitExceeded"), "{line}");
    let body = world.simulation.response_body();
    assert_eq!(
        body,
        "{ \"statusCode\": 429, \"message\": \"Rate limit is exceeded. Try again in 10 seconds.\" }"
    );
    // Who calls is not known without a grant: nobody gets through uncounted.
    assert_eq!(failed(text, request("GET", "/").key_of("ann")).0, 500);
}

#[test]
fn who_has_no_key_is_turned_away_before_the_first_statement_where_one_is_required() {
    let text = "<policies><inbound><set-variable name=\"ran\" value=\"x\"/><rate-limit calls=\"1\" renewal-period=\"10\"/></inbound>\
        <on-error><set-header name=\"x-why\"><value>@(string.Join(\"|\", context.LastError.Source, context.LastError.Reason, context.LastError.Section))</value></set-header></on-error></policies>";
    let world = |required, simulation| {
        let bindings = Bindings {
            subscription_required: Some(required),
            ..bindings()
        };
        World::of(&[(Some(Scope::Api), text)], &bindings, simulation)
    };
    let simulation = || request("GET", "/").grant("subscription");

    let nobody = world(true, simulation());
    assert_eq!(nobody.run(), End::Failed);
    assert_eq!(nobody.simulation.status(), Some(401));
    assert_eq!(
        nobody.simulation.response_header("x-why").as_deref(),
        Some("authorization|SubscriptionKeyNotFound|inbound")
    );
    let body = nobody.simulation.response_body();
    assert!(
        body.contains("Access denied due to missing subscription key."),
        "{body}"
    );

    assert_eq!(world(true, simulation().key_of("ann")).run(), End::Through);
    assert_eq!(world(false, simulation()).run(), End::Through);
    // Without a grant nobody is known, and nobody gets through.
    let ungranted = world(true, request("GET", "/").key_of("ann"));
    assert_eq!(ungranted.run(), End::Failed);
    assert_eq!(ungranted.simulation.status(), Some(500));
}

#[test]
fn a_call_counts_also_where_on_error_fails() {
    let throws = "<set-variable name=\"a\" value=\"@(((string)null).Length.ToString())\"/>";
    let sections = format!(
        "<inbound><rate-limit-by-key calls=\"1\" renewal-period=\"10\" counter-key=\"a\" increment-condition=\"@(true)\"/>{throws}</inbound><on-error>{throws}</on-error>"
    );
    let first = own::world(Scope::Api, &sections, request("GET", "/"));
    assert_eq!(first.run(), End::Failed);
    assert_eq!(first.simulation.status(), Some(500));
    let second = own::world(Scope::Api, &sections, first.simulation.again());
    assert_eq!(second.run(), End::Failed);
    let warnings = second.warnings().join("\n");
    assert!(warnings.contains("RateLimitExceeded"), "{warnings}");
}

#[test]
fn callers_and_scopes_have_counters_of_their_own() {
    let sections = "<inbound><rate-limit calls=\"1\" renewal-period=\"10\"/></inbound>";
    let mut simulation = request("GET", "/").grant("subscription");
    for (caller, scope, expected) in [
        ("ann", Scope::Api, End::Through),
        ("bob", Scope::Api, End::Through),
        ("ann", Scope::Product, End::Through),
        ("ann", Scope::Operation, End::Through),
        ("ann", Scope::Api, End::Failed),
        ("ann", Scope::Product, End::Failed),
    ] {
        let world = own::world(scope, sections, simulation.key_of(caller));
        assert_eq!(world.run(), expected, "{caller} {scope:?}");
        simulation = world.simulation.again();
    }
}

#[test]
fn after_the_wait_that_was_told_there_is_room() {
    let text = "<rate-limit-by-key calls=\"2\" renewal-period=\"10\" counter-key=\"a\"/>";
    let mut simulation = request("GET", "/").at(1_003_000);
    let mut ends = Vec::new();
    for at in [1_003_000, 1_003_000, 1_004_000] {
        let (world, end) = run(text, simulation.at(at));
        ends.push(end);
        simulation = world.simulation;
        if end == End::Failed {
            break;
        }
        simulation = simulation.again();
    }
    assert_eq!(ends, [End::Through, End::Through, End::Failed]);
    let wait: u64 = simulation
        .response_header("retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!(run(text, simulation.again().at(1_004_000 + wait * 1000)).1 == End::Through);
}

#[test]
fn a_condition_that_throws_counts() {
    let text = "<rate-limit-by-key calls=\"1\" renewal-period=\"10\" counter-key=\"a\" increment-condition=\"@(((string)context.Variables[&quot;none&quot;]).Length == 1)\"/>";
    let world = passed(text, request("GET", "/"));
    assert!(world.warnings()[0].contains("NullReferenceException"));
    assert_eq!(failed(text, world.simulation.again()).0, 429);
}

#[test]
fn a_value_comes_out_of_the_cache_as_what_it_went_in() {
    for (value, show) in [
        ("@(7)", "@(((int)context.Variables[\"v\"] + 1).ToString())"),
        (
            "@(true)",
            "@(((bool)context.Variables[\"v\"] ? 8 : 9).ToString())",
        ),
        (
            "@(JObject.Parse(\"{\\\"a\\\": 8}\"))",
            "@(((JObject)context.Variables[\"v\"])[\"a\"].ToString())",
        ),
        (
            "@(new Guid(\"00000000-0000-0000-0000-000000000008\"))",
            "@(((Guid)context.Variables[\"v\"]).ToString().Substring(35))",
        ),
    ] {
        let value = value.replace('"', "&quot;");
        let text = format!(
            "<cache-store-value key=\"k\" value=\"{value}\" duration=\"9\"/><cache-lookup-value key=\"k\" variable-name=\"v\"/>"
        );
        assert_eq!(
            read(&text, show, request("GET", "/")).as_deref(),
            Some("8"),
            "{value}"
        );
    }
}

#[test]
fn bytes_in_the_cache_that_are_no_value_are_no_hit() {
    let text = "<cache-lookup-value key=\"k\" variable-name=\"v\" default-value=\"d\"/>";
    let show = "@((string)context.Variables[\"v\"])";
    for bytes in [&b""[..], b"\xff\xff\xff\xff", b"\x06\xff\xff\xff\xff\x0fx"] {
        let simulation = request("GET", "/").cached("k", bytes);
        assert_eq!(
            read(text, show, simulation).as_deref(),
            Some("d"),
            "{bytes:?}"
        );
    }
}
