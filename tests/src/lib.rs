//! What Keyward's tests share: canaries, a recording backend, and a gateway in
//! a temporary directory.
#![expect(clippy::unwrap_used, reason = "what tests are made of may panic")]

/// As in the `keyward` command.
#[global_allocator]
static ALLOCATOR: keyward::ZeroAlloc<std::alloc::System> = keyward::ZeroAlloc(std::alloc::System);

mod azurite;
mod backend;
mod canary;
mod gateway;
pub mod key_vault;
mod left_out;
mod load;
mod log;
pub mod memory;
mod openbao;
mod postgres;
mod served;
pub mod sinks;
mod storage;
mod transit;

pub use azurite::Azurite;
pub use backend::{Backend, Received};
pub use canary::Canary;
pub use gateway::{ATTACH_GRANT, Answer, Builder, TestGateway, policy_file};
pub use left_out::is_left_out;
pub use load::{After, under_load};
pub use log::Log;
pub use openbao::OpenBaoServer;
pub use postgres::PostgresServer;
pub use served::{Served, is_in_a_file};
pub use storage::DiskControl;
pub use transit::{TransitAuthority, TransitKey, certify};
