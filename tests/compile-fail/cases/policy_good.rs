//! A policy as it should be.

use keyward_policy::{Decision, ErrorSource, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {
    /// How often.
    #[setting(default = 3, min = 1)]
    times: u32,
}

fn decide(settings: &Settings, _: &Exchange<'_>) -> Decision {
    Ok(if settings.times > 1 { Verdict::Proceed } else { Verdict::Fail })
}

fn decide_on_error(_: &Settings, _: &Exchange<'_>, _: ErrorSource) -> Decision {
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
    on_error: decide_on_error,
}

fn main() {}
