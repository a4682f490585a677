//! The control socket: how the `keyward` command reaches a running gateway, which
//! alone holds the vault and the audit trail.
//!
//! A Unix socket with mode 600 in a directory that only its owner can write. Each
//! connection carries one request: a line of JSON, then, for requests that bring a
//! secret, as many raw bytes as the line says; then one line of JSON back.
//!
//! ```text
//! → {"verb":"secret.set","name":"billing-key","kind":{"kind":"api-key"},"length":24}
//! → <24 bytes>
//! ← {"ok":{"name":"billing-key","kind":{"kind":"api-key"},"version":1,…}}
//! ```
//!
//! The kernel says who is at the other end. Only root and the user who runs the
//! gateway are served. No request, for no one, returns a secret's value.

mod client;
mod protocol;
mod server;

pub use client::{Client, ClientError};
pub use protocol::{
    Checkpoint, Fault, FaultCode, GrantsReloaded, KindText, Pong, SecretEntry, Status,
};
pub use server::{BindError, ControlSocket, Node};

#[cfg(test)]
mod tests;
