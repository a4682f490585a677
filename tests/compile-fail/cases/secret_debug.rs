//! A secret can't be printed for debugging.

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    println!("{:?}", secret);
}
