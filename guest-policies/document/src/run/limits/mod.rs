//! What calls share: rates, the cache of values; and what the log is told.

mod cache;
mod rate;
mod trace;
pub(crate) mod window;
