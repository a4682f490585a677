//! Leaks: a secret's value where it must not be, in whatever form.
//!
//! [`Canaries`] takes values and finds them in anything; [`Search`] looks into
//! everything that came to light in a case, and says where a value was, in which
//! form, and what put it there.

#[cfg(test)]
mod bearer_tests;
mod canaries;
mod expected;
mod form;
mod gaps;
mod memory;
mod obtained;
mod patterns;
mod search;
#[cfg(test)]
mod sink_tests;
#[cfg(test)]
mod tests;
mod undo;

pub use canaries::{Canaries, Found};
pub use expected::{LeakExpected, judge};
pub use form::{Form, Layer, Shape};
pub use patterns::patterns;
pub use search::{Search, sink};
