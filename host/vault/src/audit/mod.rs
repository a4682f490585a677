//! The audit trail: who used which secret, when, for what, and who changed what.
//!
//! Records form a Merkle tree (RFC 6962); a checkpoint signs its size and root
//! (C2SP tlog-checkpoint); entries and hashes are stored as C2SP tlog-tiles. So a
//! change to anything that a checkpoint covers shows, and anyone with the public
//! key can check it without the vault. `AUDIT.md` describes every byte, and says
//! what is detected and what is not.
//!
//! Reading starts at [`trail`]: what goes in. [`commit`] is the thread that makes
//! it durable, [`recover`] what happens at opening, [`verify`] the check by
//! somebody else. [`query`] and [`follow`] find and show what is in it, and
//! [`retention`] lets go of what is old.

mod checkpoint;
mod commit;
mod counted;
mod encoding;
mod follow;
mod hashes;
mod json;
mod names;
mod notice;
mod prove;
mod query;
mod read;
mod record;
mod recover;
mod retention;
mod seal;
mod storage;
mod tally;
mod tiles;
mod trail;
mod tree;
mod verify;
mod view;
mod who;

#[cfg(test)]
mod tests;

pub use checkpoint::{CheckpointError, VerifierKeyError};
pub use encoding::RecordError;
pub use follow::Follower;
pub use prove::{ConsistencyProof, EntryProof, check_consistency, prove_entry};
pub use query::{Filter, Page, query_trail};
pub use read::{ReadError, Records, TrailExtent, read_records, records_in_bundle, trail_extent};
pub use record::{Act, Administrative, Outcome};
pub use recover::TrailError;
pub use retention::{PruneError, Pruned};
pub use storage::{FileStorage, TrailStorage};
pub use tally::UseCount;
pub use tiles::TrailFile;
pub use trail::{AuditTrail, AuditUnavailable, Durability, Pulse};
pub use verify::{Finding as TrailFinding, TrailFault, TrailReport, VerifyError};
pub use verify::{verify_trail, verify_trail_against};
pub use view::TrailRecord;
pub use who::{UseSummary, who_used, who_used_id};

pub(crate) use commit::Done;
pub(crate) use notice::{Notice, notice};
pub(crate) use record::{Body, CountedUse, ExchangePart, MAX_USES, UseEntry, Used};
pub(crate) use recover::FIRST_FILES;
pub(crate) use storage::open_error;
pub(crate) use trail::Shared;
pub(crate) use tree::{Hash, empty_root};
