//! A secret can't be cloned.

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    let _copy = secret.clone();
}
