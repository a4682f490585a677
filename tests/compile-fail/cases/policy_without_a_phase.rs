//! Not the form of a policy.

use keyward_policy::policy;

policy! { inbound = decide }

fn main() {}
