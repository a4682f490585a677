//! There is no proof of nothing.

fn main() {
    let _ = keyward_vault::Durable::default();
}
