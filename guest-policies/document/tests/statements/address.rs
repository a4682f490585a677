//! Where a request goes: rewriting, templates of operations, backends.

use super::world::{End, World, backend, bindings, failure, inbound, request, result};
use keyward_document::policies::Scope;
use keyward_document_program::Member;

fn rewritten(statement: &str, target: &str) -> String {
    let world = inbound(statement, request("GET", target));
    let query = world.simulation.exchange().query_text();
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    format!("{}{query}", world.simulation.path())
}

#[test]
fn a_rewritten_address_has_the_templates_parameters_and_the_unmatched_ones() {
    assert_eq!(
        rewritten(
            "<rewrite-uri template=\"/put/{version}/{id}?c=d\"/>",
            "/shop/orders/7%2F8/v2?sort=up&x=1&c=0"
        ),
        "/put/2/7%2F8?c=d&x=1"
    );
    assert_eq!(
        rewritten(
            "<rewrite-uri template=\"/put?c={order}\" copy-unmatched-params=\"false\"/>",
            "/shop/orders/7/v2?sort=up+there&x=1"
        ),
        "/put?c=up%20there"
    );
    assert_eq!(
        rewritten("<rewrite-uri template=\"/\"/>", "/a?x=1"),
        "/?x=1"
    );
}

/// Where a request goes whose operation has the template `/get/{id}?a={b}`, or
/// `/all/{*rest}`; the failure's status otherwise.
fn templated(operation: &str, rewrite: &str, target: &str) -> Result<String, u16> {
    let mut bindings = bindings();
    bindings.facts = vec![(Member::OperationUrlTemplate, operation.to_owned())];
    let text = format!(
        "<policies><inbound><rewrite-uri template=\"{rewrite}\" copy-unmatched-params=\"false\"/></inbound></policies>"
    );
    let world = World::of(&[(None, &text)], &bindings, request("GET", target));
    match world.run() {
        End::Through => {
            let query = world.simulation.exchange().query_text();
            let query = query.map_or_else(String::new, |query| format!("?{query}"));
            Ok(format!("{}{query}", world.simulation.path()))
        }
        _ => Err(world.simulation.status().unwrap()),
    }
}

#[test]
fn what_a_client_says_changes_nothing_of_the_template_around_it() {
    let of_query =
        |value: &str| templated("/get?a={b}", "/v/{b}/end?c={b}", &format!("/get?a={value}"));
    for (value, segment) in [
        ("7", "7"),
        ("admin?x=", "admin%3Fx%3D"),
        ("x/y/z", "x%2Fy%2Fz"),
        ("x%2fy", "x%2fy"),
        ("%23x", "%23x"),
        ("a;b", "a%3Bb"),
        ("a+b", "a%20b"),
        ("100%", "100%25"),
    ] {
        let expected = format!("/v/{segment}/end?c={segment}");
        assert_eq!(of_query(value), Ok(expected), "{value}");
    }
    for value in [
        "..",
        ".",
        "%2e%2E",
        "x/../y",
        "x%2f..%2Fy",
        "..%5cx",
        "..;x",
    ] {
        assert_eq!(of_query(value), Err(400), "{value}");
    }
}

#[test]
fn a_segment_stays_one_and_a_wildcard_keeps_its_segments() {
    let of_path = |target: &str| templated("/get/{id}", "/v/{id}", target);
    assert_eq!(of_path("/get/a%2Fb;c"), Ok("/v/a%2Fb%3Bc".to_owned()));
    assert_eq!(of_path("/get/a%2F..%2Fb"), Err(400));
    let of_rest = |target: &str| templated("/all/{*rest}", "/v/{rest}/end", target);
    assert_eq!(of_rest("/all/a/b;c"), Ok("/v/a/b%3Bc/end".to_owned()));
    assert_eq!(of_rest("/all/a%2Fb"), Ok("/v/a%2Fb/end".to_owned()));
    assert_eq!(of_rest("/all/a/%2e%2e/b"), Err(400));
    assert_eq!(of_rest("/all/a/%2E/b"), Err(400));
}

#[test]
fn what_an_expression_gives_is_no_template() {
    assert_eq!(
        rewritten(
            "<rewrite-uri template=\"@(&quot;/a/&quot; + context.Request.MatchedParameters[&quot;id&quot;] + &quot;?q={id}&quot;)\"/>",
            "/shop/orders/7/v2"
        ),
        "/a/7?q={id}"
    );
    let (status, _, _) = failure(
        "<rewrite-uri template=\"@(&quot;https://evil.example/&quot;)\"/>",
        request("GET", "/"),
    );
    assert_eq!(status, 500);
}

#[test]
fn parameters_of_the_operation_come_from_the_original_address() {
    let read = "@(context.Request.MatchedParameters[\"id\"] + context.Request.MatchedParameters.GetValueOrDefault(\"ORDER\", \"none\"))";
    let target = "/shop/orders/a%20b/v2";
    assert_eq!(
        result(read, request("GET", target)).as_deref(),
        Some("a bnone")
    );
    let world = inbound(
        &format!(
            "<rewrite-uri template=\"/else\"/><set-header name=\"x-result\"><value>{read}</value></set-header>"
        ),
        request("GET", &format!("{target}?sort=up")),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some("a bup")
    );
    let count = "@(context.Request.MatchedParameters.Count.ToString())";
    assert_eq!(
        result(count, request("GET", "/shop/else")).as_deref(),
        Some("0")
    );
}

