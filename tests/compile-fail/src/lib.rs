//! What must not compile
