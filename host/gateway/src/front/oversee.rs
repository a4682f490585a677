//! What bounds an exchange from the client's side: how long it may take until it
//! is answered, and what its body broke.

use std::future::Future;
use std::time::Duration;

use keyward::egress::EgressError;
use keyward::names::ExchangeId;
use keyward::{Failure, Forwarded, Report};

use crate::listen::Broke;

/// Watches over one exchange.
#[derive(Clone, Debug)]
pub(crate) struct Oversight {
    broke: Broke,
    patience: Option<Duration>,
}

impl Oversight {
    pub(super) fn new(broke: Broke, patience: Option<Duration>) -> Self {
        Self { broke, patience }
    }

    /// What the exchange comes to, within the time that it has. Dropped because
    /// that is up, it is recorded like one whose client went away.
    pub(crate) async fn watch(
        self,
        id: ExchangeId,
        is_grpc: bool,
        exchange: impl Future<Output = Forwarded>,
    ) -> Forwarded {
        let failed = |failure: Failure, report| Forwarded {
            response: failure.reply_to(is_grpc, id),
            failure: Some(failure),
            report,
        };
        let forwarded = match self.patience {
            None => exchange.await,
            Some(patience) => match tokio::time::timeout(patience, exchange).await {
                Ok(forwarded) => forwarded,
                Err(_) => return failed(Failure::TookTooLong, Report::default()),
            },
        };
        // The egress knows that the body broke, and not what it broke.
        let is_bodys = forwarded.failure == Some(Failure::Egress(EgressError::RequestBody));
        if is_bodys && self.broke.is_too_large() {
            return failed(Failure::BodyTooLarge, forwarded.report);
        }
        if is_bodys && self.broke.is_too_slow() {
            return failed(Failure::BodyTooSlow, forwarded.report);
        }
        forwarded
    }
}
