//! Keyward in an embedder's own stack of services: what stands between the layer
//! and the backend sees nothing of a secret and can't send twice, and what fails
//! there fails closed.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod dialer;
mod layer;
mod reload;
