//! Settings that can't be read.

use keyward_policy::{Decision, Exchange, Verdict, policy};

struct Settings {}

fn decide(_: &Settings, _: &Exchange<'_>) -> Decision {
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
}

fn main() {}
