//! Sets, adds and removes headers.
//!
//! The side follows from the phase: the request before it goes to the backend,
//! the response after it came back. The actions are those of the element
//! `set-header` in a policy document, and mean the same.

#![forbid(unsafe_code)]

use keyward_policy::{
    Decision, Exchange, HeaderName, HeaderValue, Message, Schema, Setting, Verdict, policy,
    settings,
};
use serde::Deserialize;

/// What the operator sets.
#[settings]
#[derive(Debug)]
pub struct Settings {
    /// What to do, in this order: to the request in the inbound and backend phases, to
    /// the response in the outbound and on-error phases.
    pub headers: Vec<Header>,
}

/// What to do about one header.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Header {
    name: HeaderName,
    action: Action,
    values: Vec<HeaderValue>,
}

/// What to do where a header of that name may exist.
#[settings]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put the values in place of what is there.
    Override,
    /// Put the values only if there is none.
    Skip,
    /// Put the values beside what is there.
    Append,
    /// Remove what is there.
    Delete,
}

#[settings]
struct Written {
    /// The header's name.
    name: HeaderName,
    /// What to do.
    #[setting(default = "override")]
    action: Action,
    /// The values: none for `delete`, else one or more.
    #[setting(default = [])]
    values: Vec<HeaderValue>,
}

impl Setting for Header {
    const SCHEMA: Schema = Written::SCHEMA;
}

impl TryFrom<Written> for Header {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written {
            name,
            action,
            values,
        } = written;
        match (action, values.is_empty()) {
            (Action::Delete, false) => Err(format!("{}: `delete` takes no values", &*name)),
            (Action::Override | Action::Skip | Action::Append, true) => Err(format!(
                "{}: there is no value; to remove the header, say `delete`",
                &*name
            )),
            _ => Ok(Self {
                name,
                action,
                values,
            }),
        }
    }
}

fn apply(settings: &Settings, message: &Message<'_>) -> Decision {
    for header in &settings.headers {
        match header.action {
            Action::Skip if message.has_header(&header.name) => continue,
            Action::Override | Action::Delete => message.remove_header(&header.name)?,
            Action::Skip | Action::Append => {}
        }
        for value in &header.values {
            message.append_header(&header.name, value.as_bytes())?;
        }
    }
    Ok(Verdict::Proceed)
}

/// Changes the request.
///
/// # Errors
/// [`keyward_policy::Failure`]: a header that the host writes itself, or a limit.
pub fn to_request(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    apply(settings, &exchange.request())
}

/// Changes the response, if there is one.
///
/// # Errors
/// [`keyward_policy::Failure`]: a header that the host writes itself, or a limit.
pub fn to_response(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    // In the on-error phase there may be none: the host's own has fixed headers.
    if exchange.status().is_none() {
        return Ok(Verdict::Proceed);
    }
    apply(settings, &exchange.response())
}

policy! {
    settings: Settings,
    inbound: to_request,
    backend: to_request,
    outbound: to_response,
    on_error: |settings, exchange, _| to_response(settings, exchange),
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use keyward_policy::Failure;
    use keyward_policy::testing::{self, Simulation};

    use super::*;

    fn settings(action: &str, values: &str) -> Settings {
        let text = format!(
            r#"{{"headers": [{{"name": "X-A", "action": "{action}", "values": {values}}}]}}"#
        );
        testing::settings(&text).unwrap()
    }

    #[track_caller]
    fn check(action: &str, values: &str, before: &[&str], after: Option<&str>) {
        let mut simulation = Simulation::request("GET", "/").answered(200);
        for value in before {
            simulation = simulation.answered_header("x-a", value);
        }
        let decision = to_response(&settings(action, values), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.response_header("x-a").as_deref(), after);
    }

    #[test]
    fn each_action_does_what_a_document_means_by_it() {
        check("override", r#"["1", "2"]"#, &["0", "9"], Some("1, 2"));
        check("override", r#"["1"]"#, &[], Some("1"));
        check("skip", r#"["1"]"#, &["0"], Some("0"));
        check("skip", r#"["1", "2"]"#, &[], Some("1, 2"));
        check("append", r#"["1", "2"]"#, &["0"], Some("0, 1, 2"));
        check("append", r#"["1"]"#, &[], Some("1"));
        check("delete", "[]", &["0", "9"], None);
        check("delete", "[]", &[], None);
    }

    #[test]
    fn the_side_follows_from_the_phase() {
        let simulation = Simulation::request("GET", "/").header("x-a", "0");
        let decision = to_request(&settings("override", r#"["1"]"#), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
        assert_eq!(simulation.request_header("x-a").as_deref(), Some("1"));
        assert_eq!(simulation.response_header("x-a"), None);
    }

    #[test]
    fn on_error_without_a_response_there_is_nothing_to_set() {
        let simulation = Simulation::request("GET", "/");
        let decision = to_response(&settings("override", r#"["1"]"#), &simulation.exchange());
        assert_eq!(decision, Ok(Verdict::Proceed));
    }

    #[test]
    fn a_header_that_the_host_writes_fails_the_exchange() {
        let settings: Settings =
            testing::settings(r#"{"headers": [{"name": "Host", "values": ["x"]}]}"#).unwrap();
        let simulation = Simulation::request("GET", "/");
        assert_eq!(
            to_request(&settings, &simulation.exchange()),
            Err(Failure::Invalid)
        );
    }

    #[test]
    fn settings_that_mean_nothing_do_not_load() {
        for header in [
            r#"{"name": "x-a"}"#,
            r#"{"name": "x-a", "values": []}"#,
            r#"{"name": "x-a", "action": "delete", "values": ["1"]}"#,
            r#"{"name": "x-a", "action": "replace", "values": ["1"]}"#,
            r#"{"name": "x a", "values": ["1"]}"#,
            r#"{"name": "x-a", "values": ["1\r\nx-b: 2"]}"#,
            r#"{"name": "x-a", "values": ["1"], "value": "1"}"#,
        ] {
            let text = format!(r#"{{"headers": [{header}]}}"#);
            assert!(testing::settings::<Settings>(&text).is_err(), "{header}");
        }
    }
}
