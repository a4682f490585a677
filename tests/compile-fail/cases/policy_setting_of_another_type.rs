//! A setting of a type that operators can't set.

use keyward_policy::settings;

struct Inner;

/// What the operator sets.
#[settings]
struct Settings {
    /// Something.
    inner: Inner,
}

fn main() {}
