//! What a guest can ask of the host: one file for each interface in `wit/`, of
//! the same name. Each function counts itself against the call's budget before
//! it does anything.

mod clock;
mod connections;
mod counters;
mod egress;
mod exchange;
mod log;
mod random;
mod secrets;
mod variables;

pub(crate) use log::escaped;
