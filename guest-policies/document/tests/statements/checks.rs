//! Who may call: tokens, headers, addresses, pages of other origins.

use keyward_policy::JwtFailure;
use keyward_policy::testing::Simulation;

use super::own::{failed, passed, run};
use super::world::{End, World, request};

fn jwt(children: &str) -> String {
    format!(
        "<validate-jwt header-name=\"Authorization\"><openid-config url=\"https://login.example/config\"/><issuer-signing-keys><key>{{{{key}}}}</key></issuer-signing-keys>{children}</validate-jwt>"
    )
}

fn with(token: &str) -> Simulation {
    request("GET", "/")
        .at(1_000_000)
        .header("authorization", &format!("Bearer {token}"))
        .issuer("login")
        .grant("key.verify-jwt")
        .token(
            "good",
            r#"{"exp": 2000, "aud": ["a", "b"], "iss": "https://login.example"}"#,
        )
}

#[test]
fn each_way_in_which_a_token_is_wrong_has_its_reason() {
    for (failure, reason) in [
        (JwtFailure::Malformed, "JwtInvalid"),
        (JwtFailure::Algorithm, "TokenSignatureInvalid"),
        (JwtFailure::Signature, "TokenSignatureInvalid"),
        (JwtFailure::Expired, "TokenExpired"),
        (JwtFailure::NotYetValid, "JwtInvalid"),
        (JwtFailure::Issuer, "TokenIssuerNotAllowed"),
        (JwtFailure::Audience, "TokenAudienceNotAllowed"),
    ] {
        let (status, line, world) = failed(&jwt(""), with("wrong").wrong_token("wrong", failure));
        assert_eq!(status, 401);
        assert!(
            line.contains(&format!("validate-jwt failed: {reason} ")),
            "{line}"
        );
        for text in [line, world.simulation.response_body()] {
            assert!(!text.contains("wrong"), "{text}");
        }
    }
    let (_, line, _) = failed(&jwt(""), request("GET", "/").issuer("login"));
    assert!(line.contains("TokenNotPresent"), "{line}");
    passed(&jwt(""), with("good"));
}

#[test]
fn what_the_document_asks_for_is_asked_on_top() {
    let one = |outer: &str, inner: &str, value: &str| {
        jwt(&format!("<{outer}><{inner}>{value}</{inner}></{outer}>"))
    };
    passed(&one("audiences", "audience", "@(\"b\")"), with("good"));
    let (_, line, _) = failed(&one("audiences", "audience", "c"), with("good"));
    assert!(line.contains("TokenAudienceNotAllowed"), "{line}");
    passed(
        &one("issuers", "issuer", "https://login.example"),
        with("good"),
    );
    let (_, line, _) = failed(
        &one("issuers", "issuer", "https://other.example"),
        with("good"),
    );
    assert!(line.contains("TokenIssuerNotAllowed"), "{line}");
}

#[test]
fn a_token_that_no_key_could_check_is_the_gateways_fault() {
    for failure in [
        JwtFailure::Unavailable,
        JwtFailure::Exhausted,
        JwtFailure::Denied,
    ] {
        let (status, _, world) = failed(&jwt(""), with("t").wrong_token("t", failure));
        assert_eq!(status, 500);
        let body = world.simulation.response_body();
        assert!(body.contains("Internal server error"), "{body}");
    }
}

#[test]
fn of_two_tokens_nobody_knows_which_one_the_backend_reads() {
    let two = with("good").header("authorization", "Bearer other");
    assert!(failed(&jwt(""), two).1.contains("JwtInvalid"));
}

#[test]
fn every_value_of_a_header_has_to_be_allowed() {
    let text = "<check-header name=\"x-a\" failed-check-httpcode=\"400\" failed-check-error-message=\"no\" ignore-case=\"false\"><value>a</value><value>b</value></check-header>";
    passed(
        text,
        request("GET", "/").header("x-a", "b").header("x-a", "a"),
    );
    let (status, line, _) = failed(
        text,
        request("GET", "/").header("x-a", "a").header("x-a", "c"),
    );
    assert_eq!(status, 400);
    assert!(line.contains("HeaderValueNotAllowed"), "{line}");
}

#[test]
fn addresses_are_compared_and_not_their_notations() {
    let text = "<ip-filter action=\"forbid\"><address>192.0.2.7</address><address>@(\"2001:DB8:0::1\")</address></ip-filter>";
    for client in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
        let (status, line, _) = failed(text, request("GET", "/").client(client));
        assert_eq!(status, 403, "{client}");
        assert!(line.contains("CallerIpBlocked"), "{line}");
    }
    passed(text, request("GET", "/").client("192.0.2.8"));
    let nobody = failed(text, request("GET", "/").client("a pipe"));
    assert!(nobody.1.contains("FailedToParseCallerIP"), "{}", nobody.1);
}

