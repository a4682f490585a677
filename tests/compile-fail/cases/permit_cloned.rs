//! A permit can't be cloned.

use keyward_vault::{Permit, uses};

fn twice(permit: &Permit<uses::Attach>) -> Permit<uses::Attach> {
    permit.clone()
}

fn main() {
    let _ = twice;
}
