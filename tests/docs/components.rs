//! The shipped policies, as `cargo xtask guests` builds them.

use std::path::Path;

/// The folder with their components.
pub(crate) fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/policies"))
}
