//! The request to the backend, and the secrets that go with it.

use keyward_policy::ForwardFailure;

use super::world::{End, World, backend, failure, request};

#[test]
fn nothing_is_forwarded_where_no_forward_request_runs() {
    let world = World::new(
        "<inbound><set-method>PUT</set-method></inbound><backend><choose><when condition=\"@(false)\"><forward-request/></when></choose></backend><outbound><set-header name=\"x-a\"><value>@(context.Response.StatusCode.ToString())</value></set-header></outbound>",
        request("GET", "/").backend(Ok((204, b""))),
    );
    assert_eq!(world.run(), End::Through);
    assert_eq!(world.simulation.forwarded(), []);
    assert_eq!(
        world.simulation.response_header("x-a").as_deref(),
        Some("200")
    );
}

#[test]
fn a_backend_that_does_not_answer_is_told_to_on_error() {
    for (failure, status, reason) in [
        (ForwardFailure::TimedOut, 504, "Timeout"),
        (ForwardFailure::Unavailable, 502, "BackendConnectionFailure"),
        (ForwardFailure::Upstream, 502, "BackendConnectionFailure"),
        (ForwardFailure::Denied, 500, "BackendConnectionFailure"),
        (ForwardFailure::BodyGone, 500, "BackendConnectionFailure"),
        (ForwardFailure::Limit, 500, "BackendConnectionFailure"),
        (ForwardFailure::Invalid, 500, "BackendConnectionFailure"),
        (ForwardFailure::WrongPhase, 500, "OperationFailed"),
    ] {
        let world = World::new(
            "<backend><choose><when condition=\"true\"><forward-request/></when></choose></backend><on-error><set-header name=\"x-why\"><value>@(context.LastError.Source + \" \" + context.LastError.Reason + \" \" + context.LastError.Path)</value></set-header></on-error>",
            request("GET", "/").backend(Err(failure)),
        );
        assert_eq!(world.run(), End::Failed);
        assert_eq!(world.simulation.status(), Some(status), "{failure}");
        let why = world.simulation.response_header("x-why").unwrap();
        assert_eq!(
            why,
            format!("forward-request {reason} choose[1]/when[1]/forward-request[1]")
        );
        // Nothing of the cause, which is the operator's.
        assert!(
            !world.simulation.response_body().contains("route"),
            "{failure}"
        );
    }
}

#[test]
fn what_the_host_was_to_send_fails_as_what_the_document_sends() {
    for (failure, status, reason) in [
        (ForwardFailure::TimedOut, 504, "Timeout"),
        (ForwardFailure::Unavailable, 502, "BackendConnectionFailure"),
        (ForwardFailure::Upstream, 502, "BackendConnectionFailure"),
        (ForwardFailure::Denied, 500, "BackendConnectionFailure"),
        (ForwardFailure::Invalid, 500, "BackendConnectionFailure"),
    ] {
        let world = World::new(
            "<backend><set-variable name=\"a\" value=\"b\"/><forward-request timeout=\"5\"/></backend><on-error><set-header name=\"x-why\"><value>@(context.LastError.Source + \" \" + context.LastError.Reason + \" \" + context.LastError.Section + \" \" + context.LastError.Path)</value></set-header></on-error>",
            request("GET", "/").backend(Err(failure)),
        );
        assert_eq!(world.run(), End::Failed);
        assert_eq!(world.simulation.status(), Some(status), "{failure}");
        let why = world.simulation.response_header("x-why").unwrap();
        let expected = format!("forward-request {reason} backend forward-request[1]");
        assert_eq!(why, expected);
        let sent = world.simulation.forwarded();
        assert_eq!(sent[0].timeout_milliseconds, Some(5_000));
    }
}

