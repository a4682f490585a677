//! Headers, the query, the method, the status, variables.

use super::world::{End, World, failure, inbound, outbound, request, result};

#[test]
fn several_values_of_a_header_are_one_line_and_those_with_commas_are_several() {
    let world = outbound(
        "<set-header name=\"x-a\"><value>1</value><value>2</value></set-header>\
         <set-header name=\"Set-Cookie\"><value>a=1</value><value>b=2</value></set-header>",
        request("GET", "/").answered(200),
    );
    let exchange = world.simulation.exchange();
    let lines = |name: &str| exchange.response().header_values(name).count();
    assert_eq!(
        world.simulation.response_header("x-a").as_deref(),
        Some("1,2")
    );
    assert_eq!((lines("x-a"), lines("set-cookie")), (1, 2));
}

#[test]
fn append_joins_what_is_there_and_adds_what_is_not() {
    let append = |name: &str| {
        format!(
            "<set-header name=\"{name}\" exists-action=\"append\"><value>2</value></set-header>"
        )
    };
    let world = inbound(
        &format!("{}{}{}", append("x-a"), append("x-b"), append("User-Agent")),
        request("GET", "/")
            .header("x-a", "1")
            .header("user-agent", "u"),
    );
    let exchange = world.simulation.exchange();
    assert_eq!(
        world.simulation.request_header("x-a").as_deref(),
        Some("1,2")
    );
    assert_eq!(world.simulation.request_header("x-b").as_deref(), Some("2"));
    assert_eq!(exchange.request().header_values("user-agent").count(), 2);
}

#[test]
fn inbound_and_backend_change_the_request_and_outbound_and_on_error_the_response() {
    let set = |name: &str| format!("<set-header name=\"{name}\"><value>1</value></set-header>");
    let world = World::new(
        &format!(
            "<inbound>{}</inbound><backend>{}<forward-request timeout=\"1\"/></backend><outbound>{}<set-variable name=\"x\" value=\"@((string)null + context.Variables[&quot;no&quot;].ToString())\"/></outbound><on-error>{}</on-error>",
            set("x-in"),
            set("x-back"),
            set("x-out"),
            set("x-error")
        ),
        request("GET", "/").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Failed);
    let sent = world.simulation.forwarded().pop().unwrap();
    let names: Vec<&str> = sent.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["x-in", "x-back"]);
    // The answer to a failure is a new one.
    assert_eq!(world.simulation.response_header("x-out"), None);
    assert_eq!(
        world.simulation.response_header("x-error").as_deref(),
        Some("1")
    );
}

#[test]
fn a_null_is_no_value() {
    let null = "<value>@((string)null)</value>";
    let world = inbound(
        &format!(
            "<set-header name=\"x-a\">{null}</set-header><set-header name=\"x-b\">{null}<value>1</value></set-header>"
        ),
        request("GET", "/").header("x-a", "1"),
    );
    assert_eq!(world.simulation.request_header("x-a"), None);
    assert_eq!(world.simulation.request_header("x-b").as_deref(), Some("1"));
}

#[test]
fn a_line_end_in_a_header_is_an_error_and_no_second_header() {
    let (status, line, world) = failure(
        "<set-header name=\"x-a\"><value>@(\"1\" + (char)13 + (char)10 + \"x-b: 2\")</value></set-header>",
        request("GET", "/"),
    );
    assert_eq!(status, 500);
    assert!(
        line.starts_with(
            "set-header failed: ExpressionValueEvaluationFailure at inbound/set-header[1]"
        ),
        "{line}"
    );
    assert!(!line.contains("x-b"), "{line}");
    assert_eq!(world.simulation.request_header("x-a"), None);
}

#[test]
fn headers_that_the_host_writes_are_an_error() {
    for name in ["Content-Length", "Connection", "Transfer-Encoding", "Host"] {
        let (status, _, _) = failure(
            &format!("<set-header name=\"@(&quot;{name}&quot;)\"><value>1</value></set-header>"),
            request("GET", "/"),
        );
        assert_eq!(status, 500, "{name}");
    }
}

