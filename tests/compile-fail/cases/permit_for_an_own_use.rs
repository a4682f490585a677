//! There are no uses but the vault's.

use keyward_vault::{Use, UseType};

struct Reveal;

impl keyward_vault::uses::sealed::Sealed for Reveal {}

impl UseType for Reveal {
    const USE: Use = Use::Attach;
}

fn main() {}
