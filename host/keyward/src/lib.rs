//! Keyward for embedders: a builder and re-exports
