//! Lets a body pass only in a form that the backend expects (RFC 9110, 15.5.16).
//!
//! Browsers send some types of body to any site without asking first; a backend
//! that takes JSON alone, and says so here, can't be reached by such a form.

use keyward_policy::{Decision, Exchange, Problem, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// Media types in lower case, without parameters.
    #[setting(default = ["application/json"], min = 1)]
    types: Vec<String>,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let request = exchange.request();
    if !request.has_header("content-type") && request.read_body(1)?.is_none() {
        return Ok(Verdict::Proceed);
    }
    // Two types are none: who reads the first one and who reads the last one differ.
    let mut values = request.header_values("content-type");
    let (value, second) = (values.next().unwrap_or_default(), values.next());
    let text = String::from_utf8_lossy(&value).to_ascii_lowercase();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if second.is_none() && settings.types.iter().any(|allowed| allowed == media_type) {
        return Ok(Verdict::Proceed);
    }
    let allowed = settings.types.join(", ");
    exchange.reject(
        Problem::new(415, "Unsupported Media Type")
            .detail(&format!("Send the body as {allowed}."))
            .header("accept", &allowed),
    )
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    fn status(types: &[&str], body: &[u8]) -> Option<u16> {
        let settings: Settings = testing::settings("{}").unwrap();
        let plain = Simulation::request("POST", "/").body(body);
        let simulation = types.iter().fold(plain, |simulation, value| {
            simulation.header("content-type", value)
        });
        decide(&settings, &simulation.exchange()).unwrap();
        simulation.status()
    }

    #[test]
    fn only_what_is_expected_passes() {
        assert_eq!(status(&["application/json"], b"{}"), None);
        assert_eq!(status(&["Application/JSON; charset=utf-8"], b"{}"), None);
        assert_eq!(status(&["text/plain"], b"{}"), Some(415));
        assert_eq!(status(&["application/jsonp"], b"{}"), Some(415));
        assert_eq!(status(&[], b"{}"), Some(415));
    }

    #[test]
    fn two_types_are_none() {
        assert_eq!(
            status(&["application/json", "text/plain"], b"{}"),
            Some(415)
        );
    }

    #[test]
    fn without_a_body_there_is_nothing_to_ask() {
        assert_eq!(status(&[], b""), None);
    }
}
