//! Sends each region's requests with that region's key.
//!
//! The policy chooses *which* key; each grant says where its key may go. With
//! `paths = ["/eu/…"]` in the grant of `eu-key`, a flaw in here could not send it to
//! another region: the host checks the path that the request ends up with.
//!
//! Its manifest asks for both:
//!
//! ```toml
//! [[package.metadata.keyward.asks]]
//! alias = "eu-key"
//! use = "attach"
//! why = "the European backend's key"
//! ```

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy};

fn decide(exchange: &Exchange<'_>) -> Decision {
    let path = exchange.path();
    let alias = match path.split('/').nth(1) {
        Some("eu") => "eu-key",
        Some("us") => "us-key",
        _ => {
            return exchange
                .reject(Problem::new(404, "Not Found").detail("There is no such region."));
        }
    };
    exchange.credential(alias)?.attach()?;
    Ok(Verdict::Proceed)
}

policy! {
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::{Failure, testing::Simulation};

    use super::*;

    #[test]
    fn each_region_gets_its_own_key() {
        for (path, alias) in [("/eu/orders", "eu-key"), ("/us/orders", "us-key")] {
            let simulation = Simulation::request("GET", path).grant(alias);
            assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Proceed));
            assert_eq!(simulation.attached(), [alias]);
        }
    }

    #[test]
    fn another_region_gets_none() {
        let simulation = Simulation::request("GET", "/moon/orders").grant("eu-key");
        assert_eq!(decide(&simulation.exchange()), Ok(Verdict::Respond));
        assert_eq!(simulation.status(), Some(404));
        assert!(simulation.attached().is_empty());
    }

    #[test]
    fn without_a_grant_the_exchange_fails() {
        let simulation = Simulation::request("GET", "/us/orders").grant("eu-key");
        assert_eq!(decide(&simulation.exchange()), Err(Failure::Denied));
    }
}
