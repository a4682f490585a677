//! A secret can't be serialised.

fn write(_value: &impl serde::Serialize) {}

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    write(&secret);
}
