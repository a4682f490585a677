//! The way to a secret's bytes is closed outside of the vault.

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    let _bytes = secret.expose();
    let _bytes = secret.0;
}
