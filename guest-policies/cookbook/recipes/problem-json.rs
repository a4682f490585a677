//! Gives clients one form of error, whatever went wrong behind the gateway.
//!
//! A backend's 5xx with a page or a stack trace in it becomes a problem (RFC 9457)
//! with the same status; so does what failed before there was an answer. The
//! exchange's identifier is in it, by which an operator finds the rest.

use keyward_policy::{Decision, ErrorSource, Exchange, Problem, Verdict, policy};

fn on_response(exchange: &Exchange<'_>) -> Decision {
    let Some(status @ 500..=599) = exchange.status() else {
        return Ok(Verdict::Proceed);
    };
    let content_type = exchange.response().header_text("content-type");
    if content_type.is_some_and(|text| text.starts_with("application/problem+json")) {
        return Ok(Verdict::Proceed);
    }
    exchange.reject(Problem::new(
        status,
        "The service behind this gateway failed",
    ))
}

fn on_failure(exchange: &Exchange<'_>, source: ErrorSource) -> Decision {
    let (status, title) = match source {
        ErrorSource::BackendUnavailable => {
            (504, "The service behind this gateway can't be reached")
        }
        ErrorSource::BackendRefused => (502, "The service behind this gateway answered wrongly"),
        // Whatever else failed is no business of a client's.
        _ => (500, "The request could not be handled"),
    };
    exchange
        .reject(Problem::new(status, title).detail("Try again, and if it stays, quote `exchange`."))
}

policy! {
    outbound: on_response,
    on_error: on_failure,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    #[test]
    fn a_page_with_an_error_becomes_a_problem() {
        let simulation = Simulation::request("GET", "/")
            .answered(503)
            .answered_header("content-type", "text/html")
            .answered_body(b"<h1>java.lang.NullPointerException</h1>");
        assert_eq!(on_response(&simulation.exchange()), Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(503));
        let body = simulation.response_body();
        assert!(
            body.contains("\"status\":503") && !body.contains("java"),
            "{body}"
        );
    }

    #[test]
    fn what_is_a_problem_already_or_no_error_is_left_alone() {
        let problem = Simulation::request("GET", "/")
            .answered(500)
            .answered_header("content-type", "application/problem+json; charset=utf-8");
        assert_eq!(on_response(&problem.exchange()), Ok(Verdict::Proceed));
        for status in [200, 404, 429] {
            let simulation = Simulation::request("GET", "/").answered(status);
            assert_eq!(on_response(&simulation.exchange()), Ok(Verdict::Proceed));
        }
    }

    #[test]
    fn each_failure_has_its_status() {
        for (source, status) in [
            (ErrorSource::BackendUnavailable, 504),
            (ErrorSource::BackendRefused, 502),
            (ErrorSource::PolicyFailed, 500),
            (ErrorSource::SecretRefused, 500),
        ] {
            let simulation = Simulation::request("GET", "/");
            assert_eq!(
                on_failure(&simulation.exchange(), source),
                Ok(Verdict::Respond)
            );
            assert_eq!(simulation.status(), Some(status));
        }
    }
}
