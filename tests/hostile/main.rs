//! P6: a policy can't stop, crash or starve the host beyond its budget. Each
//! attack runs as a real component; afterwards the same gateway must serve an
//! honest exchange.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod budgets;
mod loading;
