//! Where the routes lead that grants name.
//!
//! A grant names routes, and a configuration says where they lead. When both change
//! at once, requests are still under way that go where a route led before: what the
//! new grants allow must not go there with them. So the vault is told where routes
//! lead, and remembers of each grant, for as long as it stays as it is, where its
//! routes have led.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use keyward_names::{GrantId, RouteName};

use crate::grants::{Grant, Grants};

/// How many addresses of one route are remembered for a grant: what is under way
/// ends long before so many reloads.
const MAX_ADDRESSES: usize = 8;

/// Where routes lead: of each, a text that changes when that does. It is compared
/// with [`Target::address`](crate::Target::address) and means nothing else.
pub type RouteAddresses = BTreeMap<RouteName, Arc<str>>;

/// Where each grant has led since it is as it is.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    routes: Arc<RouteAddresses>,
    grants: Arc<HashMap<GrantId, Reached>>,
}

#[derive(Clone)]
struct Reached {
    grant: Arc<Grant>,
    addresses: HashMap<RouteName, Vec<Arc<str>>>,
}

impl Reach {
    /// With these grants, and where the routes lead if that is known anew.
    pub(crate) fn with(&self, grants: &Grants, routes: Option<RouteAddresses>) -> Self {
        let routes = routes.map_or_else(|| Arc::clone(&self.routes), Arc::new);
        let reached = |grant: &Arc<Grant>| {
            let before = self.grants.get(&grant.id);
            let before = before.filter(|before| before.grant == *grant);
            let mut addresses = before.map_or_else(HashMap::new, |same| same.addresses.clone());
            let endpoint = grant.terms.endpoint().map(|endpoint| &endpoint.route);
            for route in grant.to.iter().map(|to| &to.route).chain(endpoint) {
                let Some(address) = routes.get(route) else {
                    continue;
                };
                let known = addresses.entry(route.clone()).or_default();
                known.retain(|known| known != address);
                known.push(Arc::clone(address));
                if known.len() > MAX_ADDRESSES {
                    known.remove(0);
                }
            }
            let grant = Arc::clone(grant);
            Reached { grant, addresses }
        };
        let grants = grants
            .iter()
            .map(|grant| (grant.id.clone(), reached(grant)));
        Self {
            grants: Arc::new(grants.collect()),
            routes,
        }
    }

    /// Whether a route leads there now, for all that is known.
    pub(crate) fn is_now(&self, route: &RouteName, address: &str) -> bool {
        self.routes.get(route).is_none_or(|now| **now == *address)
    }

    /// Whether a grant has been in force together with a route that led there. A
    /// route of which nobody said where it leads may lead anywhere.
    pub(crate) fn has(&self, grant: &Grant, route: &RouteName, address: &str) -> bool {
        let reached = self.grants.get(&grant.id);
        let known = reached.and_then(|reached| reached.addresses.get(route));
        known.is_none_or(|known| known.iter().any(|known| **known == *address))
    }
}
