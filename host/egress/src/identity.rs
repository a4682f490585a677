//! Certificates that are shown to backends in TLS. The key stays in the vault; here is
//! what rustls asks when it wants a handshake signed.
//!
//! A certificate, in one version, has connections of its own on each route, with a TLS
//! configuration of its own and so with sessions of its own: no request rides on a
//! connection, or resumes a session, on which another certificate was shown, another
//! version of it, or none. What is left of an old version's connections drains: none
//! is taken for a request that shows the new one.
//!
//! Where the key stays in its source, [`remote`] has a handshake signed there.

pub(crate) mod remote;

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use keyward_vault::{IdentityId, KeyAlgorithm, NotSignedHere, TlsIdentity, TlsScheme};
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, ResolvesClientCert, Resumption,
    Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, NamedGroup, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::connect::Opener;
use crate::dialer::Dialer;
use crate::pool::Pool;
use crate::route::Route;
use remote::Signing;

/// How many versions of one certificate have connections on a route at once, and how
/// many certificates in all. Those that were not used for longest make room.
const MAX_VERSIONS: usize = 2;
const MAX_IDENTITIES: usize = 64;
/// What was not used for so long is forgotten, the handle of its key with it.
const MAX_IDLE_TIME: Duration = Duration::from_secs(60);
/// How many sessions are kept for one certificate on one route.
const MAX_SESSIONS: usize = 32;

/// The connections of one route on which certificates are shown.
pub(crate) struct Identities {
    route: Arc<Route>,
    dialer: Dialer,
    /// The route's own, without a certificate; none where there is no TLS.
    plain: Option<Arc<ClientConfig>>,
    shown: Mutex<Vec<Shown>>,
    /// For handshakes that are signed elsewhere.
    pub(crate) room: Arc<Semaphore>,
}

struct Shown {
    id: IdentityId,
    pool: Arc<Pool>,
    used: Instant,
}

impl Identities {
    /// Those of the route that `opener` is of.
    pub(crate) fn new(opener: &Opener) -> Arc<Self> {
        Arc::new(Self {
            route: Arc::clone(&opener.route),
            dialer: opener.dialer.clone(),
            plain: opener.tls.as_ref().map(|tls| Arc::clone(tls.config())),
            shown: Mutex::default(),
            room: Arc::new(Semaphore::new(remote::ROOM_OF_ROUTE)),
        })
    }

    /// The connections on which this certificate, in this version, is shown. `None`:
    /// the route has no TLS.
    pub(crate) fn pool(self: &Arc<Self>, identity: &TlsIdentity) -> Option<Arc<Pool>> {
        let plain = self.plain.as_ref()?;
        let (id, now) = (identity.id(), Instant::now());
        let mut shown = self.lock();
        forget(&mut shown, now);
        if let Some(known) = shown.iter_mut().find(|shown| shown.id == id) {
            known.used = now;
            return Some(Arc::clone(&known.pool));
        }
        make_room(&mut shown, MAX_VERSIONS, |other| {
            other.id.is_of_same_secret(&id)
        });
        make_room(&mut shown, MAX_IDENTITIES, |_| true);
        let pool = Pool::credentialed(Opener {
            route: Arc::clone(&self.route),
            tls: Some(TlsConnector::from(Arc::new(config(plain, identity)))),
            shows: true,
            dialer: self.dialer.clone(),
        });
        shown.push(Shown {
            id,
            pool: Arc::clone(&pool),
            used: now,
        });
        if shown.len() == 1
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(forget_later(Arc::downgrade(self)));
        }
        Some(pool)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Shown>> {
        // A list of pools is usable whatever happened to its last holder.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops those that were not used for long.
fn forget(shown: &mut Vec<Shown>, now: Instant) {
    shown.retain(|shown| now.saturating_duration_since(shown.used) < MAX_IDLE_TIME);
}

/// Drops those of a sort that were not used for longest, until there is room for one.
fn make_room(shown: &mut Vec<Shown>, most: usize, is_of_sort: impl Fn(&Shown) -> bool) {
    while shown.iter().filter(|shown| is_of_sort(shown)).count() >= most {
        let of_sort = shown
            .iter()
            .enumerate()
            .filter(|(_, shown)| is_of_sort(shown));
        let Some((oldest, _)) = of_sort.min_by_key(|(_, shown)| shown.used) else {
            return;
        };
        shown.remove(oldest);
    }
}

/// Drops what is not used any more, until there is nothing left.
async fn forget_later(identities: Weak<Identities>) {
    loop {
        tokio::time::sleep(MAX_IDLE_TIME).await;
        let Some(identities) = identities.upgrade() else {
            return;
        };
        let mut shown = identities.lock();
        forget(&mut shown, Instant::now());
        if shown.is_empty() {
            return;
        }
    }
}

/// The route's TLS configuration with a certificate, and with sessions of its own. No
/// early data: rustls sends none unless it is told to.
fn config(plain: &ClientConfig, identity: &TlsIdentity) -> ClientConfig {
    let mut config = plain.clone();
    config.client_auth_cert_resolver = Arc::new(Resolver::new(identity));
    config.resumption = Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(
        MAX_SESSIONS,
    ))));
    config
}

