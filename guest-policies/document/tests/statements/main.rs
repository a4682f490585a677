//! Statements: a document's text, and what becomes of the exchange.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod address;
mod attributes;
mod backend;
mod body;
mod context;
mod errors;
mod flow;
mod message;
mod settings;
mod state;
mod world;
