//! What goes wrong on the way to a source, in the words of this crate.

use keyward_egress::Stage;
use keyward_egress::source::SourceTransportError;

use crate::error::{SourceError, Unreachable};

impl From<SourceTransportError> for SourceError {
    fn from(error: SourceTransportError) -> Self {
        match error {
            SourceTransportError::Unreachable(stage) => Self::Unreachable(stage.into()),
            SourceTransportError::TimedOut => Self::TimedOut,
            SourceTransportError::Protocol => Self::Protocol,
            SourceTransportError::TooLarge { limit } => Self::TooLarge { max: limit },
            SourceTransportError::NotPinned => Self::Unsupported {
                what: "ask a host that is not pinned for it",
            },
            SourceTransportError::Invalid => Self::Unsupported {
                what: "take this request",
            },
        }
    }
}

impl From<Stage> for Unreachable {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Resolve | Stage::ResolveTimeout => Self::Resolve,
            Stage::Network => Self::Address,
            Stage::Busy | Stage::Connect | Stage::ConnectTimeout | Stage::Closed => Self::Connect,
            Stage::Tls => Self::Certificate,
            Stage::TlsTimeout => Self::Tls,
        }
    }
}
