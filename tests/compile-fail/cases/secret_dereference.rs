//! A secret can't be dereferenced, borrowed as bytes, or measured.

fn main() {
    let secret = keyward_vault::Secret::generate(43);
    let _bytes: &[u8] = &*secret;
    let _bytes: &[u8] = secret.as_ref();
    let _length = secret.len();
}