#[test]
fn what_the_host_is_to_send_is_behind_the_prefix_that_was_chosen() {
    let world = World::new(
        "<inbound><set-backend-service base-url=\"https://prices.example:8443/cheap/a\"/></inbound><backend><forward-request/></backend><outbound><set-header name=\"x-path\"><value>@(context.Request.Url.Path + context.Response.StatusCode)</value></set-header></outbound>",
        request("GET", "/b").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    let sent = world.simulation.forwarded().pop().unwrap();
    assert_eq!((sent.route.as_str(), sent.path.as_str()), ("cheap", "/a/b"));
    let path = world.simulation.response_header("x-path");
    // The prefix is there once, and the exchange's own path as it was.
    assert_eq!(path.as_deref(), Some("/cheap/a/b200"));
    assert_eq!(world.simulation.path(), "/b");
}

#[test]
fn a_body_that_went_is_not_sent_again_unless_it_was_kept() {
    let twice = |kept: &str| {
        let (world, end) = backend(
            &format!(
                "<forward-request buffer-request-body=\"{kept}\"/><forward-request timeout=\"1\"/>"
            ),
            request("POST", "/").body(b"hello").backend(Ok((200, b""))),
        );
        (
            world.simulation.forwarded().len(),
            end,
            world.warnings().join("\n"),
        )
    };
    assert_eq!(twice("true").0, 2);
    let (sent, end, line) = twice("false");
    assert_eq!((sent, end), (1, End::Failed));
    assert!(line.contains("buffer-request-body"), "{line}");
}

#[test]
fn secrets_go_with_each_try_and_nowhere_else() {
    let world = World::new(
        "<inbound><set-header name=\"X-Key\"><value>{{key}}</value></set-header>\
         <set-query-parameter name=\"code\"><value>{{other-key}}</value></set-query-parameter></inbound>\
         <backend><retry condition=\"@(context.Response.StatusCode == 503)\" count=\"1\"><forward-request/></retry></backend>",
        request("GET", "/?code=mine")
            .header("x-key", "mine")
            .grant("key.x-key")
            .grant("other-key.query.code")
            .backend(Ok((503, b""))),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    let sent = world.simulation.forwarded();
    assert_eq!(sent.len(), 2);
    for call in sent {
        assert_eq!(call.attached, ["key.x-key", "other-key.query.code"]);
        // What the client sent in their place does not go along.
        assert_eq!((call.headers, call.query), (vec![], vec![]));
    }
    assert_eq!(world.simulation.attached(), Vec::<String>::new());
}

#[test]
fn a_later_header_takes_a_secrets_place_unless_it_skips() {
    let secret = "<set-header name=\"X-Key\"><value>{{key}}</value></set-header>";
    for (then, attached, header) in [
        (
            "exists-action=\"skip\"><value>mine</value>",
            vec!["key.x-key"],
            None,
        ),
        (
            "exists-action=\"override\"><value>mine</value>",
            vec![],
            Some("mine"),
        ),
        ("exists-action=\"delete\">", vec![], None),
    ] {
        let world = World::new(
            &format!(
                "<inbound>{secret}<set-header name=\"x-KEY\" {then}</set-header></inbound><backend><forward-request timeout=\"1\"/></backend>"
            ),
            request("GET", "/")
                .grant("key.x-key")
                .backend(Ok((200, b""))),
        );
        assert_eq!(world.run(), End::Through);
        let sent = world.simulation.forwarded().pop().unwrap();
        assert_eq!(sent.attached, attached, "{then}");
        assert_eq!(
            world.simulation.request_header("x-key").as_deref(),
            header,
            "{then}"
        );
    }
}

#[test]
fn a_secret_in_a_variable_goes_where_the_variable_is_used() {
    let world = World::new(
        "<inbound><choose><when condition=\"@(context.Request.Method == &quot;PUT&quot;)\"><set-variable name=\"s\" value=\"{{key}}\"/></when></choose>\
         <set-header name=\"X-Key\"><value>@((string)context.Variables[\"s\"])</value></set-header></inbound><backend><forward-request timeout=\"1\"/></backend>",
        request("PUT", "/")
            .grant("key.x-key")
            .backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    assert_eq!(
        world.simulation.forwarded().pop().unwrap().attached,
        ["key.x-key"]
    );
    // The state holds no more than that it is one.
    let state = world.simulation.variable("state").unwrap();
    assert!(!state.is_empty());
}

#[test]
fn control_a_variable_without_its_secret_adds_nothing() {
    let world = World::new(
        "<inbound><choose><when condition=\"@(context.Request.Method == &quot;PUT&quot;)\"><set-variable name=\"s\" value=\"{{key}}\"/></when></choose>\
         <set-header name=\"X-Key\"><value>@((string)context.Variables[\"s\"])</value></set-header></inbound><backend><forward-request timeout=\"1\"/></backend>",
        request("GET", "/")
            .grant("key.x-key")
            .backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Through);
    let sent = world.simulation.forwarded().pop().unwrap();
    assert_eq!((sent.attached, sent.headers), (vec![], vec![]));
}

#[test]
fn a_secret_that_is_not_granted_stops_the_request() {
    let world = World::new(
        "<inbound><set-header name=\"X-Key\"><value>{{key}}</value></set-header></inbound><backend><forward-request timeout=\"1\"/></backend>",
        request("GET", "/").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(world.simulation.forwarded(), []);
    assert!(world.warnings().join("\n").contains("SecretRefused"));
}

#[test]
fn where_the_host_forwards_secrets_are_attached_before_it_does() {
    for sections in [
        "<inbound><set-header name=\"X-Key\"><value>{{key}}</value></set-header></inbound><backend><forward-request/></backend>",
        "<inbound><set-header name=\"X-Key\"><value>{{key}}</value></set-header></inbound><backend><set-variable name=\"a\" value=\"b\"/><forward-request/></backend>",
        "<inbound><set-method>PUT</set-method></inbound><backend><set-header name=\"X-Key\"><value>{{key}}</value></set-header><forward-request/></backend>",
    ] {
        let world = World::new(sections, request("GET", "/").grant("key.x-key"));
        assert_eq!(world.run(), End::Through, "{sections}");
        assert_eq!(world.simulation.attached(), ["key.x-key"], "{sections}");
    }
}

#[test]
fn nothing_is_appended_to_what_a_secret_takes_the_place_of() {
    let simulation = || request("GET", "/").grant("key.x-key").grant("key.query.k");
    let append = "exists-action=\"append\"><value>2</value>";
    let header = "<set-header name=\"X-Key\"><value>{{key}}</value></set-header>";
    let query = "<set-query-parameter name=\"k\"><value>{{key}}</value></set-query-parameter>";
    for text in [
        format!("{header}<set-header name=\"x-KEY\" {append}</set-header>"),
        format!("{query}<set-query-parameter name=\"K\" {append}</set-query-parameter>"),
    ] {
        let (status, line, _) = failure(&text, simulation());
        assert_eq!(status, 500, "{text}");
        assert!(line.contains("exists-action has to be"), "{line}");
    }
    for text in [
        format!("{header}<set-header name=\"x-else\" {append}</set-header>"),
        format!("{query}<set-query-parameter name=\"else\" {append}</set-query-parameter>"),
    ] {
        let world = World::new(&format!("<inbound>{text}</inbound>"), simulation());
        assert_eq!(world.run(), End::Through, "control: {text}");
    }
}
