//! What an embedder may bring: how names are looked up, and how an address is
//! dialled. Which addresses may be dialled, TLS, and what is written are not among
//! it.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What a [`Resolver`] or a [`Connect`] returns.
pub type DialFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Looks names up. Its answers are not trusted: each address is compared with the
/// route's networks, and TLS verifies the name all the same.
pub trait Resolver: Send + Sync {
    /// All addresses of `host`, a DNS name in ASCII without a trailing dot, in the
    /// order in which they are to be tried.
    ///
    /// Called for each new connection; dropped when the route's time is over.
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>>;
}

/// Dials addresses.
pub trait Connect: Send + Sync {
    /// A connection to `address`, which was vetted. It must go there and nowhere
    /// else, and carries plain bytes: over `https` routes TLS is spoken on it, by
    /// the egress.
    ///
    /// Dropped when the route's time is over.
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>>;
}

/// A connection, as [`Connect`] makes it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How connections come about. By default, names are looked up by the system and
/// addresses dialled over TCP. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    /// Looks names up.
    pub resolver: Arc<dyn Resolver>,
    /// Dials addresses.
    pub connector: Arc<dyn Connect>,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            connector: Arc::new(Tcp),
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

/// Asks the system: its hosts file and its name servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> DialFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Dials over TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect(&self, address: SocketAddr) -> DialFuture<'_, Box<dyn Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Small writes are heads and last parts, which someone waits for. A
            // socket that does not take the option still works.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
