//! Takes fields out of a JSON answer that its reader is not to see.
//!
//! A field is taken out wherever it stands. What can't be read can't be redacted,
//! and then nothing is passed on: an answer that is too long, compressed or not
//! JSON although it says so fails the exchange.

use keyward_policy::{Decision, Exchange, Failure, Level, Verdict, policy, settings};
use serde_json::Value;

/// The longest answer, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// What the operator sets.
#[settings]
struct Settings {
    /// The names of the fields.
    #[setting(min = 1)]
    fields: Vec<String>,
}

fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let response = exchange.response();
    let media_type = response.header_text("content-type").unwrap_or_default();
    if !media_type.to_ascii_lowercase().contains("json") {
        return Ok(Verdict::Proceed);
    }
    if response.has_header("content-encoding") {
        exchange.log(Level::Error, "a compressed answer can't be redacted");
        return Ok(Verdict::Fail);
    }
    let body = response.body(MAX_BODY)?;
    let mut body: Value = serde_json::from_slice(&body).map_err(|_| Failure::Upstream)?;
    redact(&mut body, &settings.fields);
    // They describe the body that was.
    for name in ["etag", "content-digest", "content-md5"] {
        response.remove_header(name)?;
    }
    response.write_body(body.to_string())?;
    Ok(Verdict::Proceed)
}

fn redact(value: &mut Value, fields: &[String]) {
    if let Value::Object(object) = value {
        object.retain(|name, _| !fields.contains(name));
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(|inner| redact(inner, fields)),
        Value::Array(array) => array.iter_mut().for_each(|inner| redact(inner, fields)),
        _ => {}
    }
}

policy! {
    settings: Settings,
    outbound: decide,
}

#[cfg(test)]
mod tests {
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    fn answered(content_type: &str, body: &[u8]) -> Simulation {
        Simulation::request("GET", "/")
            .answered(200)
            .answered_header("content-type", content_type)
            .answered_header("etag", "\"1\"")
            .answered_body(body)
    }

    fn decided(simulation: &Simulation) -> Decision {
        let settings: Settings = testing::settings(r#"{"fields": ["iban"]}"#).unwrap();
        decide(&settings, &simulation.exchange())
    }

    #[test]
    fn a_field_is_taken_out_wherever_it_stands() {
        let body = br#"{"iban":"DE1","list":[{"iban":{"a":1},"name":"x"}],"sum":5}"#;
        let simulation = answered("application/hal+json", body);
        assert_eq!(decided(&simulation), Ok(Verdict::Proceed));
        assert_eq!(
            simulation.response_body(),
            r#"{"list":[{"name":"x"}],"sum":5}"#
        );
        assert_eq!(simulation.response_header("etag"), None);
    }

    #[test]
    fn what_is_not_json_is_left_alone() {
        let simulation = answered("text/plain", b"iban");
        assert_eq!(decided(&simulation), Ok(Verdict::Proceed));
        assert_eq!(simulation.response_body(), "iban");
    }

    #[test]
    fn what_can_not_be_redacted_is_not_passed_on() {
        let broken = answered("application/json", b"{");
        assert_eq!(decided(&broken), Err(Failure::Upstream));
        let long = answered("application/json", &vec![b' '; MAX_BODY + 1]);
        assert_eq!(decided(&long), Err(Failure::Limit));
        let packed =
            answered("application/json", b"{}").answered_header("content-encoding", "gzip");
        assert_eq!(decided(&packed), Ok(Verdict::Fail));
    }
}
