//! A permit for one use has nothing of the others.

use keyward_vault::{Permit, uses};

fn attach(permit: Permit<uses::MacVerify>) {
    let _ = permit.note();
}

fn sign(permit: Permit<uses::MacVerify>) {
    let _ = permit.sign(b"message");
}

fn main() {
    let _ = (attach, sign);
}
