//! The tokens that a request's notes need, before anything else is done for it.

use std::sync::Arc;

use http::request::Parts;
use keyward_names::RouteName;
use keyward_vault::{Ledger, Notes, TokenFailure};

use super::Egress;
use super::attach::{settle, target};
use super::destination::Destination;
use super::fetch::fetch;
use super::flights::{Joined, Landed};
use crate::error::EgressError;

/// How often it is tried to share a fetch with others who then leave it.
const MAX_JOINS: u32 = 8;

/// Gives each note that needs one, and may have it there, its token: one that is at hand, one that someone
/// else is fetching, or one that is fetched for it. The fetch is on record before it
/// begins, goes on when this exchange is dropped, and is shared by all who want the
/// same.
///
/// Cancel safety: dropped, the notes may have some of their tokens.
pub(super) async fn obtain(
    egress: &Egress,
    destination: &Destination,
    head: &Parts,
    notes: &mut Notes,
    ledger: &mut Ledger,
) -> Result<(), EgressError> {
    let target = target(destination, head)?;
    let mut joins = 0;
    let leads_to = |route: &RouteName| {
        let endpoint = egress.routes.get(route)?;
        Some(Arc::clone(&endpoint.address))
    };
    while let Some(wanted) = notes.take_tokens(&egress.vault, ledger, &target, leads_to) {
        let index = wanted.index();
        let mut landed = match egress.flights.join(wanted.key()) {
            Joined::Failed(failure) => return Err(failure),
            Joined::UnderWay(landed) => landed,
            Joined::First(flight) => {
                let landed = flight.landed();
                let endpoint = wanted.route().and_then(|route| egress.routes.get(route));
                let endpoint = endpoint.cloned().ok_or(EgressError::UnknownRoute)?;
                let (address, authority) = (&endpoint.address, endpoint.route.authority());
                let call = wanted
                    .record(&egress.vault, ledger, address, authority)
                    .map_err(|_| EgressError::Denied)?;
                settle(ledger).await?;
                let durable = ledger.barrier().await;
                let durable = durable.map_err(|_| EgressError::AuditUnavailable)?;
                let call = call.release(&durable);
                let call = call.map_err(|_| EgressError::AuditUnavailable)?;
                let (vault, signer) = (Arc::clone(&egress.vault), egress.signer.clone());
                tokio::spawn(async move {
                    flight.land(fetch((&vault, signer), &endpoint, call).await);
                });
                landed
            }
        };
        match land(&mut landed).await {
            Some(Ok(token)) => notes.give(index, token),
            Some(Err(failure)) => return Err(failure),
            // Whoever was to fetch it is gone.
            None => {
                joins += 1;
                if joins > MAX_JOINS {
                    return Err(EgressError::Token(TokenFailure::Unavailable));
                }
            }
        }
    }
    Ok(())
}

async fn land(landed: &mut Landed) -> super::flights::Landing {
    let landing = landed.wait_for(Option::is_some).await;
    landing.ok().and_then(|landing| landing.clone())
}
