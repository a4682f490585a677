//! What all calls of a policy share on a node: a cache, and places. And waiting.

use crate::{Exchange, Failure, host};

/// A place among those that do the same at the same time: see [`Exchange::enter`].
/// Dropping it gives it back.
pub struct Place(#[expect(dead_code, reason = "dropping it gives it back")] pub(crate) host::Place);

impl Exchange<'_> {
    /// A value that this policy kept under that key, in whatever exchange, unless its
    /// time is over or it had to make room.
    #[must_use]
    pub fn cached(&self, key: &str) -> Option<Vec<u8>> {
        host::cached(self.host, key)
    }

    /// Keeps a value on this node for so many seconds, 1 to 31,536,000, in place of
    /// what was kept under that key, which is 1 to 1,024 bytes long. A policy has room
    /// for so many values and bytes as the operator says; beyond that those that were
    /// used the longest ago make room.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Limit`], [`Failure::Unavailable`].
    pub fn cache(&self, key: &str, value: impl AsRef<[u8]>, seconds: u32) -> Result<(), Failure> {
        host::cache(self.host, key, value.as_ref(), seconds)
    }

    /// Forgets a value; succeeds when there is none.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Unavailable`].
    pub fn forget(&self, key: &str) -> Result<(), Failure> {
        host::forget(self.host, key)
    }

    /// Takes a place under that key, of `most` that all calls of this policy on this
    /// node may have at a time; none if they are all taken. Nobody waits. It is given
    /// back when it is dropped, or when the call ends, however that happens.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for a key that is not 1 to 128 bytes long;
    /// [`Failure::Unavailable`].
    pub fn enter(&self, key: &str, most: u32) -> Result<Option<Place>, Failure> {
        Ok(host::enter(self.host, key, most)?.map(Place))
    }

    /// Waits. False: the call's time is over before that, and what is left of it has
    /// been waited for.
    pub fn sleep(&self, milliseconds: u32) -> bool {
        host::sleep(self.host, milliseconds)
    }
}
