//! Gives each consumer so many requests a day, and says how many are left.
//!
//! The day is that of UTC, so that it begins for everyone at the same moment and a
//! client can tell when. Counted on each node; a quota that a contract depends on
//! belongs where requests of all nodes meet. Stands after `require-client-key`.

use keyward_policy::{Decision, Exchange, Level, Problem, Verdict, policy, settings};

const DAY: u64 = 86_400;

/// What the operator sets.
#[settings]
struct Settings {
    /// How many requests a consumer has in a day.
    requests: u32,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let subject = exchange.variable_of("require-client-key", "subject");
    let Some(subject) = subject.and_then(|subject| String::from_utf8(subject).ok()) else {
        exchange.log(
            Level::Error,
            "who is calling? put this after require-client-key",
        );
        return Ok(Verdict::Fail);
    };
    let seconds = exchange.now() / 1000;
    let (day, left) = (seconds / DAY, DAY - seconds % DAY);
    let used = exchange.increment(
        &format!("{day}/{subject}"),
        1,
        u32::try_from(left).unwrap_or(1),
    )?;
    let remaining = u64::from(settings.requests).checked_sub(used);
    let Some(remaining) = remaining else {
        let problem =
            Problem::new(429, "Too Many Requests").detail("Today's requests are used up.");
        return exchange.reject(problem.header("retry-after", &left.to_string()));
    };
    exchange.set_variable("remaining", remaining.to_string())?;
    Ok(Verdict::Proceed)
}

fn tell(_: &Settings, exchange: &Exchange<'_>) -> Decision {
    if let Some(remaining) = exchange.variable("remaining") {
        exchange
            .response()
            .set_header("x-quota-remaining", remaining)?;
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
    outbound: tell,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    const NOON: u64 = 12 * 3600 * 1000;
    const TWO: Settings = Settings { requests: 2 };

    fn of(subject: &[u8], at: u64) -> Simulation {
        let simulation = Simulation::request("GET", "/").at(at);
        simulation.variable_of("require-client-key", "subject", subject)
    }

    #[test]
    fn the_third_of_two_requests_is_refused_until_the_day_ends() {
        let acme = of(b"acme", NOON);
        assert_eq!(decide(&TWO, &acme.exchange()), Ok(Verdict::Proceed));
        assert_eq!(decide(&TWO, &acme.exchange()), Ok(Verdict::Proceed));
        assert_eq!(decide(&TWO, &acme.exchange()), Ok(Verdict::Respond));
        assert_eq!(acme.status(), Some(429));
        assert_eq!(
            acme.response_header("retry-after").as_deref(),
            Some("43200")
        );
        let tomorrow = acme.at(NOON + 12 * 3600 * 1000);
        assert_eq!(decide(&TWO, &tomorrow.exchange()), Ok(Verdict::Proceed));
    }

    #[test]
    fn a_client_learns_how_many_are_left() {
        let acme = of(b"acme", NOON);
        assert_eq!(decide(&TWO, &acme.exchange()), Ok(Verdict::Proceed));
        let acme = acme.answered(200);
        assert_eq!(tell(&TWO, &acme.exchange()), Ok(Verdict::Proceed));
        assert_eq!(
            acme.response_header("x-quota-remaining").as_deref(),
            Some("1")
        );
    }

    #[test]
    fn without_a_consumer_the_exchange_fails() {
        let nobody = Simulation::request("GET", "/");
        assert_eq!(decide(&TWO, &nobody.exchange()), Ok(Verdict::Fail));
    }
}
