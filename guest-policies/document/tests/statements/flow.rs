//! What runs, how often, and where it ends.

use keyward_policy::Failure;

use super::world::{End, World, backend, failure, inbound, request};

fn set(name: &str) -> String {
    format!("<set-header name=\"{name}\"><value>1</value></set-header>")
}

#[test]
fn the_first_branch_whose_condition_is_true_runs_and_no_other() {
    let choose = |first: &str, second: &str| {
        format!(
            "<choose><when condition=\"{first}\">{}</when><when condition=\"{second}\">{}</when><otherwise>{}</otherwise></choose>",
            set("x-a"),
            set("x-b"),
            set("x-c")
        )
    };
    for (first, second, ran) in [
        ("true", "@(true)", "x-a"),
        (
            "@(context.Request.Method == &quot;PUT&quot;)",
            "true",
            "x-b",
        ),
        ("false", "false", "x-c"),
    ] {
        let world = inbound(&choose(first, second), request("GET", "/"));
        let exchange = world.simulation.exchange();
        assert_eq!(exchange.request().header_names(), [ran], "{first} {second}");
    }
}

/// Answers of the backend, and how often it was asked and how long was waited.
fn retried(attributes: &str, answers: &[u16]) -> (usize, u64, u16) {
    let mut simulation = request("GET", "/");
    for answer in answers {
        simulation = simulation.backend(Ok((*answer, b"")));
    }
    let (world, end) = backend(
        &format!(
            "<retry condition=\"@(context.Response.StatusCode == 503)\" {attributes}><forward-request buffer-request-body=\"true\"/></retry>"
        ),
        simulation,
    );
    assert_eq!(end, End::Through, "{:?}", world.simulation.log());
    let simulation = &world.simulation;
    (
        simulation.forwarded().len(),
        simulation.slept(),
        simulation.status().unwrap(),
    )
}

#[test]
fn count_is_the_number_of_retries_and_the_condition_is_looked_at_after_each_run() {
    assert_eq!(
        retried("count=\"3\" interval=\"2\"", &[503]),
        (4, 6_000, 503)
    );
    assert_eq!(
        retried("count=\"3\" interval=\"2\"", &[503, 503, 200]),
        (3, 4_000, 200)
    );
    assert_eq!(retried("count=\"3\" interval=\"2\"", &[200]), (1, 0, 200));
}

#[test]
fn waiting_grows_by_delta_and_exponentially_up_to_a_most() {
    let attributes = "count=\"3\" interval=\"1\" delta=\"10\"";
    assert_eq!(
        retried(attributes, &[503]),
        (4, 1_000 + 11_000 + 21_000, 503)
    );
    let attributes = "count=\"2\" interval=\"1\" delta=\"10\" first-fast-retry=\"true\"";
    assert_eq!(retried(attributes, &[503]), (3, 11_000, 503));
    let attributes = "count=\"4\" interval=\"1\" delta=\"10\" max-interval=\"60\"";
    let (tries, slept, _) = retried(attributes, &[503]);
    // 1 s and 8 to 12 s, 24 to 36 s, 56 to 84 s; 60 s at most.
    assert_eq!(tries, 5);
    assert!(
        (9_000 + 25_000 + 57_000 + 60_000..=13_000 + 37_000 + 60_000 + 60_000).contains(&slept),
        "{slept}"
    );
}

#[test]
fn a_statement_that_fails_in_a_retry_ends_it() {
    let (world, end) = backend(
        "<retry condition=\"true\" count=\"3\" interval=\"1\"><forward-request/></retry>",
        request("GET", "/").backend(Err(keyward_policy::ForwardFailure::TimedOut)),
    );
    assert_eq!(end, End::Failed);
    assert_eq!(world.simulation.forwarded().len(), 1);
    assert_eq!(world.simulation.status(), Some(504));
}

