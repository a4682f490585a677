//! What `context` says.

use std::collections::BTreeMap;

use keyward_document_program::Member;
use keyward_policy::Level;

use super::world::{End, World, bindings, inbound, request, result};

fn text(expression: &str) -> Option<String> {
    let simulation = request("PATCH", "/shop/a?x=1&x=2&y=a%20b")
        .header("x-a", "1")
        .header("x-a", "2")
        .client("192.0.2.9")
        .at(1_767_225_600_000);
    result(&format!("@({expression})"), simulation)
}

#[test]
fn the_request_is_as_it_came() {
    for (expression, expected) in [
        ("context.Request.Method", "PATCH"),
        ("context.Request.IpAddress", "192.0.2.9"),
        ("context.Request.Headers.GetValueOrDefault(\"X-A\")", "1,2"),
        ("context.Request.Headers[\"x-a\"].Length.ToString()", "2"),
        (
            "context.Request.Headers.GetValueOrDefault(\"x-b\", \"none\")",
            "none",
        ),
        ("context.Request.Headers.Count.ToString()", "1"),
        ("context.Request.Url.Query.GetValueOrDefault(\"X\")", "1,2"),
        ("context.Request.Url.Query[\"y\"][0]", "a b"),
        ("context.Request.Url.Query.Count.ToString()", "2"),
        ("context.Request.Url.QueryString", "?x=1&x=2&y=a%20b"),
        ("context.Request.Url.Path", "/shop/a"),
        ("context.Request.OriginalUrl.Scheme", "https"),
        ("context.Request.OriginalUrl.Host", "api.example.com"),
        ("context.Request.OriginalUrl.Port.ToString()", "443"),
        (
            "context.RequestId.ToString()",
            "01234567-89ab-cdef-0123-456789abcdef",
        ),
        ("context.Timestamp.ToString(\"u\")", "2026-01-01 00:00:00Z"),
        ("context.Elapsed.ToString()", "00:00:00"),
        ("DateTime.UtcNow.ToString(\"u\")", "2026-01-01 00:00:00Z"),
        ("context.Tracing.ToString()", "False"),
        ("(context.Response == null).ToString()", "True"),
        ("(context.LastError == null).ToString()", "True"),
        ("(context.Product == null).ToString()", "True"),
        ("(context.User == null).ToString()", "True"),
        ("(context.Subscription == null).ToString()", "True"),
        ("context.Api.Id", "orders"),
        ("context.Api.Path", "shop"),
        ("(context.Api.Name == null).ToString()", "True"),
        ("context.Operation.Method", "PATCH"),
        ("context.Variables.Count.ToString()", "0"),
    ] {
        assert_eq!(text(expression).as_deref(), Some(expected), "{expression}");
    }
}

#[test]
fn time_goes_on_between_calls() {
    let world = World::new(
        "<inbound><set-method>PUT</set-method></inbound><outbound><set-header name=\"x-a\"><value>@(context.Elapsed + \" \" + context.Timestamp.ToString(\"u\"))</value></set-header></outbound>",
        request("GET", "/").at(1_000),
    );
    let exchange = world.simulation.exchange();
    document::inbound(&world.settings, &exchange).unwrap();
    let state = world.simulation.variable("state").unwrap();
    let later = request("GET", "/").at(3_500).answered(200);
    later.exchange().set_variable("state", state).unwrap();
    document::outbound(&world.settings, &later.exchange()).unwrap();
    assert_eq!(
        later.response_header("x-a").as_deref(),
        Some("00:00:02.5000000 1970-01-01 00:00:01Z")
    );
}

#[test]
fn who_calls_is_who_the_clients_key_says() {
    let read =
        "<value>@(context.Subscription == null ? \"nobody\" : context.Subscription.Id)</value>";
    // It is asked for where something is counted for each of them.
    let limit = "<choose><when condition=\"false\"><rate-limit calls=\"1\" renewal-period=\"1\"/></when></choose>";
    let set = format!("{limit}<set-header name=\"x-a\">{read}</set-header>");
    let world = inbound(
        &set,
        request("GET", "/").grant("subscription").key_of("acme"),
    );
    assert_eq!(
        world.simulation.request_header("x-a").as_deref(),
        Some("acme")
    );
    let world = inbound(&set, request("GET", "/").grant("subscription"));
    assert_eq!(
        world.simulation.request_header("x-a").as_deref(),
        Some("nobody")
    );
}

#[test]
fn the_user_is_whose_key_it_is() {
    let set =
        "<set-header name=\"x-a\"><value>@(context.User?.Id ?? \"nobody\")</value></set-header>";
    for (key, expected) in [(Some("ann"), "ann"), (None, "nobody")] {
        let mut simulation = request("GET", "/").grant("subscription");
        if let Some(key) = key {
            simulation = simulation.key_of(key);
        }
        let world = inbound(set, simulation);
        let told = world.simulation.request_header("x-a");
        assert_eq!(told.as_deref(), Some(expected));
    }
}

#[test]
fn facts_of_the_gateway_are_what_it_says() {
    let mut bindings = bindings();
    let facts = BTreeMap::from([
        ("context.Product.Name", Member::ProductName),
        ("context.User.Email", Member::UserEmail),
        ("context.Deployment.Region", Member::DeploymentRegion),
        ("context.Operation.Name", Member::OperationName),
        ("context.Api.Version", Member::ApiVersion),
    ]);
    for (expression, member) in &facts {
        bindings.facts.push((*member, (*expression).to_owned()));
    }
    for expression in facts.keys() {
        let text = format!(
            "<policies><inbound><set-header name=\"x-a\"><value>@({expression})</value></set-header></inbound></policies>"
        );
        let world = World::of(&[(None, &text)], &bindings, request("GET", "/"));
        world.run();
        assert_eq!(
            world.simulation.request_header("x-a").as_deref(),
            Some(*expression)
        );
    }
}

#[test]
fn traces_tell_the_steps_what_expressions_trace_and_what_variables_are_set_to() {
    let mut bindings = bindings();
    bindings.traces = true;
    let text = "<policies><inbound><choose><when condition=\"@{ context.Trace(&quot;looked&quot;); return context.Tracing; }\"><set-variable name=\"a\" value=\"private\"/></when></choose></inbound></policies>";
    let world = World::of(&[(None, text)], &bindings, request("GET", "/"));
    world.run();
    let lines: Vec<String> = world
        .simulation
        .log()
        .into_iter()
        .filter(|(level, _)| *level == Level::Info)
        .map(|(_, line)| line)
        .collect();
    assert_eq!(
        lines,
        [
            "runs inbound/choose[1]",
            "looked",
            "inbound/choose[1]/when[1] is true",
            "runs inbound/choose[1]/when[1]/set-variable[1]",
            "sets a = private"
        ]
    );
}

#[test]
fn since_when_a_request_is_there_is_known_in_later_phases_and_where_it_stands_deep() {
    for asked in ["Timestamp.Year > 2000", "Elapsed.TotalDays < 1"] {
        let sections = format!(
            "<outbound><choose><when condition=\"@(true)\"><set-header name=\"x-known\">\
             <value>@((context.{asked}) ? \"known\" : \"not\")</value></set-header></when></choose></outbound>"
        );
        let world = World::new(
            &format!("<inbound><set-variable name=\"a\" value=\"b\"/></inbound>{sections}"),
            request("GET", "/").at(1_767_225_600_000),
        );
        assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
        let known = world.simulation.response_header("x-known");
        assert_eq!(known.as_deref(), Some("known"), "{asked}");
    }
}
