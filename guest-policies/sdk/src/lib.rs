//! Write Keyward policies in Rust
