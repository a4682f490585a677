//! What fails, and what the client then gets.

use keyward_policy::{ErrorSource, Verdict};

use super::world::{End, World, failure, request};

const THROWS: &str = "<set-variable name=\"a\" value=\"@(((string)null).Length.ToString() + &quot;private&quot;)\"/>";

const TOLD: &str = "<set-header name=\"x-error\"><value>@(string.Join(\"|\", context.LastError.Source, context.LastError.Reason, context.LastError.Message, context.LastError.Section, context.LastError.Path, context.LastError.PolicyId, context.Response.StatusCode))</value></set-header>";

#[test]
fn an_expression_that_throws_is_told_to_on_error_and_not_to_the_client() {
    let text = format!(
        "<policies id=\"mine\"><inbound><choose><when condition=\"true\">{THROWS}</when></choose></inbound><on-error>{TOLD}</on-error></policies>"
    );
    let world = World::of(
        &[(None, &text)],
        &super::world::bindings(),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed, "{:?}", world.simulation.log());
    assert_eq!(
        world.simulation.response_header("x-error").as_deref(),
        Some(
            "set-variable|ExpressionValueEvaluationFailure|Expression evaluation failed. NullReferenceException|inbound|choose[1]/when[1]/set-variable[1]|mine|500"
        )
    );
    assert_eq!(world.simulation.status(), Some(500));
    assert_eq!(
        world.simulation.response_body(),
        "{ \"statusCode\": 500, \"message\": \"Internal server error\" }"
    );
    assert_eq!(
        world.simulation.response_header("content-type").as_deref(),
        Some("application/json")
    );
    let lines = world.warnings();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines.join("").starts_with("set-variable failed: ExpressionValueEvaluationFailure at inbound/choose[1]/when[1]/set-variable[1] (NullReferenceException"), "{lines:?}");
    assert!(!lines.join("").contains("private"), "{lines:?}");
}

#[test]
fn on_error_makes_another_answer() {
    let world = World::new(
        &format!(
            "<inbound>{THROWS}</inbound><on-error><set-status code=\"418\" reason=\"Tea\"/><set-header name=\"content-type\"><value>text/plain</value></set-header><set-body>@(\"no \" + context.Response.StatusReason)</set-body></on-error>"
        ),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(world.simulation.status(), Some(418));
    assert_eq!(world.simulation.response_body(), "no Tea");
    assert_eq!(
        world.simulation.response_header("content-type").as_deref(),
        Some("text/plain")
    );
}

#[test]
fn what_on_error_says_of_the_default_bodys_type_stays() {
    let world = World::new(
        &format!(
            "<inbound>{THROWS}</inbound><on-error><set-header name=\"Content-Type\"><value>application/problem+json</value></set-header></on-error>"
        ),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(
        world.simulation.response_header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert!(world.simulation.response_body().contains("500"));
}

#[test]
fn a_status_alone_is_in_the_answer_too() {
    let world = World::new(
        &format!("<inbound>{THROWS}</inbound><on-error><set-status code=\"503\"/></on-error>"),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(
        world.simulation.response_body(),
        "{ \"statusCode\": 503, \"message\": \"Service Unavailable\" }"
    );
}

#[test]
fn on_error_may_return_a_response() {
    let world = World::new(
        &format!(
            "<inbound>{THROWS}</inbound><on-error><return-response><set-status code=\"200\"/></return-response></on-error>"
        ),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(
        (world.simulation.status(), world.simulation.response_body()),
        (Some(200), String::new())
    );
}

#[test]
fn an_error_in_on_error_is_a_plain_500() {
    let world = World::new(
        &format!(
            "<inbound>{THROWS}</inbound><on-error><set-status code=\"418\"/><set-body>private</set-body>{THROWS}<set-status code=\"419\"/></on-error>"
        ),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(world.simulation.status(), Some(500));
    assert_eq!(
        world.simulation.response_body(),
        "{ \"statusCode\": 500, \"message\": \"Internal server error\" }"
    );
}

#[test]
fn a_failure_of_the_host_has_a_source_and_a_reason() {
    for (source, told, status) in [
        (
            ErrorSource::BackendUnavailable,
            "forward-request|BackendConnectionFailure",
            502,
        ),
        (
            ErrorSource::BackendRefused,
            "forward-request|BackendConnectionFailure",
            502,
        ),
        (
            ErrorSource::SecretRefused,
            "forward-request|SecretRefused",
            500,
        ),
        (ErrorSource::PolicyFailed, "wasm-policy|PolicyFailed", 500),
        (ErrorSource::PolicyStopped, "wasm-policy|PolicyStopped", 500),
        (ErrorSource::HostFailed, "gateway|HostFailed", 500),
    ] {
        let world = World::new(&format!("<on-error>{TOLD}</on-error>"), request("GET", "/"));
        assert_eq!(world.on_error(source), End::Failed);
        let error = world.simulation.response_header("x-error").unwrap();
        assert!(error.starts_with(told), "{error}");
        assert!(error.ends_with(&status.to_string()), "{error}");
    }
}

#[test]
fn the_scope_of_the_document_is_told() {
    use keyward_document::policies::Scope;
    let text = format!(
        "<policies><inbound>{THROWS}</inbound><on-error><set-header name=\"x-scope\"><value>@(context.LastError.Scope)</value></set-header></on-error></policies>"
    );
    let world = World::of(
        &[(Some(Scope::Api), &text)],
        &super::world::bindings(),
        request("GET", "/"),
    );
    assert_eq!(world.run(), End::Failed);
    assert_eq!(
        world.simulation.response_header("x-scope").as_deref(),
        Some("api")
    );
}

#[test]
fn steps_without_an_end_are_an_error() {
    let add = "<set-variable name=\"a\" value=\"@(context.Variables[&quot;a&quot;] + (string)context.Variables[&quot;a&quot;])\"/>".repeat(24);
    let (status, line, _) = failure(
        &format!("<set-variable name=\"a\" value=\"0123456789\"/>{add}"),
        request("GET", "/"),
    );
    assert_eq!(status, 500);
    assert!(line.contains("OutOfMemoryException"), "{line}");
}

#[test]
fn other_policies_of_on_error_run_between_the_documents_segments() {
    let world = World::new(
        &format!(
            "<inbound>{THROWS}</inbound><on-error><set-status code=\"418\"/><wasm-policy name=\"log\"/><set-header name=\"x-a\"><value>@(context.Response.StatusCode.ToString())</value></set-header></on-error>"
        ),
        request("GET", "/"),
    );
    let exchange = world.simulation.exchange();
    assert_eq!(
        document::inbound(&world.settings, &exchange),
        Ok(Verdict::Fail)
    );
    let source = ErrorSource::PolicyFailed;
    let next = || document::on_error(&world.settings, &world.simulation.exchange(), source);
    assert_eq!(next(), Ok(Verdict::Proceed));
    assert_eq!(next(), Ok(Verdict::Respond));
    assert_eq!(
        world.simulation.response_header("x-a").as_deref(),
        Some("418")
    );
    assert!(world.simulation.response_body().contains("418"));
}