#[test]
fn query_parameters_are_encoded_and_found_without_case() {
    let world = inbound(
        "<set-query-parameter name=\"A b\"><value>1&amp;2=ü</value></set-query-parameter>\
         <set-query-parameter name=\"KEPT\" exists-action=\"skip\"><value>2</value></set-query-parameter>",
        request("GET", "/?kept=1&a%20B=0"),
    );
    assert_eq!(
        world.simulation.exchange().query_text().as_deref(),
        Some("kept=1&A%20b=1%262%3D%C3%BC")
    );
}

#[test]
fn a_status_that_is_set_before_there_is_a_response_makes_one() {
    let code = "@(context.Response == null ? \"none\" : context.Response.StatusCode + context.Response.StatusReason)";
    assert_eq!(result(code, request("GET", "/")).as_deref(), Some("none"));
    let world = inbound(
        &format!(
            "<set-status code=\"404\" reason=\"Gone fishing\"/><set-header name=\"x-result\"><value>{code}</value></set-header>"
        ),
        request("GET", "/"),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some("404Gone fishing")
    );
}

#[test]
fn a_literal_variable_is_a_string() {
    let world = inbound(
        "<set-variable name=\"a\" value=\"true\"/><set-variable name=\"b\" value=\"@(true)\"/>\
         <set-header name=\"x-result\"><value>@(context.Variables[\"a\"].ToString() + context.Variables[\"b\"] + (bool)context.Variables[\"b\"])</value></set-header>",
        request("GET", "/"),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some("trueTrueTrue")
    );
    let (_, line, _) = failure(
        "<set-variable name=\"a\" value=\"true\"/><set-header name=\"x\"><value>@(((bool)context.Variables[\"a\"]).ToString())</value></set-header>",
        request("GET", "/"),
    );
    assert!(line.contains("InvalidCastException"), "{line}");
}

#[test]
fn a_variable_that_is_not_there_is_null_and_one_with_a_secret_is_there_and_unreadable() {
    let read =
        |text: &str| format!("<set-header name=\"x-result\"><value>@({text})</value></set-header>");
    let world = inbound(
        &read("(context.Variables[\"no\"] == null) + \"\" + context.Variables.ContainsKey(\"no\")"),
        request("GET", "/"),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some("TrueFalse")
    );
    let world = inbound(
        &format!(
            "<set-variable name=\"s\" value=\"{{{{key}}}}\"/>{}",
            read("context.Variables.ContainsKey(\"s\").ToString()")
        ),
        request("GET", "/"),
    );
    assert_eq!(
        world.simulation.request_header("x-result").as_deref(),
        Some("True")
    );
}

#[test]
fn a_part_of_the_request_is_no_variables_value() {
    let (status, line, _) = failure(
        "<set-variable name=\"u\" value=\"@(context.Request.Headers)\"/>",
        request("GET", "/"),
    );
    assert_eq!(status, 500);
    assert!(line.contains("set-variable failed"), "{line}");
}

#[test]
fn an_expression_that_comes_upon_a_secret_throws() {
    for read in [
        "context.Variables[context.Request.Method]",
        "context.Variables.GetValueOrDefault<string>(context.Request.Method, \"none\")",
    ] {
        let (status, line, world) = failure(
            &format!(
                "<set-variable name=\"GET\" value=\"{{{{key}}}}\"/><set-variable name=\"x\" value=\"@({read})\"/>"
            ),
            request("GET", "/"),
        );
        assert_eq!(status, 500);
        assert!(line.contains("InvalidOperationException"), "{line}");
        assert!(line.contains("holds a secret"), "{line}");
        assert_eq!(world.simulation.attached(), Vec::<String>::new());
    }
}
