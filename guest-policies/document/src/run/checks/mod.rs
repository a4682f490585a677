//! Statements that turn clients away: `validate-jwt`, `check-header`, `ip-filter`, `cors`.

pub(crate) mod claims;
pub(crate) mod cors;
mod cors_statement;
mod header;
pub(crate) mod ip;
mod jwt;
