//! Leaks: a secret's value where it must not be, in whatever form.
//!
//! [`Canaries`] is the search: it takes values and finds them in anything.

mod canaries;
mod form;
mod gaps;
mod patterns;
#[cfg(test)]
mod tests;
mod undo;

pub use canaries::{Canaries, Found};
pub use form::{Form, Layer, Shape};
