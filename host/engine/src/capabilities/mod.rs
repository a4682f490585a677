//! What a guest can ask of the host: one file for each interface in `wit/`, of
//! the same name, and for some of the resources of `secrets`. Each function counts itself against the call's budget before
//! it does anything.

mod cache;
mod certificates;
mod clock;
mod concurrency;
mod connections;
mod counters;
mod database;
mod egress;
mod exchange;
mod forward;
mod jwt;
mod log;
mod random;
mod sealing;
mod secrets;
mod token;
mod variables;

pub(crate) use log::escaped;
