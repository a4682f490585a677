//! A secret can't be printed.

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    println!("{}", secret);
}
