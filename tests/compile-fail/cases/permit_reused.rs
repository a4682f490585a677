//! A permit is good for one use.

use keyward_vault::{Permit, uses};

fn twice(permit: Permit<uses::MacSign>) {
    let _ = permit.sign(b"one");
    let _ = permit.sign(b"two");
}

fn main() {
    let _ = twice;
}