/// Says whether a certificate may be shown now.
pub(crate) type MayShow = Arc<dyn Fn() -> bool + Send + Sync>;

/// By what right a certificate is shown.
#[derive(Clone)]
pub(crate) struct Right {
    pub(crate) may: MayShow,
    /// What signs, where its key stays in its source.
    pub(crate) signing: Option<Arc<Signing>>,
}

tokio::task_local! {
    /// Whether the handshake that this task makes was signed with a certificate's key.
    static SIGNED: Cell<bool>;
    /// By what right connections are opened here on which a certificate is shown.
    static RIGHT: Right;
}

/// Opens connections on which a certificate is shown, by that right: it is asked each
/// time that the key is to sign. Without one, it does not.
pub(crate) async fn showing<T>(right: Right, connecting: impl Future<Output = T>) -> T {
    RIGHT.scope(right, connecting).await
}

/// By what right whoever opens this connection shows a certificate whose key stays in its
/// source; `None` if it is here, or there is no right.
pub(crate) fn right_elsewhere() -> Option<(Right, Arc<Signing>)> {
    let right = RIGHT.try_with(Clone::clone).ok()?;
    let signing = Arc::clone(right.signing.as_ref()?);
    Some((right, signing))
}

/// Whether the certificate may be shown by whoever opens this connection, now.
pub(crate) fn may_show() -> bool {
    RIGHT.try_with(|right| (right.may)()).unwrap_or(false)
}

/// Makes a handshake. Also whether it was signed with a certificate's key.
pub(crate) async fn watched<T>(handshake: impl Future<Output = T>) -> (T, bool) {
    SIGNED
        .scope(Cell::new(false), async {
            let made = handshake.await;
            (made, SIGNED.with(Cell::get))
        })
        .await
}

/// Hands out the one certificate.
struct Resolver(Arc<CertifiedKey>);

impl Resolver {
    fn new(identity: &TlsIdentity) -> Self {
        let chain = identity.chain().iter();
        let chain = chain
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let key = Arc::new(Key(identity.clone()));
        Self(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// A key that the vault keeps.
#[derive(Debug)]
struct Key(TlsIdentity);

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let own = self.0.schemes().iter();
        let chosen = own
            .copied()
            .find(|scheme| offered.contains(&scheme.code().into()))?;
        let signer = HandshakeSigner {
            identity: self.0.clone(),
            scheme: chosen,
        };
        Some(Box::new(signer))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa => SignatureAlgorithm::RSA,
            KeyAlgorithm::Ed25519 => SignatureAlgorithm::ED25519,
            KeyAlgorithm::P256 | KeyAlgorithm::P384 | KeyAlgorithm::P521 => {
                SignatureAlgorithm::ECDSA
            }
        }
    }
}

#[derive(Debug)]
struct HandshakeSigner {
    identity: TlsIdentity,
    scheme: TlsScheme,
}

impl Signer for HandshakeSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        // The other side may have been silent for seconds before it asked.
        if !may_show() {
            return Err(rustls::Error::General("not granted any more".to_owned()));
        }
        let signed = match self.identity.is_remote() {
            false => self.identity.sign(self.scheme, message),
            true => remote::signed(self.scheme, message)
                .filter(|_| may_show())
                .ok_or(NotSignedHere),
        };
        let signature = signed.map_err(|error| rustls::Error::General(error.to_string()))?;
        // Nobody watches where no certificate needs to be shown.
        let _ = SIGNED.try_with(|signed| signed.set(true));
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme.code().into()
    }
}

/// Sessions on which the certificate was shown, and no others: a session that is
/// resumed is as good as the handshake that it is from.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

impl Sessions {
    /// During a handshake, whether it was signed. A ticket that comes later comes on a
    /// connection that would not be there without.
    fn was_shown() -> bool {
        SIGNED.try_with(Cell::get).unwrap_or(true)
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(server_name, group);
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if Self::was_shown() {
            self.0.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        self.0.remove_tls12_session(server_name);
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        if Self::was_shown() {
            self.0.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server_name)
    }
}
