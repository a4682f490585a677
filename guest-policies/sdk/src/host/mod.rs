//! What the SDK is written against: the host's functions.
//!
//! In a component they are the imports of the contract; natively they are a
//! simulation, so that decisions can be tested where they are written. Both
//! files define the same functions, and the compiler sees to it: the rest of the
//! SDK is built against either.

#[cfg(target_arch = "wasm32")]
mod wit;
#[cfg(target_arch = "wasm32")]
mod wit_database;
#[cfg(target_arch = "wasm32")]
pub(crate) use wit::Exchange;
#[cfg(target_arch = "wasm32")]
pub(crate) use wit::*;
#[cfg(target_arch = "wasm32")]
pub(crate) use wit_database::*;

#[cfg(not(target_arch = "wasm32"))]
mod simulated;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use simulated::Exchange;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use simulated::*;
