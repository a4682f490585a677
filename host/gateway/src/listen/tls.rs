//! TLS with clients: which certificate is shown for which name, and who may vouch
//! for a client.
//!
//! TLS 1.3 and 1.2; no early data, which could be replayed. Session tickets are
//! sealed with keys of this process that change every few hours. The private keys
//! are rustls' while the gateway runs.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyward::engine::ClientTls;
use keyward::vault::ClientCertificate;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConnection, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ProtocolVersion, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// The most bytes of a file with certificates or a key.
const MAX_FILE: u64 = 1024 * 1024;

/// `[gateway.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSection {
    /// `[[gateway.tls.certificate]]`.
    pub certificates: Vec<CertificateSection>,
    /// Who may vouch for clients: a PEM file with certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to show a certificate.
    pub client_certificates: ClientCertificates,
}

/// A certificate of the gateway's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSection {
    /// A PEM file with the chain, the leaf first.
    pub certificate: PathBuf,
    /// A PEM file with the leaf's private key.
    pub key: PathBuf,
    /// The names that it is shown for; empty: those in its subjectAltName.
    pub names: Vec<String>,
    /// It is shown to clients that name no server, or one that no certificate
    /// stands for.
    pub is_default: bool,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    None,
    /// They may; one that can't be verified ends the handshake.
    Optional,
    /// They must.
    Required,
}

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner can read a private key.
    #[error("others than its owner can read the private key {}: run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no certificate in PEM, or a malformed one.
    #[error("{} has no certificate, or a malformed one (PEM)", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no private key in PEM that fits its certificate.
    #[error("{} has no private key (PEM) that fits the certificate", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// A certificate stands for no name.
    #[error("{} names no host in its subjectAltName; give `names`, or another certificate", path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
    },
    /// Two certificates are shown for one name.
    #[error("two certificates are shown for \"{name}\"; give one of them other `names`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The authorities for clients' certificates can't be used.
    #[error("the authorities for clients' certificates can't be used")]
    Authorities,
    /// The TLS library refuses.
    #[error("TLS can't be set up: {0}")]
    Library(#[source] rustls::Error),
}

/// The certificates that a listener shows, and those that it accepts, loaded.
#[derive(Debug)]
pub struct Certificates {
    pub(super) config: Arc<ServerConfig>,
    shown: Arc<Shown>,
}

impl Certificates {
    /// Reads the files and checks that they fit together.
    ///
    /// Blocks on files. Errors: see [`TlsError`].
    pub fn load(section: &TlsSection) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut shown = Shown::default();
        for certificate in &section.certificates {
            shown.add(certificate, &provider)?;
        }
        let shown = Arc::new(shown);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?;
        let builder = match (section.client_certificates, &section.client_ca) {
            (ClientCertificates::None, _) => builder.with_no_client_auth(),
            (asked, Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in chain(path)? {
                    roots
                        .add(certificate)
                        .map_err(|_| TlsError::Certificate { path: path.clone() })?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match asked {
                    ClientCertificates::Required => verifier,
                    _ => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|_| TlsError::Authorities)?;
                builder.with_client_cert_verifier(verifier)
            }
            (_, None) => return Err(TlsError::Authorities),
        };
        let resolver: Arc<dyn ResolvesServerCert> = shown.clone();
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::Library)?;
        Ok(Arc::new(Self {
            config: Arc::new(config),
            shown,
        }))
    }

    /// What is known of a connection whose handshake has ended. None: the client's
    /// certificate was verified and still can't be read.
    pub(super) fn facts(&self, connection: &ServerConnection) -> Option<Secured> {
        let server_name = connection.server_name().map(str::to_ascii_lowercase);
        let certificate = match connection.peer_certificates().and_then(<[_]>::first) {
            None => None,
            Some(leaf) => Some(ClientCertificate::from_der(leaf).ok()?),
        };
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let alpn = match connection.alpn_protocol() {
            Some(b"h2") => Some("h2"),
            Some(b"http/1.1") => Some("http/1.1"),
            _ => None,
        };
        let one_of_several = (self.shown.certificates.len() > 1)
            .then(|| self.shown.find(server_name.as_deref()))
            .flatten()
            .map(|index| (Arc::clone(&self.shown), index));
        Some(Secured {
            facts: Arc::new(ClientTls {
                version,
                server_name,
                alpn,
                certificate,
            }),
            one_of_several,
        })
    }
}

