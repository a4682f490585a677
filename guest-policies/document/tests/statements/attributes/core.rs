//! Flow, messages, the backend.

use super::Case;
use crate::world::{End, World, backend, failure, inbound, outbound, request};

pub(super) const POLICIES: &[&str] = &[
    "choose",
    "retry",
    "wait",
    "include-fragment",
    "limit-concurrency",
    "return-response",
    "mock-response",
    "set-variable",
    "set-header",
    "set-query-parameter",
    "set-body",
    "set-method",
    "set-status",
    "rewrite-uri",
    "find-and-replace",
    "forward-request",
    "set-backend-service",
];

pub(super) const CASES: &[Case] = &[
    ("when", "condition", || {
        let when = |condition: &str| {
            sent_header(&format!(
                "<choose><when condition=\"{condition}\"><set-header name=\"x-a\"><value>1</value></set-header></when></choose>"
            ))
        };
        assert_eq!(when("@(1 == 1)").as_deref(), Some("1"));
        assert_eq!(when("@(1 == 2)"), None);
        let text = "<choose><when condition=\"@(context.Variables.GetValueOrDefault<string>(&quot;a&quot;))\"/></choose>";
        assert!(crate::world::refused(&format!("<inbound>{text}</inbound>")));
    }),
    ("retry", "condition", || {
        assert_eq!(tries("condition=\"false\" count=\"3\" interval=\"1\"").0, 1)
    }),
    ("retry", "count", || {
        assert_eq!(
            tries("condition=\"true\" count=\"@(1 + 1)\" interval=\"1\"").0,
            3
        );
        let (status, line, _) = failure(
            "<retry condition=\"true\" count=\"@(51)\" interval=\"1\"/>",
            request("GET", "/"),
        );
        assert_eq!(status, 500);
        assert!(line.contains("count has to be 1 to 50"), "{line}");
    }),
    ("retry", "interval", || {
        assert_eq!(
            tries("condition=\"true\" count=\"2\" interval=\"@(3)\"").1,
            6_000
        )
    }),
    ("retry", "delta", || {
        assert_eq!(
            tries("condition=\"true\" count=\"3\" interval=\"1\" delta=\"2\"").1,
            9_000
        )
    }),
    ("retry", "max-interval", || {
        let attributes =
            "condition=\"true\" count=\"3\" interval=\"1\" delta=\"1000\" max-interval=\"5\"";
        assert_eq!(tries(attributes).1, 15_000);
    }),
    ("retry", "first-fast-retry", || {
        let attributes = "condition=\"true\" count=\"2\" interval=\"4\" first-fast-retry=\"true\"";
        assert_eq!(tries(attributes).1, 4_000);
    }),
    ("wait", "for", || {
        let wait = |attribute: &str| {
            let choose = |name: &str| {
                format!(
                    "<choose><when condition=\"true\"><set-header name=\"{name}\"><value>1</value></set-header></when></choose>"
                )
            };
            let world = inbound(
                &format!(
                    "<wait {attribute}>{}{}</wait>",
                    choose("x-a"),
                    choose("x-b")
                ),
                request("GET", "/"),
            );
            world.simulation.exchange().request().header_names().len()
        };
        assert_eq!(
            (wait(""), wait("for=\"all\""), wait("for=\"any\"")),
            (2, 2, 1)
        );
        let (status, _, _) = failure(
            "<wait for=\"@(&quot;none&quot;)\"><choose><when condition=\"true\"/></choose></wait>",
            request("GET", "/"),
        );
        assert_eq!(status, 500);
    }),
    ("include-fragment", "fragment-id", || {
        let world = inbound(
            "<include-fragment fragment-id=\"shared\"/>",
            request("GET", "/"),
        );
        assert_eq!(
            world.simulation.request_header("x-fragment").as_deref(),
            Some("there")
        );
    }),
    ("limit-concurrency", "key", || {
        let nested = |inner: &str| {
            format!(
                "<limit-concurrency key=\"a\" max-count=\"1\"><limit-concurrency key=\"{inner}\" max-count=\"1\"/></limit-concurrency>"
            )
        };
        inbound(&nested("b"), request("GET", "/"));
        assert_eq!(
            failure(&nested("@(&quot;a&quot;)"), request("GET", "/")).0,
            429
        );
        assert_eq!(
            failure(&nested(&"a".repeat(129)), request("GET", "/")).0,
            500
        );
    }),
    ("limit-concurrency", "max-count", || {
        inbound(
            "<limit-concurrency key=\"a\" max-count=\"2\"><limit-concurrency key=\"a\" max-count=\"2\"/></limit-concurrency>",
            request("GET", "/"),
        );
    }),
    ("return-response", "response-variable-name", || {
        let (status, line, _) = failure(
            "<return-response response-variable-name=\"no\"/>",
            request("GET", "/"),
        );
        assert_eq!(status, 500);
        assert!(line.contains("response-variable-name"), "{line}");
    }),
    ("mock-response", "status-code", || {
        assert_eq!(mocked("status-code=\"404\"").0, 404)
    }),
    ("mock-response", "content-type", || {
        assert_eq!(
            mocked("content-type=\"text/plain\"").1.as_deref(),
            Some("text/plain")
        );
        assert_eq!(mocked("").1, None);
    }),
    ("mock-response", "index", || {
        assert_eq!(mocked("index=\"2\""), (200, None, String::new()))
    }),
    ("set-variable", "name", || {
        let world = "<set-variable name=\"A b\" value=\"1\"/><set-header name=\"x-a\"><value>@((string)context.Variables[\"A b\"] + context.Variables[\"a b\"])</value></set-header>";
        assert_eq!(sent_header(world).as_deref(), Some("1"));
    }),
    ("set-variable", "value", || {
        let world = "<set-variable name=\"a\" value=\"@(1 + 2)\"/><set-header name=\"x-a\"><value>@(((int)context.Variables[\"a\"]).ToString())</value></set-header>";
        assert_eq!(sent_header(world).as_deref(), Some("3"));
    }),
    ("set-header", "name", || {
        assert_eq!(sent_header("<set-header name=\"@(&quot;X-&quot; + &quot;A&quot;)\"><value>1</value></set-header>").as_deref(), Some("1"));
        assert_eq!(
            failure(
                "<set-header name=\"@(&quot;a b&quot;)\"><value>1</value></set-header>",
                request("GET", "/")
            )
            .0,
            500
        );
    }),
    ("set-header", "exists-action", || {
        let header = |action: &str, there: bool| {
            let simulation = request("GET", "/");
            let simulation = if there {
                simulation.header("x-a", "0")
            } else {
                simulation
            };
            let value = if action.contains("\"delete\"") {
                ""
            } else {
                "<value>1</value>"
            };
            let text = format!("<set-header name=\"x-a\" {action}>{value}</set-header>");
            inbound(&text, simulation).simulation.request_header("x-a")
        };
        for (action, there, expected) in [
            ("", true, Some("1")),
            ("exists-action=\"override\"", false, Some("1")),
            ("exists-action=\"skip\"", true, Some("0")),
            ("exists-action=\"skip\"", false, Some("1")),
            ("exists-action=\"append\"", true, Some("0,1")),
            ("exists-action=\"append\"", false, Some("1")),
            ("exists-action=\"delete\"", true, None),
            (
                "exists-action=\"@(&quot;de&quot; + &quot;lete&quot;)\"",
                true,
                None,
            ),
        ] {
            assert_eq!(
                header(action, there).as_deref(),
                expected,
                "{action} {there}"
            );
        }
        assert_eq!(
            failure(
                "<set-header name=\"x-a\" exists-action=\"@(&quot;no&quot;)\"/>",
                request("GET", "/")
            )
            .0,
            500
        );
    }),
    ("set-query-parameter", "name", || {
        assert_eq!(query("<set-query-parameter name=\"@(&quot;b&quot;)\"><value>1</value></set-query-parameter>").as_deref(), Some("a=0&b=1"));
    }),
    ("set-query-parameter", "exists-action", || {
        for (action, expected) in [
            ("", Some("a=1&a=2")),
            ("exists-action=\"override\"", Some("a=1&a=2")),
            ("exists-action=\"skip\"", Some("a=0")),
            ("exists-action=\"append\"", Some("a=0&a=1&a=2")),
            ("exists-action=\"delete\"", None),
        ] {
            let values = if action.contains("delete") {
                ""
            } else {
                "<value>1</value><value>2</value>"
            };
            let text =
                format!("<set-query-parameter name=\"a\" {action}>{values}</set-query-parameter>");
            assert_eq!(query(&text).as_deref(), expected, "{action}");
        }
    }),
    ("set-body", "template", || {
        assert_eq!(body("template=\"none\""), "{{a}}")
    }),
    // They are about templates alone.
    ("set-body", "xsi-nil", || {
        assert_eq!(body("xsi-nil=\"null\""), "{{a}}")
    }),
    ("set-body", "parse-date", || {
        assert_eq!(body("parse-date=\"true\""), "{{a}}")
    }),
    ("set-status", "code", || {
        assert_eq!(status("<set-status code=\"@(400 + 4)\"/>").0, 404);
        assert_eq!(
            failure("<set-status code=\"@(600)\"/>", request("GET", "/")).0,
            500
        );
        assert_eq!(
            failure("<set-status code=\"@(100)\"/>", request("GET", "/")).0,
            500
        );
    }),
    ("set-status", "reason", || {
        assert_eq!(
            status("<set-status code=\"404\" reason=\"@(&quot;Not &quot; + &quot;here&quot;)\"/>")
                .1,
            "Not here"
        );
        assert_eq!(status("<set-status code=\"404\"/>").1, "Not Found");
    }),
    ("rewrite-uri", "template", || {
        let world = inbound("<rewrite-uri template=\"/b?c=1\"/>", request("GET", "/a"));
        assert_eq!(world.simulation.path(), "/b");
        assert_eq!(
            world.simulation.exchange().query_text().as_deref(),
            Some("c=1")
        );
        assert_eq!(
            failure(
                "<rewrite-uri template=\"@((string)null)\"/>",
                request("GET", "/a")
            )
            .0,
            500
        );
    }),
    ("rewrite-uri", "copy-unmatched-params", || {
        for (copies, expected) in [
            ("", Some("x=1")),
            ("copy-unmatched-params=\"@(false)\"", None),
        ] {
            let world = inbound(
                &format!("<rewrite-uri template=\"/b\" {copies}/>"),
                request("GET", "/a?x=1"),
            );
            assert_eq!(
                world.simulation.exchange().query_text().as_deref(),
                expected
            );
        }
    }),
    ("find-and-replace", "from", || {
        assert_eq!(replaced("from=\"@(&quot;b&quot;)\" to=\"x\""), "axcx");
        assert_eq!(
            failure(
                "<find-and-replace from=\"@(&quot;&quot;)\" to=\"x\"/>",
                request("GET", "/")
            )
            .0,
            500
        );
    }),
    ("find-and-replace", "to", || {
        assert_eq!(replaced("from=\"b\" to=\"@((string)null)\""), "ac")
    }),
    ("forward-request", "timeout", || {
        let patience = |attributes: &str| forwarded(attributes).0.timeout_milliseconds;
        assert_eq!(patience("timeout=\"@(5)\""), Some(5_000));
        assert_eq!(patience("buffer-request-body=\"true\""), Some(300_000));
        assert_eq!(patience("timeout=\"0\""), None);
    }),
    ("forward-request", "timeout-ms", || {
        assert_eq!(
            forwarded("timeout-ms=\"@(50)\"").0.timeout_milliseconds,
            Some(50)
        )
    }),
    // Nobody waits for a 100, the host and the backend agree on a version, and an answer
    // is passed on as it comes: nothing to be seen of these here.
    ("forward-request", "continue-timeout", || {
        assert_eq!(forwarded("continue-timeout=\"1\"").1, End::Through)
    }),
    ("forward-request", "http-version", || {
        assert_eq!(forwarded("http-version=\"2or1\"").1, End::Through)
    }),
    ("forward-request", "buffer-response", || {
        assert_eq!(forwarded("buffer-response=\"false\"").1, End::Through)
    }),
    ("forward-request", "follow-redirects", || {
        assert_eq!(forwarded("follow-redirects=\"false\"").1, End::Through);
        for follows in ["true", "@(true)"] {
            let text = format!("<forward-request follow-redirects=\"{follows}\"/>");
            assert!(crate::world::refused(&format!("<backend>{text}</backend>")));
        }
    }),
    ("forward-request", "buffer-request-body", || {
        let twice = |kept: &str| {
            let text =
                format!("<forward-request buffer-request-body=\"{kept}\"/><forward-request/>");
            backend(
                &text,
                request("POST", "/").body(b"a").backend(Ok((200, b""))),
            )
            .1
        };
        assert_eq!((twice("true"), twice("false")), (End::Through, End::Failed));
    }),
    ("forward-request", "fail-on-error-status-code", || {
        for (fails, status, end) in [
            ("false", 404, End::Through),
            ("true", 399, End::Through),
            ("true", 404, End::Failed),
        ] {
            let text =
                format!("<forward-request fail-on-error-status-code=\"{fails}\" timeout=\"1\"/>");
            let (world, ended) =
                backend(&text, request("GET", "/").backend(Ok((status, b"private"))));
            assert_eq!((ended, world.simulation.status()), (end, Some(status)));
            assert_eq!(
                world.simulation.response_body().contains("private"),
                end == End::Through
            );
        }
    }),
    ("set-backend-service", "base-url", || {
        let (route, path) = chosen("base-url=\"https://prices.example/v2\"");
        assert_eq!((&*route, &*path), ("prices", "/v2/a"));
    }),
    ("set-backend-service", "backend-id", || {
        let (route, path) = chosen("backend-id=\"@(&quot;cheap&quot;)\"");
        assert_eq!((&*route, &*path), ("cheap", "/a"));
        assert_eq!(
            failure(
                "<set-backend-service backend-id=\"@(&quot;else&quot;)\"/>",
                request("GET", "/")
            )
            .0,
            500
        );
    }),
];

