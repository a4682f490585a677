//! Gives each exchange one identifier that client, backend and logs share.
//!
//! A client's own `x-request-id` is kept if it looks like one. What does not (too
//! long, or with characters that could break a line of a log) is replaced with the
//! exchange's own identifier, which the audit trail and the gateway's log carry.

use keyward_policy::{Decision, Exchange, Verdict, policy};

const HEADER: &str = "x-request-id";

fn on_request(exchange: &Exchange<'_>) -> Decision {
    let sent = exchange.request().header_text(HEADER);
    let id = sent.filter(|id| is_id(id)).unwrap_or_else(|| exchange.id());
    exchange.request().set_header(HEADER, &id)?;
    // Nothing in a policy's memory outlives a phase; a variable does.
    exchange.set_variable(HEADER, &id)?;
    Ok(Verdict::Proceed)
}

fn on_response(exchange: &Exchange<'_>) -> Decision {
    if let Some(id) = exchange.variable(HEADER) {
        exchange.response().set_header(HEADER, id)?;
    }
    Ok(Verdict::Proceed)
}

fn is_id(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (8..=64).contains(&text.len()) && text.bytes().all(is_fit)
}

policy! {
    inbound: on_request,
    outbound: on_response,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    fn sent_on(simulation: Simulation) -> (String, String) {
        assert_eq!(on_request(&simulation.exchange()), Ok(Verdict::Proceed));
        let to_backend = simulation.request_header(HEADER).unwrap();
        let simulation = simulation.answered(200);
        assert_eq!(on_response(&simulation.exchange()), Ok(Verdict::Proceed));
        (to_backend, simulation.response_header(HEADER).unwrap())
    }

    #[test]
    fn a_clients_identifier_is_kept() {
        let simulation = Simulation::request("GET", "/").header("X-Request-Id", "order-7-retry-2");
        let expected = "order-7-retry-2".to_owned();
        assert_eq!(sent_on(simulation), (expected.clone(), expected));
    }

    #[test]
    fn one_that_is_none_is_replaced() {
        for sent in ["", "short", "with a blank in it", &"x".repeat(65)] {
            let simulation = Simulation::request("GET", "/").header(HEADER, sent);
            let (to_backend, to_client) = sent_on(simulation);
            assert_eq!(to_backend.len(), 32, "{sent}");
            assert_eq!(to_backend, to_client, "{sent}");
        }
    }

    #[test]
    fn an_answer_without_a_request_before_it_is_left_alone() {
        let simulation = Simulation::request("GET", "/").answered(200);
        assert_eq!(on_response(&simulation.exchange()), Ok(Verdict::Proceed));
        assert_eq!(simulation.response_header(HEADER), None);
    }
}
