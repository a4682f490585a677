//! A pretended Azure: a Key Vault and an authority over TLS, IMDS and App Service in
//! plaintext, all on loopback, on a thread of their own.
//!
//! It does what the real ones are documented to do, as far as Keyward and Microsoft's
//! own clients meet it: a test drives it with those clients (`tests/azure/`), and
//! fails where they disagree. It checks what it is sent, so that a client which does
//! something else is noticed: metadata headers, versions of the API, who a token is
//! for.
//!
//! The vault is every `*.vault.azure.net` and `localhost`, the authority the pinned
//! tenant's at any host: one listener answers by path. [`Azure::names`] leads the
//! real names there; [`Azure::url`] is for processes that can't be led.

mod authority;
mod dialer;
mod keys;
mod server;
mod state;
mod tls;
mod vault;

pub use dialer::Names;
pub use server::{Azure, Place, Seen};
pub use state::{Assigned, Challenge, State, Stored};

/// The tenant of all vaults here.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
/// What tokens for them are for.
pub const RESOURCE: &str = "https://vault.azure.net";
/// Seconds that its tokens live.
pub const TOKEN_LIFE: i64 = 3599;
/// What App Service's endpoint wants to see.
pub const IDENTITY_HEADER: &str = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a";
/// The federated token that the authority trusts: three parts, as a JWT has.
pub const FEDERATED_TOKEN: &str =
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2ln";
/// The application that it logs in.
pub const WORKLOAD_CLIENT: &str = "11111111-2222-3333-4444-555555555555";
