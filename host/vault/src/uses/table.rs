//! Which kind permits which use: the one table of it.
//!
//! [`Use::fits`](crate::Use::fits) reads it, and `tests/vault/cells.rs` tries every
//! cell of it: kind by use, granted and not. A cell is a promise about keys: no key
//! signs bytes of a policy's choice *and* speaks a protocol whose signatures a policy
//! could make that way.

use crate::kind::{Kind, MacAlgorithm};
use crate::uses::Use;

/// A cell of the table: secrets of this kind can be used so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindUse {
    /// The kind, as people write it.
    pub kind: &'static str,
    /// The use.
    pub use_: Use,
    /// Which secrets of the kind.
    pub of: Which,
}

/// Which secrets of a kind a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// MAC keys of this algorithm.
    Algorithm(MacAlgorithm),
}

impl KindUse {
    /// Whether the cell is about secrets of this kind.
    pub fn is_about(&self, kind: &Kind) -> bool {
        self.kind == kind.as_str()
            && match self.of {
                Which::All => true,
                Which::Algorithm(wanted) => {
                    matches!(kind, Kind::HmacKey { algorithm, .. } if *algorithm == wanted)
                }
            }
    }
}

const fn all(kind: &'static str, use_: Use) -> KindUse {
    KindUse {
        kind,
        use_,
        of: Which::All,
    }
}

const fn with(algorithm: MacAlgorithm, kind: &'static str, use_: Use) -> KindUse {
    KindUse {
        of: Which::Algorithm(algorithm),
        ..all(kind, use_)
    }
}

/// Every cell that is allowed. What has no line here is refused.
pub const KIND_USES: &[KindUse] = &[
    all("client-keys", Use::Identify),
    all("api-key", Use::Attach),
    all("basic", Use::Attach),
    all("hmac-key", Use::MacSign),
    all("hmac-key", Use::MacVerify),
    all("hmac-key", Use::VerifyJwt),
    // HMAC-SHA-256 is the one HMAC that RFC 9421 registers.
    with(MacAlgorithm::Sha256, "hmac-key", Use::SignRequest),
    all("oauth-client", Use::Token),
    all("certificate", Use::Token),
    all("certificate", Use::Present),
    all("certificate", Use::JwsSign),
    all("storage-account", Use::SignRequest),
    all("storage-account", Use::Sas),
    all("storage-account", Use::Describe),
    all("service-bus", Use::Sas),
    all("service-bus", Use::Describe),
    all("connection-string", Use::Describe),
    all("aws-key", Use::SignRequest),
    all("aws-key", Use::Presign),
    all("database", Use::Query),
    all("database", Use::Describe),
    all("data-key", Use::Seal),
    all("data-key", Use::Open),
];

impl Kind {
    /// Whether a key of this kind can stay in its source, and be used there for all that
    /// it can be used for here.
    pub const fn may_stay_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::HmacKey { .. } | Self::DataKey { .. } | Self::Certificate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_stands_in_it_once_and_is_about_a_kind_that_there_is() {
        for (index, cell) in KIND_USES.iter().enumerate() {
            let same = |other: &KindUse| other.kind == cell.kind && other.use_ == cell.use_;
            assert!(!KIND_USES[..index].iter().any(same), "{cell:?}");
            assert!(Kind::all().any(|kind| cell.is_about(&kind)), "{cell:?}");
        }
    }

    #[test]
    fn every_use_has_a_kind() {
        for use_ in Use::ALL {
            assert!(KIND_USES.iter().any(|cell| cell.use_ == use_), "{use_}");
        }
    }

    #[test]
    fn request_signatures_are_of_one_algorithm() {
        for kind in Kind::all() {
            let sha256 = MacAlgorithm::Sha256;
            let expected = match kind {
                Kind::HmacKey { algorithm, .. } => algorithm == sha256,
                // These have signatures of their own.
                Kind::StorageAccount | Kind::AwsKey => true,
                _ => false,
            };
            assert_eq!(Use::SignRequest.fits(&kind), expected, "{kind:?}");
        }
    }
}
