//! Two secrets can't be compared, nor a secret with a text.

fn main() {
    let one = keyward_vault::Secret::generate(43);
    let two = keyward_vault::Secret::generate(43);
    let _ = one == two;
    let _ = one == *b"guess";
}
