//! A route as requests are sent there: its connections, and what watches its answers.

use std::sync::Arc;

use keyward_vault::{Vault, Watch};
use tokio_rustls::TlsConnector;

use crate::connect::{self, Opener, SystemRoots};
use crate::database::Reached;
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
    /// If it is a database, what connections to it are opened with.
    database: Option<Arc<Opener>>,
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
                Scheme::Https | Scheme::Postgres => {
                    Some(TlsConnector::from(connect::tls(&route, system)?))
                }
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
            database: match route.scheme() {
                Scheme::Postgres => Some(Arc::new(opener()?)),
                Scheme::Https | Scheme::Http => None,
            },
            watch: vault.watch(route.name(), route.authority()),
            address: route.leads_to(),
            route,
        })
    }

    /// What connections to it are opened with, and where it leads, if it is a database.
    pub(super) fn database(&self) -> Option<Reached> {
        let opener = self.database.as_ref()?;
        Some((Arc::clone(opener), Arc::clone(&self.address)))
    }

    pub(super) fn pool(&self, credentialed: bool) -> &Arc<Pool> {
        if credentialed {
            &self.credentialed
        } else {
            &self.plain
        }
    }
}
