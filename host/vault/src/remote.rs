//! Keys that never leave their source: what they are used for is permitted and
//! recorded here, and done there.
//!
//! A permit becomes a [`RemoteUse`]. Once the use is in the audit trail, that
//! becomes a [`RemoteCall`], which says what to ask of which source; nobody can ask
//! before. What the source answers is believed as far as it can be checked: a code has
//! its algorithm's length, the signature of a token or a handshake is verified with the
//! key's public half, and what was sealed opens for whom it was sealed only.

use std::sync::Arc;

use keyward_names::ExchangeId;
use zeroize::Zeroizing;

use crate::audit::{Outcome, UseEntry};
use crate::jws::{PublicKey, TokenToSign};
use crate::kind::{Kind, MacAlgorithm};
use crate::ledger::{Afterwards, Durable, Ledger, Position};
use crate::live::Material;
use crate::mac::{Mac, OperationError, check_length};
use crate::permit::Permit;
use crate::remote_certificate::RemoteCertificate;
use crate::tls::HandshakeToSign;
use crate::uses::{self, UseType};
use crate::values::Reference;

/// A key that its source keeps.
pub(crate) struct RemoteKey {
    pub(crate) reference: Reference,
    kind: Kind,
    /// The certificate that is here of it, if there is one: then the key is that one's
    /// and no other version of it there.
    pub(crate) certificate: Option<Arc<RemoteCertificate>>,
}

impl RemoteKey {
    pub(crate) const fn new(
        reference: Reference,
        kind: Kind,
        certificate: Option<Arc<RemoteCertificate>>,
    ) -> Self {
        Self {
            reference,
            kind,
            certificate,
        }
    }

    /// The hash of its codes, if it is a MAC key.
    pub(crate) const fn mac_algorithm(&self) -> Option<MacAlgorithm> {
        match self.kind {
            Kind::HmacKey { algorithm, .. } => Some(algorithm),
            _ => None,
        }
    }

    /// Whether its public half vouches for tokens.
    pub(crate) const fn signs_tokens(&self) -> bool {
        matches!(self.kind, Kind::Certificate)
    }

    /// Whether it seals data.
    pub(crate) const fn seals(&self) -> bool {
        matches!(self.kind, Kind::DataKey { .. })
    }
}

/// What a key's source is to do: permitted, and entered into the exchange's ledger.
#[must_use = "a use that is not carried out has been recorded all the same"]
pub struct RemoteUse {
    call: RemoteCall,
    exchange: ExchangeId,
    position: Position,
}

/// What to ask of a key's source. One that is dropped was not done, and nobody is told.
pub struct RemoteCall {
    /// Where the key is.
    pub reference: Reference,
    /// What it is to do.
    pub task: RemoteTask,
    pub(crate) entry: UseEntry,
    pub(crate) afterwards: Afterwards,
}

/// What a key's source is to do.
#[non_exhaustive]
pub enum RemoteTask {
    /// Make the code of the message, whole.
    MakeCode {
        /// The hash of the code.
        algorithm: MacAlgorithm,
        /// The message.
        message: Vec<u8>,
    },
    /// Say whether this is the whole code of the message, under any version of the
    /// key that the source accepts.
    CheckCode {
        /// The hash of the code.
        algorithm: MacAlgorithm,
        /// The message.
        message: Vec<u8>,
        /// The code, of the algorithm's length.
        code: Vec<u8>,
    },
    /// Tell the key's public half, and sign with the key what the token is with it.
    SignToken(Box<TokenToSign>),
    /// Sign a client's part of a handshake of TLS.
    SignHandshake(Box<HandshakeToSign>),
    /// Seal a text with the key's newest version.
    Seal {
        /// The text.
        text: Zeroizing<Vec<u8>>,
        /// What is authenticated beside it.
        associated: Vec<u8>,
    },
    /// Open what it sealed.
    Open {
        /// The version of the key that sealed it, not 0.
        version: u64,
        /// What it sealed.
        sealed: Vec<u8>,
        /// What is authenticated beside it.
        associated: Vec<u8>,
    },
}

/// What a key's source answered.
#[non_exhaustive]
pub enum RemoteAnswer {
    /// It made this code.
    Code(Vec<u8>),
    /// It said whether the code is the message's.
    Checked(bool),
    /// It signed the token's text, or the handshake.
    Signed {
        /// The key's public half, in the version that signed.
        key: PublicKey,
        /// The signature, as JWS has it, or as TLS has it.
        signature: Vec<u8>,
    },
    /// It sealed the text.
    Sealed {
        /// With this version of the key.
        version: u64,
        /// To this.
        sealed: Vec<u8>,
    },
    /// It opened what was sealed; `None`: it says that this was not sealed so, or under
    /// a version that it no longer accepts.
    Opened(Option<Zeroizing<Vec<u8>>>),
}

