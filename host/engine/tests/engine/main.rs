//! The engine against guests in shapes that no compiler makes.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod kept_code;
mod profiles;
mod reports;
mod settings;
mod support;
mod unloading;
