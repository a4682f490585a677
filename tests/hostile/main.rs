//! P6
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod attacker;
mod budgets;
mod calls;
mod chance;
mod fairness;
mod handles;
mod lab;
mod level;
mod loading;
mod memory;
mod names;
mod nesting;
mod residue;
mod time;