crate::secret::assert_not_implemented!(RemoteUse: Clone, serde::Serialize);
crate::secret::assert_not_implemented!(RemoteCall: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(RemoteAnswer: std::fmt::Debug, Clone, serde::Serialize);

impl RemoteUse {
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
    /// Errors: [`OperationError::Failed`], which is recorded: it made none, or one that
    /// hasn't the algorithm's length.
    pub fn made(self, answer: RemoteAnswer) -> Result<Mac, OperationError> {
        match (&self.task, answer) {
            (RemoteTask::MakeCode { algorithm, .. }, RemoteAnswer::Code(code))
                if code.len() == algorithm.code_bytes() =>
            {
                Ok(Mac::made_elsewhere(&code))
            }
            _ => Err(self.failed()),
        }
    }

    /// Whether the code is the message's.
    ///
    /// Errors: [`OperationError::Failed`], which is recorded: the source didn't say.
    pub fn checked(self, answer: RemoteAnswer) -> Result<bool, OperationError> {
        match (&self.task, answer) {
            (RemoteTask::CheckCode { .. }, RemoteAnswer::Checked(is_code)) => Ok(is_code),
            _ => Err(self.failed()),
        }
    }

    /// Whether it is about that code of that message.
    pub(crate) fn is_about(&self, message: &[u8], code: &[u8]) -> bool {
        matches!(&self.task, RemoteTask::CheckCode { message: its, code: its_code, .. }
            if its[..] == *message && its_code[..] == *code)
    }

    /// Whether what the source answered is a signature, and one that can't be right: of
    /// another key, or of something else. Nothing is recorded: whoever takes the answer
    /// does that.
    pub fn is_forged(&self, answer: &RemoteAnswer) -> bool {
        match (&self.task, answer) {
            (RemoteTask::SignToken(token), RemoteAnswer::Signed { key, signature }) => {
                !token.is_signed(key, signature)
            }
            (RemoteTask::SignHandshake(handshake), RemoteAnswer::Signed { signature, .. }) => {
                !handshake.is_signed(signature)
            }
            _ => false,
        }
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

    /// The key, if it stays in its source.
    pub(crate) fn remote_key(&self) -> Result<&RemoteKey, OperationError> {
        match self.secret().material() {
            Some(Material::Remote(key)) => Ok(key),
            _ => Err(OperationError::Unavailable),
        }
    }

    pub(crate) fn asked(
        self,
        task: RemoteTask,
        ledger: &Ledger,
    ) -> Result<RemoteUse, OperationError> {
        let reference = self.remote_key()?.reference.clone();
        let (entry, position) = self.into_recorded().ok_or(OperationError::Unavailable)?;
        Ok(RemoteUse {
            exchange: ledger.exchange(),
            position,
            call: RemoteCall {
                reference,
                task,
                entry,
                afterwards: ledger.afterwards(),
            },
        })
    }

    fn mac_algorithm(&self) -> Result<MacAlgorithm, OperationError> {
        let algorithm = self.remote_key()?.mac_algorithm();
        algorithm.ok_or(OperationError::Unavailable)
    }

    /// `None` if the code hasn't the length of a whole one.
    pub(crate) fn asked_to_check(
        self,
        message: &[u8],
        code: &[u8],
        ledger: &Ledger,
    ) -> Result<Option<RemoteUse>, OperationError> {
        let algorithm = self.mac_algorithm()?;
        check_length(message)?;
        if code.len() != algorithm.code_bytes() {
            return Ok(None);
        }
        let task = RemoteTask::CheckCode {
            algorithm,
            message: message.to_vec(),
            code: code.to_vec(),
        };
        self.asked(task, ledger).map(Some)
    }
}

impl Permit<uses::MacSign> {
    /// Has the code of a message made by the key's source. `ledger` is the one that
    /// the permit was entered into.
    ///
    /// Errors: the message is longer than [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES),
    /// or the key is here ([`is_remote`](Self::is_remote)).
    pub fn ask(self, message: &[u8], ledger: &Ledger) -> Result<RemoteUse, OperationError> {
        check_length(message)?;
        let task = RemoteTask::MakeCode {
            algorithm: self.mac_algorithm()?,
            message: message.to_vec(),
        };
        self.asked(task, ledger)
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
    ) -> Result<Option<RemoteUse>, OperationError> {
        self.asked_to_check(message, code, ledger)
    }
}
