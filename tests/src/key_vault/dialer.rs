//! Leads real names to stubs. What may be dialled is judged all the same: names have
//! public addresses here, and only what connects to one knows whose it is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use keyward::egress::{Connect, DialFuture, Dialer, Resolver, Stream, Tcp};

/// Where Azure's instance metadata service answers.
const IMDS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Names and the listeners behind them.
#[derive(Clone, Debug, Default)]
pub struct Names {
    known: Vec<(String, SocketAddr)>,
    imds: Option<SocketAddr>,
}

impl Names {
    /// The same names, and one more. A name that starts with `.` is an ending.
    #[must_use]
    pub fn with(mut self, name: &str, listener: SocketAddr) -> Self {
        self.known.push((name.to_owned(), listener));
        self
    }

    /// The same names, and the instance metadata service.
    #[must_use]
    pub fn with_imds(mut self, listener: SocketAddr) -> Self {
        self.imds = Some(listener);
        self
    }

    /// What looks these names up and dials what they lead to.
    pub fn dialer(self) -> Dialer {
        let names = Arc::new(self);
        Dialer {
            resolver: Arc::clone(&names) as Arc<dyn Resolver>,
            connector: names,
        }
    }

    fn address(index: usize) -> IpAddr {
        let last = u8::try_from(index).unwrap_or(u8::MAX);
        IpAddr::V4(Ipv4Addr::new(20, 50, 0, last))
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        let fits = |(name, _): &(String, SocketAddr)| match name.starts_with('.') {
            true => host.ends_with(name.as_str()),
            false => host == name,
        };
        let found = self.known.iter().position(fits).map(Self::address);
        Box::pin(async move { Ok(found.into_iter().collect()) })
    }
}

impl Connect for Names {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        let listener = if address.ip() == IMDS {
            self.imds
        } else if address.ip().is_loopback() {
            Some(address)
        } else {
            let index = (0..self.known.len()).find(|index| Self::address(*index) == address.ip());
            index
                .and_then(|index| self.known.get(index))
                .map(|(_, listener)| *listener)
        };
        Box::pin(async move {
            match listener {
                Some(listener) => Tcp.connect(listener).await,
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}
