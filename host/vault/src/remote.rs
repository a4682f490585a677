//! Keys that never leave their source: what they are used for is permitted and
//! recorded here, and done there.
//!
//! A permit becomes a [`RemoteMac`]. Once the use is in the audit trail, that
//! becomes a [`RemoteCall`], which says what to ask of which source; nobody can ask
//! before.

use crate::audit::{Outcome, UseEntry};
use crate::kind::MacAlgorithm;
use crate::ledger::{Afterwards, Durable, Ledger, Position};
use crate::live::Material;
use crate::mac::{Mac, OperationError, check_length};
use crate::permit::Permit;
use crate::uses::{self, UseType};
use crate::values::Reference;
use keyward_names::ExchangeId;

/// A MAC key that its source keeps.
pub(crate) struct RemoteKey {
    pub(crate) reference: Reference,
    pub(crate) algorithm: MacAlgorithm,
}

impl RemoteKey {
    pub(crate) const fn new(reference: Reference, algorithm: MacAlgorithm) -> Self {
        Self {
            reference,
            algorithm,
        }
    }
}

/// A code that a key's source is to make or to check: permitted, and entered into
/// the exchange's ledger.
#[must_use = "a use that is not carried out has been recorded all the same"]
pub struct RemoteMac {
    call: RemoteCall,
    exchange: ExchangeId,
    position: Position,
}

/// What to ask of a key's source.
pub struct RemoteCall {
    /// Where the key is.
    pub reference: Reference,
    /// The hash of the code.
    pub algorithm: MacAlgorithm,
    /// The message.
    pub message: Vec<u8>,
    /// What is to be done with the code.
    pub answer: RemoteAnswer,
    pub(crate) entry: UseEntry,
    pub(crate) afterwards: Afterwards,
}

/// What a key's source is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteAnswer {
    /// Make the code of the message, whole.
    Make,
    /// Say whether this is the whole code of the message, under any version of the
    /// key that the source accepts. It has the algorithm's length.
    Check(Vec<u8>),
}

crate::secret::assert_not_implemented!(RemoteMac: Clone, serde::Serialize);
crate::secret::assert_not_implemented!(RemoteCall: Clone, serde::Serialize);

impl RemoteMac {
    /// What to ask, given the proof that the use is in the audit trail.
    ///
    /// Errors: [`OperationError::NotDurable`]: the proof is of another exchange, or
    /// older than this use.
    pub fn release(self, durable: &Durable) -> Result<RemoteCall, OperationError> {
        match durable.covers(self.exchange, self.position) {
            true => Ok(self.call),
            false => Err(OperationError::NotDurable),
        }
    }
}

impl RemoteCall {
    /// The code that the source made.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: it hasn't the
    /// algorithm's length.
    pub fn made(self, code: &[u8]) -> Result<Mac, OperationError> {
        if code.len() != self.algorithm.code_bytes() {
            return Err(self.failed());
        }
        Ok(Mac::made_elsewhere(code))
    }

    /// Takes on record that the source didn't do it, for whatever reason. Queues the
    /// record and waits for nothing.
    pub fn failed(self) -> OperationError {
        let mut entry = self.entry;
        entry.used.outcome = Outcome::Failed;
        self.afterwards.record(entry);
        OperationError::Failed
    }
}

impl<U: UseType> Permit<U> {
    /// Whether the key stays in its source, which has to be asked.
    pub fn is_remote(&self) -> bool {
        matches!(self.secret().material(), Some(Material::Remote(_)))
    }

    fn asked(
        self,
        message: &[u8],
        answer: RemoteAnswer,
        ledger: &Ledger,
    ) -> Result<RemoteMac, OperationError> {
        check_length(message)?;
        let Some(Material::Remote(key)) = self.secret().material() else {
            return Err(OperationError::Unavailable);
        };
        let (reference, algorithm) = (key.reference.clone(), key.algorithm);
        let (entry, position) = self.into_recorded().ok_or(OperationError::Unavailable)?;
        Ok(RemoteMac {
            exchange: ledger.exchange(),
            position,
            call: RemoteCall {
                reference,
                algorithm,
                message: message.to_vec(),
                answer,
                entry,
                afterwards: ledger.afterwards(),
            },
        })
    }
}

impl Permit<uses::MacSign> {
    /// Has the code of a message made by the key's source. `ledger` is the one that
    /// the permit was entered into.
    ///
    /// Errors: the message is longer than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES),
    /// or the key is here ([`is_remote`](Self::is_remote)).
    pub fn ask(self, message: &[u8], ledger: &Ledger) -> Result<RemoteMac, OperationError> {
        self.asked(message, RemoteAnswer::Make, ledger)
    }
}

impl Permit<uses::MacVerify> {
    /// Has the code of a message checked by the key's source. `None` if it hasn't
    /// the length of a whole code: then it is nobody's.
    ///
    /// Errors: the message is longer than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES),
    /// or the key is here ([`is_remote`](Self::is_remote)).
    pub fn ask(
        self,
        message: &[u8],
        code: &[u8],
        ledger: &Ledger,
    ) -> Result<Option<RemoteMac>, OperationError> {
        let Some(Material::Remote(key)) = self.secret().material() else {
            return Err(OperationError::Unavailable);
        };
        if code.len() != key.algorithm.code_bytes() {
            return check_length(message).map(|()| None);
        }
        let answer = RemoteAnswer::Check(code.to_vec());
        self.asked(message, answer, ledger).map(Some)
    }
}
