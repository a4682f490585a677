//! Options that a setting does not have.

use keyward_policy::settings;

/// What the operator sets.
#[settings]
struct Settings {
    /// How often.
    #[setting(least = 1)]
    times: u32,
    /// Where.
    #[serde(default)]
    path: String,
}

/// A default that a list can't have.
#[settings]
struct Others {
    /// Which.
    #[setting(default = vec![])]
    names: Vec<String>,
}

/// Parts of a choice.
#[settings]
enum Choice {
    Some(u8),
}

fn main() {}