/// What is known of a client's TLS connection.
#[derive(Clone, Debug)]
pub struct Secured {
    /// What policies see of it.
    pub facts: Arc<ClientTls>,
    /// The certificate that was shown, where there are several.
    one_of_several: Option<(Arc<Shown>, usize)>,
}

impl Secured {
    /// Whether requests for `host` belong on this connection: a client may reuse
    /// one for every name of its certificate (RFC 9110, 7.4), and on the default's
    /// ask for every name that no certificate stands for, and for addresses.
    pub fn covers(&self, host: &str) -> bool {
        let Some((shown, index)) = &self.one_of_several else {
            return true;
        };
        let host = host.to_ascii_lowercase();
        let names = shown.certificates.get(*index).map(|entry| &entry.names);
        names.is_some_and(|names| names.iter().any(|name| stands_for(name, &host)))
            || shown.find(Some(&host)) == Some(*index)
    }
}

/// Whether a certificate's name is that host's: the same, or `*.` in the place of
/// its first label (RFC 9525, 6.3). Both in lower case.
fn stands_for(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name == host,
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(first, rest)| !first.is_empty() && rest == parent),
    }
}

#[derive(Debug)]
struct Entry {
    key: Arc<CertifiedKey>,
    names: Arc<[String]>,
}

/// Which certificate is shown for which name.
#[derive(Debug, Default)]
struct Shown {
    certificates: Vec<Entry>,
    by_name: HashMap<String, usize>,
    default: Option<usize>,
}

impl Shown {
    fn add(
        &mut self,
        section: &CertificateSection,
        provider: &rustls::crypto::CryptoProvider,
    ) -> Result<(), TlsError> {
        let path = &section.certificate;
        let chain = chain(path)?;
        let leaf = chain
            .first()
            .and_then(|leaf| ClientCertificate::from_der(leaf).ok())
            .ok_or_else(|| TlsError::Certificate { path: path.clone() })?;
        let names = if section.names.is_empty() {
            leaf.dns_names
        } else {
            section.names.clone()
        };
        if names.is_empty() && !section.is_default {
            return Err(TlsError::Nameless { path: path.clone() });
        }
        let names: Arc<[String]> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let unfit = || TlsError::Key {
            path: section.key.clone(),
        };
        let key = private_key(&section.key)?;
        // It compares the two public keys.
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|_| unfit())?;
        let index = self.certificates.len();
        for name in names.iter() {
            if self.by_name.insert(name.clone(), index).is_some() {
                return Err(TlsError::DuplicateName { name: name.clone() });
            }
        }
        if section.is_default {
            self.default = Some(index);
        }
        self.certificates.push(Entry {
            key: Arc::new(key),
            names,
        });
        Ok(())
    }

    /// The certificate for a name in lower case: the one for just that name, else
    /// for all of its parent's, else the default.
    fn find(&self, name: Option<&str>) -> Option<usize> {
        let named = name.and_then(|name| {
            let wildcard = || {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            };
            self.by_name.get(name).or_else(wildcard)
        });
        named.copied().or(self.default)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        self.find(name.as_deref())
            .and_then(|index| self.certificates.get(index))
            .map(|entry| Arc::clone(&entry.key))
    }
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> TlsError {
    let path = path.to_owned();
    move |source| TlsError::Unreadable {
        path: path.clone(),
        source,
    }
}

/// The certificates of a PEM file, at least one.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
        .map_err(unreadable(path))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError::Certificate {
            path: path.to_owned(),
        })
}

/// A private key, of a file that nobody else can read. What is read of it is
/// wiped.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = std::fs::File::open(path).map_err(unreadable(path))?;
    // Of the file that is open, whatever has its name by now.
    let facts = file.metadata().map_err(unreadable(path))?;
    let user = rustix::process::geteuid().as_raw();
    if facts.mode() & 0o077 != 0 || (facts.uid() != user && facts.uid() != 0) {
        return Err(TlsError::Exposed {
            path: path.to_owned(),
        });
    }
    // As long as the file, so that it isn't copied while it grows.
    let length = usize::try_from(facts.len().min(MAX_FILE)).unwrap_or(0);
    let mut text = Zeroizing::new(Vec::with_capacity(length.saturating_add(1)));
    file.take(MAX_FILE)
        .read_to_end(&mut text)
        .map_err(unreadable(path))?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::Key {
        path: path.to_owned(),
    })
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
