//! Statements: a document's text, and what becomes of the exchange.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod address;
mod attributes;
mod backend;
mod body;
mod calls;
mod checks;
mod context;
mod errors;
mod flow;
mod limits;
mod liquid;
mod message;
mod own;
mod settings;
mod state;
mod world;
