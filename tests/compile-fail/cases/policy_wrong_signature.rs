//! A decision that does not take the settings.

use keyward_policy::{Decision, Exchange, Verdict, policy, settings};

/// What the operator sets.
#[settings]
struct Settings {}

fn decide(_: &Exchange<'_>) -> Decision {
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
}

fn main() {}
