//! What must not compile.
//!
//! Each file in `cases/` is a misuse, and the file of the same name that ends in
//! `.stderr` is what the compiler says about it. `tests/misuse.rs` runs them. After
//! an upgrade of the compiler, `TRYBUILD=overwrite cargo test -p
//! keyward-compile-fail` writes its new words; read the difference before keeping
//! it: each must still fail for the reason that its first line gives.

#![forbid(unsafe_code)]
