//! A route as requests are sent there: its connections, and what watches its answers.

use std::sync::Arc;

use keyward_vault::{Vault, Watch};
use tokio_rustls::TlsConnector;

use crate::connect::{self, Opener, SystemRoots};
use crate::dialer::Dialer;
use crate::error::SetupError;
use crate::identity::Identities;
use crate::pool::Pool;
use crate::route::{Route, Scheme};

#[derive(Clone)]
pub(super) struct Destination {
    pub(super) route: Arc<Route>,
    /// Where it leads, as grants are bound to it.
    pub(super) address: Arc<str>,
    plain: Arc<Pool>,
    credentialed: Arc<Pool>,
    /// The connections on which certificates are shown.
    pub(super) identities: Arc<Identities>,
    /// What was sent there of late.
    pub(super) watch: Arc<Watch>,
}

impl Destination {
    pub(super) fn new(
        route: Route,
        system: &SystemRoots,
        dialer: &Dialer,
        vault: &Vault,
    ) -> Result<Self, SetupError> {
        let route = Arc::new(route);
        // Each pool has a TLS configuration of its own, and so its own tickets.
        let opener = || {
            let tls = match route.scheme() {
                Scheme::Https => Some(TlsConnector::from(connect::tls(&route, system)?)),
                Scheme::Http => None,
            };
            Ok(Opener {
                route: Arc::clone(&route),
                tls,
                dialer: dialer.clone(),
                shows: false,
            })
        };
        let credentialed = opener()?;
        Ok(Self {
            plain: Pool::plain(opener()?),
            identities: Identities::new(&credentialed),
            credentialed: Pool::credentialed(credentialed),
            watch: vault.watch(route.name(), route.authority()),
            address: route.leads_to(),
            route,
        })
    }

    pub(super) fn pool(&self, credentialed: bool) -> &Arc<Pool> {
        if credentialed {
            &self.credentialed
        } else {
            &self.plain
        }
    }
}
