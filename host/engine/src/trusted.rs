//! The one place where this crate has to be believed.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Loads compiled code.
///
/// `code` must be what wasmtime compiled for an engine like this one, and nothing
/// that anyone else could have changed: it is machine code that runs in the host.
/// There are two cases, both in [`crate::code`]: code that our own
/// compiler has just answered, and kept code whose authentication code fits.
///
/// Errors: it was made for another version, other settings or another processor.
#[expect(
    unsafe_code,
    reason = "there is no other way to load code that is compiled"
)]
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the callers see to it that wasmtime made these bytes. It checks their
    // version and settings itself.
    unsafe { Component::deserialize(engine, code) }
}
