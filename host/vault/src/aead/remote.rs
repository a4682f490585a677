//! Sealing and opening with a key that stays in its source, which has the cipher, the
//! nonce and the versions of the key. `SEALED.md` has the format.
//!
//! What data are bound to is told to the source as associated data, and its digest
//! stands before the text that the source seals: one that doesn't know associated data,
//! and leaves them out, has nothing opened for somebody else or in another context.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use zeroize::Zeroizing;

use super::{Bound, HEAD_BYTES, MAX_CONTEXT_BYTES, MAX_SEALED_TEXT_BYTES, TAG_BYTES};
use crate::ledger::Ledger;
use crate::mac::OperationError;
use crate::permit::Permit;
use crate::remote::{RemoteAnswer, RemoteCall, RemoteTask, RemoteUse};
use crate::uses;

/// How much longer than the text data are at most that a source sealed, in bytes.
pub const MAX_REMOTE_SEALED_EXTRA_BYTES: usize = 128;

const FORMAT: u8 = 2;
const LABEL: &[u8] = b"keyward sealed data v2";

/// Data that a source sealed, as they came.
struct Parts<'a> {
    version: u64,
    sealed: &'a [u8],
}

impl<'a> Parts<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (head, sealed) = data.split_at_checked(HEAD_BYTES)?;
        let (format, version) = head.split_first_chunk::<1>()?;
        let version = u64::from_be_bytes(version.try_into().ok()?);
        let is_whole = sealed.len() >= SHA256_OUTPUT_LEN + TAG_BYTES;
        (*format == [FORMAT] && version > 0 && is_whole).then_some(Self { version, sealed })
    }
}

impl RemoteCall {
    /// The data that the source sealed.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it sealed nothing, or its
    /// answer can't be what it sealed.
    pub fn sealed(self, answer: RemoteAnswer) -> Result<Vec<u8>, OperationError> {
        let data = match (&self.task, answer) {
            (RemoteTask::Seal { text, .. }, RemoteAnswer::Sealed { version, sealed }) => {
                let least = text.len() + TAG_BYTES;
                let most = text.len() - SHA256_OUTPUT_LEN + MAX_REMOTE_SEALED_EXTRA_BYTES;
                let is_whole = (least..=most - HEAD_BYTES).contains(&sealed.len());
                (version > 0 && is_whole)
                    .then(|| [&[FORMAT], &version.to_be_bytes()[..], &sealed].concat())
            }
            _ => None,
        };
        data.ok_or_else(|| self.failed())
    }

    /// The text that the source opened.
    ///
    /// Errors: [`OperationError::NotSealed`] as [`Permit::open`] has it;
    /// [`OperationError::Failed`], which is recorded: it didn't say.
    pub fn opened(self, answer: RemoteAnswer) -> Result<Vec<u8>, OperationError> {
        match (&self.task, answer) {
            (RemoteTask::Open { associated, .. }, RemoteAnswer::Opened(opened)) => {
                let opened = opened.ok_or(OperationError::NotSealed)?;
                let parts = opened.split_at_checked(SHA256_OUTPUT_LEN);
                let (bound, text) = parts.ok_or(OperationError::NotSealed)?;
                verify_slices_are_equal(bound, digest(&SHA256, associated).as_ref())
                    .map_err(|_| OperationError::NotSealed)?;
                Ok(text.to_vec())
            }
            _ => Err(self.failed()),
        }
    }
}

impl Permit<uses::Seal> {
    /// Has a text sealed by the key's source, under the newest version that it has.
    /// `ledger` is the one that the permit was entered into.
    ///
    /// Errors: as [`seal`](Self::seal) has them, or the key is here
    /// ([`is_remote`](Self::is_remote)).
    pub fn ask(
        self,
        text: &[u8],
        context: &[u8],
        ledger: &Ledger,
    ) -> Result<RemoteUse, OperationError> {
        if text.len() > MAX_SEALED_TEXT_BYTES || context.len() > MAX_CONTEXT_BYTES {
            return Err(OperationError::MessageTooLong);
        }
        let associated = self.associated_elsewhere(context)?;
        let bound = digest(&SHA256, &associated);
        let mut whole = Zeroizing::new(Vec::with_capacity(bound.as_ref().len() + text.len()));
        whole.extend_from_slice(bound.as_ref());
        whole.extend_from_slice(text);
        let task = RemoteTask::Seal {
            text: whole,
            associated,
        };
        self.asked(task, ledger)
    }
}

impl Permit<uses::Open> {
    /// Has sealed data opened by the key's source, which may refuse versions of the key
    /// that it no longer accepts.
    ///
    /// Errors: as [`open`](Self::open) has them, or the key is here
    /// ([`is_remote`](Self::is_remote)). [`OperationError::NotSealed`] for data that no
    /// source sealed: it is not asked.
    pub fn ask(
        self,
        data: &[u8],
        context: &[u8],
        ledger: &Ledger,
    ) -> Result<RemoteUse, OperationError> {
        if data.len() > MAX_SEALED_TEXT_BYTES + MAX_REMOTE_SEALED_EXTRA_BYTES
            || context.len() > MAX_CONTEXT_BYTES
        {
            return Err(OperationError::MessageTooLong);
        }
        let associated = self.associated_elsewhere(context)?;
        let parts = Parts::read(data).ok_or(OperationError::NotSealed)?;
        let task = RemoteTask::Open {
            version: parts.version,
            sealed: parts.sealed.to_vec(),
            associated,
        };
        self.asked(task, ledger)
    }
}

impl<U: uses::UseType> Permit<U> {
    fn associated_elsewhere(&self, context: &[u8]) -> Result<Vec<u8>, OperationError> {
        if !self.remote_key()?.seals() {
            return Err(OperationError::Unavailable);
        }
        let bound = Bound::new(self.grant(), context).ok_or(OperationError::Unavailable)?;
        Ok(bound.associated(LABEL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_another_format_or_version_0_or_cut_off_are_no_sources() {
        let whole = [&[FORMAT], &[0, 0, 0, 0, 0, 0, 0, 3][..], &[9; 48]].concat();
        assert_eq!(Parts::read(&whole).map(|parts| parts.version), Some(3));
        for length in 0..whole.len() {
            assert!(Parts::read(&whole[..length]).is_none(), "{length}");
        }
        for (at, byte) in [(0, 1), (0, 3), (8, 0)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert!(Parts::read(&other).is_none(), "{at}");
        }
    }
}
