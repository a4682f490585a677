//! The certificate authority of the pretended backends: one a process, and one
//! certificate a host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

/// Why there is no authority or no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no certificate could be made for a backend")]
pub struct NoCertificate;

type Servers = Mutex<HashMap<(String, bool), Arc<ServerConfig>>>;

/// The authority that vouches for pretended backends.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    servers: Servers,
}

impl Authority {
    /// The process's, made when it is first asked for.
    pub(crate) fn of_the_process() -> Result<&'static Self, NoCertificate> {
        static AUTHORITY: OnceLock<Result<Authority, NoCertificate>> = OnceLock::new();
        AUTHORITY
            .get_or_init(Self::new)
            .as_ref()
            .map_err(|error| *error)
    }

    fn new() -> Result<Self, NoCertificate> {
        let mut params = CertificateParams::new(Vec::new()).map_err(|_| NoCertificate)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(|_| NoCertificate)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(|_| NoCertificate)?;
        Ok(Self {
            issuer,
            servers: Servers::default(),
        })
    }

    /// Its certificate, as routes take it.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    /// A server's end of TLS for a host, a name or an address.
    pub(crate) fn server(&self, host: &str, http2: bool) -> Result<TlsAcceptor, NoCertificate> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (host.to_owned(), http2);
        if let Some(known) = servers.get(&place) {
            return Ok(Arc::clone(known).into());
        }
        let config = Arc::new(self.configured(host, http2)?);
        servers.insert(place, Arc::clone(&config));
        Ok(config.into())
    }

    fn configured(&self, host: &str, http2: bool) -> Result<ServerConfig, NoCertificate> {
        let key = KeyPair::generate().map_err(|_| NoCertificate)?;
        let params = CertificateParams::new(vec![host.to_owned()]).map_err(|_| NoCertificate)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|_| NoCertificate)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| NoCertificate)?;
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| NoCertificate)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(|_| NoCertificate)?;
        let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        Ok(config)
    }
}