/// Retries within retries: each alone is within its bounds, all together are too many.
#[test]
fn statements_cost_steps_and_end_when_these_are_used_up() {
    let nested = (0..4).fold(set("x-a"), |inside, _| {
        format!("<retry condition=\"true\" count=\"50\">{inside}</retry>")
    });
    let (status, line, _) = failure(&nested, request("GET", "/"));
    assert_eq!(status, 500);
    assert!(line.contains("ExpressionValueEvaluationFailure"), "{line}");
    let alone = format!(
        "<retry condition=\"true\" count=\"50\">{}</retry>",
        set("x-a")
    );
    let world = inbound(&alone, request("GET", "/"));
    assert!(world.simulation.request_header("x-a").is_some());
}

#[test]
fn above_the_limit_of_concurrency_the_answer_is_429_at_once() {
    let limited = |inside: &str| {
        format!(
            "<limit-concurrency key=\"@(&quot;k&quot;)\" max-count=\"1\">{inside}</limit-concurrency>"
        )
    };
    let world = inbound(
        &format!("{0}{0}", limited(&set("x-a"))),
        request("GET", "/"),
    );
    assert!(world.simulation.request_header("x-a").is_some());
    let (status, line, _) = failure(&limited(&limited("")), request("GET", "/"));
    assert_eq!(status, 429);
    assert!(line.contains("ConcurrencyLimitExceeded"), "{line}");
}

#[test]
fn a_returned_response_ends_the_pipeline() {
    let world = World::new(
        &format!(
            "<inbound><return-response/>{0}</inbound><backend><forward-request timeout=\"1\"/></backend><outbound>{0}</outbound>",
            set("x-a")
        ),
        request("GET", "/").backend(Ok((200, b""))),
    );
    assert_eq!(world.run(), End::Answered);
    assert_eq!(world.simulation.status(), Some(200));
    assert_eq!(world.simulation.response_body(), "");
    assert_eq!(world.simulation.forwarded(), []);
    assert_eq!(world.simulation.request_header("x-a"), None);
}

#[test]
fn a_returned_response_may_be_one_of_a_variable_and_what_changes_it() {
    // Nothing but a call leaves a response in a variable, so a wrong one is what there is.
    let (status, line, _) = failure(
        "<set-variable name=\"r\" value=\"x\"/><return-response response-variable-name=\"r\"/>",
        request("GET", "/"),
    );
    assert_eq!(status, 500);
    assert!(line.contains("a variable that holds a response"), "{line}");
}

#[test]
fn values_of_a_returned_response_are_about_what_was_there_before() {
    let world = World::new(
        "<outbound><set-status code=\"418\"/><return-response><set-status code=\"201\"/><set-header name=\"x-before\"><value>@(context.Response.StatusCode.ToString())</value></set-header><set-body>@(context.Response.StatusCode + &quot;!&quot;)</set-body></return-response></outbound>".replace("&quot;", "\"").as_str(),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Answered);
    assert_eq!(world.simulation.status(), Some(201));
    assert_eq!(
        world.simulation.response_header("x-before").as_deref(),
        Some("418")
    );
    assert_eq!(world.simulation.response_body(), "418!");
}

#[test]
fn a_fragments_statements_run_where_it_is_included() {
    let world = inbound(
        &format!(
            "{}<include-fragment fragment-id=\"shared\"/>{}",
            set("x-a"),
            set("x-b")
        ),
        request("GET", "/"),
    );
    let names = world.simulation.exchange().request().header_names();
    assert_eq!(names, ["x-a", "x-fragment", "x-b"]);
}

#[test]
fn a_place_is_given_back_also_when_a_statement_fails() {
    let world = World::new(
        "<inbound><limit-concurrency key=\"k\" max-count=\"1\"><rewrite-uri template=\"@((string)null)\"/></limit-concurrency></inbound>",
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    let exchange = world.simulation.exchange();
    assert_eq!(
        exchange.enter("k", 1).map(|place| place.is_some()),
        Ok(true)
    );
    assert_eq!(exchange.enter("", 1).map(|_| ()), Err(Failure::Invalid));
}
