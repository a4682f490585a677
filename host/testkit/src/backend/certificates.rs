//! Certificates of pretended backends, by an authority that is made once a process.

use std::sync::{Arc, OnceLock};

use http::Uri;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};

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
                .with_client_cert_verifier(Arc::new(Anyone(Arc::clone(&provider))))
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

/// Asks for a certificate, and takes whichever is shown with its key, or none: which
/// one is for the suite to expect.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ClientCertVerifier for Anyone {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