fn sent_header(statements: &str) -> Option<String> {
    inbound(statements, request("GET", "/"))
        .simulation
        .request_header("x-a")
}

/// How often the steps ran, and how long was waited.
fn tries(attributes: &str) -> (usize, u64) {
    let text = format!(
        "<retry {attributes}><set-query-parameter name=\"n\" exists-action=\"append\"><value>1</value></set-query-parameter></retry>"
    );
    let world = inbound(&text, request("GET", "/"));
    let query = world.simulation.exchange().query_text().unwrap();
    (query.matches("n=1").count(), world.simulation.slept())
}

fn mocked(attributes: &str) -> (u16, Option<String>, String) {
    let world = World::new(
        &format!("<inbound><mock-response {attributes}/></inbound>"),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Answered);
    let simulation = &world.simulation;
    (
        simulation.status().unwrap(),
        simulation.response_header("content-type"),
        simulation.response_body(),
    )
}

fn query(statements: &str) -> Option<String> {
    inbound(statements, request("GET", "/?a=0"))
        .simulation
        .exchange()
        .query_text()
}

fn body(attributes: &str) -> String {
    let text = format!("<set-body {attributes}>@(\"{{\" + \"{{a}}\" + \"}}\")</set-body>");
    inbound(&text, request("POST", "/"))
        .simulation
        .request_body()
}

