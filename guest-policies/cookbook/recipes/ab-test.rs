//! Puts each consumer into one half of an experiment, and leaves them there.
//!
//! The half follows from the consumer's name and the experiment's: it is the same
//! on every node and after every restart, with nothing to store. The backend reads
//! it from `x-variant`; what a client writes there itself is replaced. Stands after
//! `require-client-key`, which says who is calling.

use keyward_policy::{Decision, Exchange, Level, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// The experiment's name: another one deals the consumers anew.
    experiment: String,
    /// How many in a hundred get variant `b`.
    #[setting(max = 100)]
    percent: u8,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let Some(subject) = exchange.variable_of("require-client-key", "subject") else {
        exchange.log(
            Level::Error,
            "who is calling? put this after require-client-key",
        );
        return Ok(Verdict::Fail);
    };
    let place = hash(settings.experiment.as_bytes(), &subject) % 100;
    let variant = if place < u64::from(settings.percent) {
        "b"
    } else {
        "a"
    };
    exchange.request().set_header("x-variant", variant)?;
    Ok(Verdict::Proceed)
}

/// FNV-1a, its halves folded: spreads names evenly, and is no protection.
fn hash(experiment: &[u8], subject: &[u8]) -> u64 {
    let bytes = experiment.iter().chain(b"/").chain(subject);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    fn variant(percent: u8, subject: &str) -> String {
        let settings = Settings {
            experiment: "checkout".to_owned(),
            percent,
        };
        let simulation = Simulation::request("GET", "/")
            .header("x-variant", "mine")
            .variable_of("require-client-key", "subject", subject.as_bytes());
        let decision = decide(&settings, &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        simulation.request_header("x-variant").unwrap()
    }

    #[test]
    fn the_share_is_about_what_was_set() {
        let in_b = (0..1000)
            .filter(|number| variant(30, &format!("team-{number}")) == "b")
            .count();
        assert!((250..350).contains(&in_b), "{in_b}");
        assert_eq!(variant(0, "acme"), "a");
        assert_eq!(variant(100, "acme"), "b");
    }

    #[test]
    fn without_a_consumer_the_exchange_fails() {
        let settings = Settings {
            experiment: "checkout".to_owned(),
            percent: 50,
        };
        let simulation = Simulation::request("GET", "/");
        assert_eq!(decide(&settings, &simulation.exchange()), Ok(Verdict::Fail));
        assert_eq!(simulation.log().len(), 1);
    }
}
