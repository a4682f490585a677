//! What an operator pinned of a source.

use std::net::IpAddr;
use std::time::Duration;

use keyward_names::RouteName;

use crate::address::{self, Network};
use crate::route::{Host, Roots, Route, Scheme};
use crate::source::error::SourceSetupError;
use crate::timeouts::Timeouts;

/// How long an exchange may take, from the look-up of the name to the last byte of
/// the answer.
const DEADLINE: Duration = Duration::from_secs(15);
/// The most that a body may be: twice what the largest secret of any source takes,
/// written as base64 in JSON.
const MAX_BODY: usize = 1 << 20;

/// Where a source may be asked, and with how much patience.
#[derive(Clone, Debug)]
pub struct SourceProfile {
    origins: Vec<Route>,
    networks: Option<Vec<Network>>,
    roots: Roots,
    timeouts: Timeouts,
    deadline: Duration,
    max_body: usize,
}

impl Default for SourceProfile {
    fn default() -> Self {
        Self::new()
    }
}

impl SourceProfile {
    /// A profile that names no origin yet, trusts the system's certificate
    /// authorities, gives each step the time of [`Timeouts::default`], an exchange
    /// 15 s, and takes answers of at most 1 MiB.
    pub fn new() -> Self {
        Self {
            origins: Vec::new(),
            networks: None,
            roots: Roots::System,
            timeouts: Timeouts::default(),
            deadline: DEADLINE,
            max_body: MAX_BODY,
        }
    }

    /// The same profile, which may also ask the origin of `url`: its scheme, host
    /// and port. A path is read and forgotten; the scheme is `https`, or `http` to
    /// a loopback address or `localhost`.
    pub fn with_origin(self, url: &str) -> Result<Self, SourceSetupError> {
        let route = Route::new(name()?, url)?;
        if let Host::Address(address) = route.host()
            && address::is_platform(address.to_canonical())
        {
            return Err(SourceSetupError::Platform);
        }
        Ok(self.with(route.without_base_path()))
    }

    /// The same profile, which may also ask a platform's identity service at `url`:
    /// `http` to `localhost`, a loopback address, or an address at which a platform
    /// answers whoever asks from this machine, such as `http://169.254.169.254`.
    /// Plaintext goes to exactly that address. [`SourceProfile::with_networks`]
    /// does not count for it.
    pub fn with_platform_endpoint(self, url: &str) -> Result<Self, SourceSetupError> {
        let route = Route::to_platform(name()?, url)?;
        let is_here = match route.host() {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address::is_platform(address)
            }
        };
        if !is_here || route.scheme() != Scheme::Http {
            return Err(SourceSetupError::NotPlatform);
        }
        Ok(self.with(route.without_base_path()))
    }

    /// The same profile, leading to these addresses only. Without this, a name leads
    /// to public addresses, `localhost` to this machine, and an address to itself.
    ///
    /// A platform's own addresses can't be allowed here: they are the identity
    /// service's.
    pub fn with_networks(
        self,
        networks: impl IntoIterator<Item = Network>,
    ) -> Result<Self, SourceSetupError> {
        let networks: Vec<Network> = networks.into_iter().collect();
        let is_platform = |network: &Network| match network {
            Network::Range(range) => {
                range.prefix_len() == range.max_prefix_len()
                    && address::is_platform(IpAddr::to_canonical(&range.addr()))
            }
            Network::Public | Network::Private | Network::Loopback => false,
        };
        if networks.iter().any(is_platform) {
            return Err(SourceSetupError::Platform);
        }
        Ok(Self {
            networks: Some(networks),
            ..self
        })
    }

    /// The same profile, vouched for by `roots`.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// The same profile, with this much time for each step.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// The same profile, with this much time for an exchange as a whole.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The same profile, taking answers with bodies of at most `max_body` bytes.
    #[must_use]
    pub fn with_max_body(self, max_body: usize) -> Self {
        Self { max_body, ..self }
    }

    /// How long an exchange may take as a whole.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The most that an answer's body may be, in bytes.
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// The origins that may be asked, each `scheme://host[:port]`.
    pub fn origins(&self) -> impl Iterator<Item = String> {
        self.origins.iter().map(|route| {
            let scheme = match route.scheme() {
                Scheme::Https => "https",
                Scheme::Http => "http",
                Scheme::Postgres => "postgres",
            };
            format!("{scheme}://{}", route.authority())
        })
    }

    /// The origins as routes, with all that the profile says of them.
    pub(crate) fn routes(&self) -> impl Iterator<Item = Route> {
        self.origins.iter().map(|route| {
            let route = route
                .clone()
                .with_roots(self.roots.clone())
                .with_timeouts(self.timeouts);
            match &self.networks {
                Some(networks) if !route.is_to_platform() => {
                    route.with_networks(networks.iter().copied())
                }
                _ => route,
            }
        })
    }

    fn with(mut self, route: Route) -> Self {
        let known = self.origins.iter().any(|known| {
            (known.scheme(), known.authority()) == (route.scheme(), route.authority())
        });
        if !known {
            self.origins.push(route);
        }
        self
    }
}

/// Routes have names. Those of sources are told apart by their origins.
fn name() -> Result<RouteName, SourceSetupError> {
    RouteName::parse("source").map_err(|_| SourceSetupError::Malformed)
}
