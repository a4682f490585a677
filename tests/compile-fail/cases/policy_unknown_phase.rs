//! A phase that does not exist.

use keyward_policy::{Decision, Exchange, Verdict, policy};

fn decide(_: &Exchange<'_>) -> Decision {
    Ok(Verdict::Proceed)
}

policy! {
    request: decide,
}

fn main() {}