fn status(statements: &str) -> (u16, String) {
    let text = format!(
        "{statements}<set-header name=\"x-a\"><value>@(context.Response.StatusReason)</value></set-header>"
    );
    let world = outbound(&text, request("GET", "/").answered(200));
    (
        world.simulation.status().unwrap(),
        world.simulation.response_header("x-a").unwrap(),
    )
}

fn replaced(attributes: &str) -> String {
    inbound(
        &format!("<find-and-replace {attributes}/>"),
        request("POST", "/").body(b"abcb"),
    )
    .simulation
    .request_body()
}

fn forwarded(attributes: &str) -> (keyward_policy::testing::Call, End) {
    // Another one after it keeps the host from doing it.
    let text = format!("<forward-request {attributes}/><set-variable name=\"a\" value=\"b\"/>");
    let (world, end) = backend(&text, request("GET", "/").backend(Ok((200, b""))));
    (world.simulation.forwarded().pop().unwrap(), end)
}

fn chosen(attributes: &str) -> (String, String) {
    let (world, end) = backend(
        &format!("<set-backend-service {attributes}/><forward-request/>"),
        request("GET", "/a").backend(Ok((200, b""))),
    );
    assert_eq!(end, End::Through);
    let sent = world.simulation.forwarded().pop().unwrap();
    (sent.route, sent.path)
}
