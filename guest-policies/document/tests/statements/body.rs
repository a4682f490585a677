//! Bodies: read, taken, set.

use super::world::{End, World, backend, failure, inbound, outbound, request};

fn read(preserve: bool, name: &str) -> String {
    format!("<set-header name=\"{name}\"><value>@(context.Request.Body.As<string>({preserve}))</value></set-header>")
        .replace("(true)", "(preserveContent: true)")
        .replace("(false)", "()")
}

fn post(body: &[u8]) -> keyward_policy::testing::Simulation {
    request("POST", "/").body(body).backend(Ok((200, b"")))
}

const FORWARD: &str = "<backend><forward-request timeout=\"1\"/></backend>";

#[test]
fn a_body_that_is_preserved_is_read_again_and_forwarded() {
    let world = World::new(
        &format!(
            "<inbound>{}{}</inbound>{FORWARD}",
            read(true, "x-a"),
            read(true, "x-b")
        ),
        post(b"hello"),
    );
    assert_eq!(world.run(), End::Through, "{:?}", world.simulation.log());
    let sent = world.simulation.forwarded().pop().unwrap();
    assert_eq!(sent.body, b"hello");
    let header = |name: &str| world.simulation.request_header(name);
    assert_eq!(
        (header("x-a"), header("x-b")),
        (Some("hello".into()), Some("hello".into()))
    );
}

#[test]
fn a_body_that_is_taken_is_not_forwarded() {
    let world = World::new(
        &format!("<inbound>{}</inbound>{FORWARD}", read(false, "x-a")),
        post(b"hello"),
    );
    assert_eq!(world.run(), End::Through);
    assert_eq!(world.simulation.forwarded().pop().unwrap().body, b"");
}

#[test]
fn a_body_that_is_taken_can_not_be_read_again_not_even_in_a_later_phase() {
    let (_, line, _) = failure(
        &format!("{}{}", read(false, "x-a"), read(true, "x-b")),
        post(b"hello"),
    );
    assert!(line.contains("InvalidOperationException"), "{line}");
    let world = World::new(
        &format!(
            "<inbound>{}</inbound><backend>{}<forward-request/></backend>",
            read(false, "x-a"),
            read(false, "x-b")
        ),
        post(b"hello"),
    );
    assert_eq!(world.run(), End::Failed);
}

#[test]
fn a_body_that_is_set_after_it_was_taken_is_forwarded() {
    let set = "<set-body>@(context.Request.Body.As<string>().ToUpper())</set-body>";
    let world = World::new(
        &format!("<inbound>{set}</inbound>{FORWARD}"),
        post(b"hello"),
    );
    assert_eq!(world.run(), End::Through);
    assert_eq!(world.simulation.forwarded().pop().unwrap().body, b"HELLO");
}

#[test]
fn a_body_that_is_set_twice_is_the_second_one() {
    let world = inbound(
        "<set-body>one</set-body><set-body>two</set-body>",
        post(b"hello"),
    );
    assert_eq!(world.simulation.request_body(), "two");
}

#[test]
fn a_body_that_is_set_for_each_try_is_sent_with_each() {
    for kept in ["true", "false"] {
        let (world, end) = backend(
            &format!(
                "<set-variable name=\"n\" value=\"@(0)\"/><retry condition=\"@((int)context.Variables[\"n\"] < 3)\" count=\"5\">\
                 <set-variable name=\"n\" value=\"@((int)context.Variables[\"n\"] + 1)\"/>\
                 <set-body>@(\"try \" + context.Variables[\"n\"])</set-body><forward-request buffer-request-body=\"{kept}\"/></retry>"
            ),
            post(b"hello"),
        );
        assert_eq!(end, End::Through, "{:?}", world.simulation.log());
        let bodies: Vec<_> = world
            .simulation
            .forwarded()
            .into_iter()
            .map(|call| call.body)
            .collect();
        assert_eq!(bodies, [b"try 1", b"try 2", b"try 3"], "{kept}");
    }
}

#[test]
fn a_request_that_can_have_no_body_gets_none() {
    let (status, line, _) = failure("<set-body>x</set-body>", request("GET", "/"));
    assert_eq!(status, 500);
    assert!(line.contains("the message has no body"), "{line}");
    let world = inbound(
        "<set-method>POST</set-method><set-body>x</set-body>",
        request("GET", "/"),
    );
    assert_eq!(world.simulation.request_body(), "x");
}

#[test]
fn a_body_may_be_bytes_and_a_null_is_an_empty_one() {
    let world = inbound(
        "<set-body>@(Convert.FromBase64String(\"AQL/\"))</set-body>",
        post(b"hello"),
    );
    assert_eq!(
        world.simulation.exchange().request().body(10),
        Ok(vec![1, 2, 255])
    );
    let world = inbound("<set-body>@((string)null)</set-body>", post(b"hello"));
    assert_eq!(world.simulation.request_body(), "");
}

#[test]
fn the_body_of_a_response_that_is_taken_is_empty_for_the_client() {
    let take = |preserve: &str| {
        let world = outbound(
            &format!(
                "<set-header name=\"x-a\"><value>@(context.Response.Body.As<JObject>({preserve})[\"a\"].ToString())</value></set-header>"
            ),
            request("GET", "/")
                .answered(200)
                .answered_body(b"{\"a\": 1}"),
        );
        assert_eq!(
            world.simulation.response_header("x-a").as_deref(),
            Some("1")
        );
        world.simulation.response_body()
    };
    assert_eq!(take(""), "");
    assert_eq!(take("preserveContent: true"), "{\"a\": 1}");
}

#[test]
fn a_text_is_replaced_wherever_it_is_in_the_bytes_of_a_body() {
    let world = outbound(
        "<find-and-replace from=\"@(&quot;in&quot; + &quot;ner&quot;)\" to=\"outer\"/>",
        request("GET", "/")
            .answered(200)
            .answered_body(b"\xffinner innner inner"),
    );
    let body = world.simulation.exchange().response().body(100);
    assert_eq!(body, Ok(b"\xffouter innner outer".to_vec()));
}

#[test]
fn there_is_no_body_where_the_request_has_none() {
    let world = inbound(
        "<set-header name=\"x-a\"><value>@((context.Request.Body == null).ToString())</value></set-header>",
        request("GET", "/"),
    );
    assert_eq!(
        world.simulation.request_header("x-a").as_deref(),
        Some("True")
    );
}

#[test]
fn a_body_of_a_mebibyte_is_searched() {
    let mut body = vec![b'x'; 1 << 20];
    body.extend_from_slice(b"old");
    let world = inbound(
        "<find-and-replace from=\"old\" to=\"new\"/>",
        request("POST", "/").body(&body),
    );
    assert!(world.simulation.request_body().ends_with("xnew"));
}
