//! Asks a service of yours whether a request may pass.
//!
//! The service is a route that the operator opened to this policy
//! (`routes = ["authorizer"]` under its `[[policy]]`): the policy names it and
//! can't say where it is. Yes is a 2xx, no is a 401 or a 403; anything else, an
//! authorizer that can't be reached included, fails the exchange. Nobody passes
//! because a service is down.

use keyward_policy::{Decision, Exchange, Level, Problem, Verdict, policy};

fn decide(exchange: &Exchange<'_>) -> Decision {
    let authorization = exchange.request().header("authorization");
    let answer = exchange
        .call("authorizer", "POST", "/decide")?
        .header("authorization", authorization.unwrap_or_default())?
        .header("x-original-method", exchange.method())?
        .header("x-original-path", exchange.path())?
        .send()?;
    match answer.status() {
        200..=299 => Ok(Verdict::Proceed),
        401 => {
            exchange.reject(Problem::new(401, "Unauthorized").header("www-authenticate", "Bearer"))
        }
        403 => exchange.reject(Problem::new(403, "Forbidden")),
        status => {
            exchange.log(Level::Error, &format!("the authorizer answered {status}"));
            Ok(Verdict::Fail)
        }
    }
}

policy! {
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    fn asked(answer: u16) -> (Decision, Simulation) {
        let simulation = Simulation::request("DELETE", "/orders/7")
            .header("authorization", "Bearer abc")
            .route("authorizer", answer, b"");
        (decide(&simulation.exchange()), simulation)
    }

    #[test]
    fn the_authorizer_is_told_what_it_needs() {
        let (decision, simulation) = asked(204);
        assert_eq!(decision, Ok(Verdict::Proceed));
        let calls = simulation.calls();
        let call = calls.first().unwrap();
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("POST", "/decide")
        );
        let header = |name: &str| {
            let found = call.headers.iter().find(|(there, _)| there == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        assert_eq!(header("authorization").as_deref(), Some("Bearer abc"));
        assert_eq!(header("x-original-method").as_deref(), Some("DELETE"));
        assert_eq!(header("x-original-path").as_deref(), Some("/orders/7"));
    }

    #[test]
    fn a_no_is_passed_on() {
        for status in [401, 403] {
            let (decision, simulation) = asked(status);
            assert_eq!(decision, Ok(Verdict::Respond));
            assert_eq!(simulation.status(), Some(status));
        }
    }

    #[test]
    fn anything_else_lets_nobody_pass() {
        for status in [302, 404, 500, 503] {
            assert_eq!(asked(status).0, Ok(Verdict::Fail), "{status}");
        }
        let closed = Simulation::request("GET", "/");
        assert_eq!(decide(&closed.exchange()), Err(Failure::Denied));
    }
}
