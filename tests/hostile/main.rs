//! P6
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod attacker;
mod budgets;
mod lab;
mod loading;
mod nesting;
mod time;
