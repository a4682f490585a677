//! A permit can't be made outside of the vault.

use std::marker::PhantomData;

use keyward_vault::{Grant, Permit, uses};

fn forge(grant: Grant) -> Permit<uses::MacSign> {
    Permit {
        grant: grant.into(),
        use_: PhantomData,
    }
}

fn main() {
    let _ = forge;
}
