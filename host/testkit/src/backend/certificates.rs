//! Certificates of pretended backends, by an authority that is made once a process.

use std::sync::{Arc, OnceLock};

use http::Uri;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::suite::Suite;

/// Certificates of a suite's backends.
pub(crate) struct Certificates {
    authority: Vec<u8>,
    acceptors: Vec<TlsAcceptor>,
}

/// They can't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error(transparent)]
    Made(#[from] rcgen::Error),
    #[error(transparent)]
    Tls(#[from] tokio_rustls::rustls::Error),
    #[error("a key can't be used")]
    Key,
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// One key for all backends: it proves nothing to anybody.
    key: KeyPair,
}

fn authority() -> Result<&'static Authority, CertificateFault> {
    static AUTHORITY: OnceLock<Result<Authority, String>> = OnceLock::new();
    let made = AUTHORITY.get_or_init(|| {
        let make = || -> Result<Authority, rcgen::Error> {
            let mut params = CertificateParams::new(Vec::new())?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Ok(Authority {
                issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
                key: KeyPair::generate()?,
            })
        };
        make().map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|_| CertificateFault::Key)
}

impl Certificates {
    pub(crate) fn for_suite(suite: &Suite) -> Result<Self, CertificateFault> {
        let Authority { issuer, key } = authority()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut acceptors = Vec::new();
        for route in &suite.routes {
            let uri: Uri = route.url.parse().unwrap_or_default();
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let params = CertificateParams::new(vec![host.to_ascii_lowercase()])?;
            let certificate = params.signed_by(key, issuer)?;
            let private =
                PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| CertificateFault::Key)?;
            let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], private)?;
            let protocol: &[u8] = if route.http2 { b"h2" } else { b"http/1.1" };
            config.alpn_protocols = vec![protocol.to_vec()];
            // Nobody resumes anything within a case.
            config.send_tls13_tickets = 0;
            acceptors.push(TlsAcceptor::from(Arc::new(config)));
        }
        Ok(Self {
            authority: issuer.pem().into_bytes(),
            acceptors,
        })
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn authority(&self) -> Vec<u8> {
        self.authority.clone()
    }

    /// One for each route, in the suite's order.
    pub(crate) fn acceptors(&self) -> &[TlsAcceptor] {
        &self.acceptors
    }
}
