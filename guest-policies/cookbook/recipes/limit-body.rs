//! Refuses bodies that are longer than an interface needs.
//!
//! A length that is announced is believed in one direction only: too long is too
//! long, and what claims to be short is counted. The gateway's own
//! `[gateway.limits] max-body-bytes` holds for all pipelines and costs less; this is
//! for one of them that takes less than the others. The body is read before the
//! backend is called, up to 1 MiB, which is what the gateway holds for policies.

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// The longest body that passes, in bytes.
    #[setting(max = 1_000_000)]
    max_bytes: u32,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let max = u64::from(settings.max_bytes);
    let request = exchange.request();
    let announced = request.header_text("content-length");
    let announced = announced.and_then(|length| length.parse().ok());
    let mut length: u64 = announced.unwrap_or(0);
    if length <= max {
        length = 0;
        while let Some(part) = request.read_body(16 * 1024)? {
            length += part.len() as u64;
            if length > max {
                break;
            }
        }
    }
    if length <= max {
        return Ok(Verdict::Proceed);
    }
    let detail = format!("The body may have {max} bytes.");
    exchange.reject(Problem::new(413, "Content Too Large").detail(&detail))
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::Simulation;

    use super::*;

    fn status(simulation: &Simulation) -> Option<u16> {
        decide(&Settings { max_bytes: 20_000 }, &simulation.exchange()).unwrap();
        simulation.status()
    }

    #[test]
    fn what_is_longer_does_not_pass() {
        let body = [b'x'; 20_001];
        assert_eq!(
            status(&Simulation::request("POST", "/").body(&body)),
            Some(413)
        );
        assert_eq!(
            status(&Simulation::request("POST", "/").body(&body[1..])),
            None
        );
        assert_eq!(status(&Simulation::request("GET", "/")), None);
    }

    #[test]
    fn what_is_announced_too_long_is_not_read() {
        let announced = Simulation::request("POST", "/").header("content-length", "20001");
        assert_eq!(status(&announced), Some(413));
    }
}
