//! Names that Keyward's crates share, parsed once at the edge