fn cors(children: &str) -> String {
    format!(
        "<cors><allowed-origins><origin>https://app.example</origin></allowed-origins>{children}</cors>"
    )
}

fn preflight(origin: &str, method: &str) -> Simulation {
    request("OPTIONS", "/")
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "x-a")
}

#[test]
fn a_preflight_request_is_answered_and_nothing_else_runs() {
    let text = format!(
        "<check-header name=\"x-no\" failed-check-httpcode=\"403\" failed-check-error-message=\"no\" ignore-case=\"true\"/>{}",
        cors(
            "<allowed-methods><method>PUT</method></allowed-methods><allowed-headers><header>X-A</header></allowed-headers>"
        )
    );
    let (world, end) = run(&text, preflight("https://app.example", "PUT"));
    assert_eq!((end, world.simulation.status()), (End::Answered, Some(200)));
    let header = |name: &str| world.simulation.response_header(name);
    assert_eq!(
        header("access-control-allow-origin").as_deref(),
        Some("https://app.example")
    );
    assert_eq!(
        header("access-control-allow-methods").as_deref(),
        Some("PUT")
    );
    assert_eq!(
        header("access-control-allow-headers").as_deref(),
        Some("X-A")
    );
    // The request that it asked about does run through the section.
    let page = request("PUT", "/").header("origin", "https://app.example");
    assert_eq!(failed(&text, page).0, 403);
}

#[test]
fn who_may_not_gets_an_empty_answer_that_says_nothing() {
    for (origin, method) in [
        ("https://evil.example", "PUT"),
        ("https://app.example", "DELETE"),
    ] {
        let text = cors("<allowed-methods><method>PUT</method></allowed-methods>");
        let (world, end) = run(&text, preflight(origin, method));
        assert_eq!((end, world.simulation.status()), (End::Answered, Some(200)));
        let names = world.simulation.exchange().response().header_names();
        assert_eq!(names, [""; 0], "{origin} {method}");
    }
}

#[test]
fn an_options_request_that_asks_nothing_in_advance_is_a_request() {
    let (world, end) = run(
        &cors(""),
        request("OPTIONS", "/").header("origin", "https://app.example"),
    );
    assert_eq!(end, End::Through);
    let allowed = world
        .simulation
        .response_header("access-control-allow-origin");
    assert_eq!(allowed.as_deref(), Some("https://app.example"));
}

#[test]
fn answers_say_who_may_read_them_also_where_something_failed() {
    let text = format!(
        "<inbound>{}{}</inbound>",
        cors("<expose-headers><header>x-total</header></expose-headers>"),
        "<check-header name=\"x-no\" failed-check-httpcode=\"403\" failed-check-error-message=\"no\" ignore-case=\"true\"/>"
    );
    let page = || request("GET", "/").header("origin", "https://app.example");
    for (simulation, end) in [
        (page(), End::Failed),
        (page().header("x-no", "1"), End::Through),
    ] {
        let world = World::new(&text, simulation);
        assert_eq!(world.run(), end);
        let header = |name: &str| world.simulation.response_header(name);
        assert_eq!(
            header("access-control-allow-origin").as_deref(),
            Some("https://app.example")
        );
        assert_eq!(
            header("access-control-expose-headers").as_deref(),
            Some("x-total")
        );
        assert_eq!(header("vary").as_deref(), Some("Origin"));
    }
}

#[test]
fn an_answer_to_no_page_says_that_it_depends_on_the_origin() {
    let (world, _) = run(&cors(""), request("GET", "/"));
    assert_eq!(
        world.simulation.response_header("vary").as_deref(),
        Some("Origin")
    );
    assert_eq!(
        world
            .simulation
            .response_header("access-control-allow-origin"),
        None
    );
}

#[test]
fn a_range_without_addresses_stops_the_request() {
    for (from, to) in [("192.0.2.9", "192.0.2.1"), ("192.0.2.1", "2001:db8::1")] {
        let text = format!(
            "<ip-filter action=\"forbid\"><address-range from=\"@(&quot;{from}&quot;)\" to=\"{to}\"/></ip-filter>"
        );
        let (status, line, _) =
            super::world::failure(&text, request("GET", "/").client("192.0.2.5"));
        assert_eq!(status, 500, "{text}");
        assert!(line.contains("address-range has to be"), "{line}");
    }
}
