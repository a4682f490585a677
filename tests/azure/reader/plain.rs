//! Reads a pretended Key Vault, in memory as programs have it that don't wipe what
//! they free.

mod reading;

fn main() {
    reading::run();
}