#[test]
fn a_chosen_backend_is_a_route_and_what_is_left_of_its_path() {
    let (world, end) = backend(
        "<set-backend-service base-url=\"https://prices.example:8443/cheap/v3/\"/><forward-request/><forward-request/>",
        request("GET", "/orders").backend(Ok((200, b""))),
    );
    assert_eq!(end, End::Through);
    let sent: Vec<_> = world
        .simulation
        .forwarded()
        .into_iter()
        .map(|call| (call.route, call.path))
        .collect();
    // The same each time.
    let expected = ("cheap".to_owned(), "/v3/orders".to_owned());
    assert_eq!(sent, [expected.clone(), expected]);
    assert_eq!(world.simulation.path(), "/orders");
}

#[test]
fn an_address_that_no_route_leads_to_is_an_error_that_does_not_show_it() {
    for url in [
        "https://else.example/hidden",
        "https://prices.example:8443/cheapest",
        "https://prices.example/?a=1",
        "https://prices.example/a#b",
        "https://prices.example:8443/cheap/../other",
        "https://prices.example:8443/cheap/%2e%2e/other",
        "http://prices.example/",
        "no address",
    ] {
        let (status, line, _) = failure(
            &format!("<set-backend-service base-url=\"@(&quot;{url}&quot;)\"/>"),
            request("GET", "/"),
        );
        assert_eq!(status, 500, "{url}");
        assert!(line.contains("BackendNotFound"), "{line}");
        assert!(!line.contains("hidden"), "{line}");
    }
}

#[test]
fn a_base_url_does_not_win_over_the_backend_id_of_a_broader_scope() {
    let global = "<policies><inbound><set-backend-service backend-id=\"prices\"/></inbound><backend><forward-request timeout=\"5\"/></backend></policies>";
    let api = |set: &str| {
        format!(
            "<policies><inbound><base/><set-backend-service {set}/></inbound><backend><base/></backend></policies>"
        )
    };
    for (set, route) in [
        ("base-url=\"https://orders.example/v1\"", "prices"),
        ("backend-id=\"cheap\"", "cheap"),
    ] {
        let api = api(set);
        let world = World::of(
            &[(Some(Scope::Global), global), (Some(Scope::Api), &api)],
            &bindings(),
            request("GET", "/").backend(Ok((200, b""))),
        );
        assert_eq!(world.run(), End::Through);
        assert_eq!(world.simulation.forwarded().pop().unwrap().route, route);
    }
}

#[test]
fn the_url_is_the_chosen_backends_and_the_original_stays() {
    let world = inbound(
        "<set-backend-service base-url=\"https://prices.example:8443/cheap/v3\"/><rewrite-uri template=\"/b\"/>\
         <set-header name=\"x-result\"><value>@(context.Request.Url + \" \" + context.Request.OriginalUrl + \" \" + context.Api.ServiceUrl)</value></set-header>",
        request("GET", "/a?x=1"),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some(
            "https://prices.example:8443/cheap/v3/b?x=1 https://api.example.com/a?x=1 https://orders.example/v1"
        )
    );
}

const LINE: &str = "<value>@(context.Request.Method + \" \" + context.Request.Url.Path + context.Request.Url.QueryString + \" was \" + context.Request.OriginalUrl.Path)</value></set-header>";

#[test]
fn each_statement_sees_what_the_one_before_set_of_the_line() {
    let statements = [
        "",
        "<set-method>PUT</set-method>",
        "<set-query-parameter name=\"b\" exists-action=\"override\"><value>2</value></set-query-parameter>",
        "<rewrite-uri template=\"/c?d=3\"/>",
        "<set-query-parameter name=\"a\" exists-action=\"delete\"/>",
        "<rewrite-uri template=\"/c?d=3\" copy-unmatched-params=\"false\"/>",
        "<rewrite-uri template=\"/c\" copy-unmatched-params=\"false\"/>",
        "<set-query-parameter name=\"e\" exists-action=\"append\"><value>5</value></set-query-parameter>",
    ];
    let expected = [
        "GET /a?a=1",
        "PUT /a?a=1",
        "PUT /a?a=1&b=2",
        "PUT /c?d=3&a=1&b=2",
        "PUT /c?d=3&b=2",
        "PUT /c?d=3",
        "PUT /c",
        "PUT /c?e=5",
    ];
    let sections: String = (0..)
        .zip(statements)
        .map(|(number, statement)| format!("{statement}<set-header name=\"x-{number}\">{LINE}"))
        .collect();
    let world = inbound(&sections, request("GET", "/a?a=1"));
    for (number, expected) in expected.iter().enumerate() {
        let line = world.simulation.request_header(&format!("x-{number}"));
        assert_eq!(line.unwrap(), format!("{expected} was /a"), "{number}");
    }
    // The host has the same.
    let exchange = world.simulation.exchange();
    assert_eq!(exchange.method(), "PUT");
    assert_eq!(exchange.path(), "/c");
    assert_eq!(exchange.query_text().as_deref(), Some("e=5"));
}

#[test]
fn what_another_policy_changed_of_the_line_is_seen_by_the_next_call() {
    let sections = format!(
        "<inbound><set-header name=\"x-before\">{LINE}</inbound>\
         <outbound><set-header name=\"x-after\">{LINE}</outbound>"
    );
    let world = World::new(&sections, request("GET", "/a?a=1"));
    let exchange = world.simulation.exchange();
    document::inbound(&world.settings, &exchange).unwrap();
    exchange.set_method("PUT").unwrap();
    exchange.set_path("/b").unwrap();
    exchange.set_query_text(None).unwrap();
    exchange.respond(200).unwrap();
    document::outbound(&world.settings, &exchange).unwrap();
    let before = world.simulation.request_header("x-before");
    assert_eq!(before.as_deref(), Some("GET /a?a=1 was /a"));
    let after = world.simulation.response_header("x-after");
    assert_eq!(after.as_deref(), Some("PUT /b was /a"));
}
