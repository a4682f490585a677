#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use super::*;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::listen::{Limits, Peer, Settings, serve};

/// An authority and what it vouches for, in files.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        let name = names.first().map_or("nobody", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A certificate of the gateway's for these names.
    fn section(&self, names: &[&str], is_default: bool) -> CertificateSection {
        let (certificate, key) = self.issue(names);
        let file = names.first().unwrap().replace('*', "all");
        let path = |end: &str| self.folder.path().join(format!("{file}.{end}"));
        std::fs::write(path("pem"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        std::fs::set_permissions(path("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
        CertificateSection {
            certificate: path("pem"),
            key: path("key"),
            names: Vec::new(),
            is_default,
        }
    }

    /// A client that trusts this authority, and shows a certificate of `by`.
    fn client(&self, by: Option<&Authority>, alpn: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match by {
            None => builder.with_no_client_auth(),
            Some(by) => {
                let (certificate, key) = by.issue(&["orders.example"]);
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder
                    .with_client_auth_cert(vec![certificate.der().clone()], key)
                    .unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}

fn section(certificates: Vec<CertificateSection>) -> TlsSection {
    TlsSection {
        certificates,
        client_ca: None,
        client_certificates: ClientCertificates::None,
    }
}

/// Tells the client what the listener knows of it.
async fn tell(peer: Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let version = request.version();
    let text = peer.secured.map_or("plain".to_owned(), |secured| {
        let covers = secured.covers("a.example");
        let ClientTls {
            version: tls,
            server_name,
            alpn,
            certificate,
        } = &*secured.facts;
        let subject = certificate.as_ref().map(|facts| &facts.subject);
        format!("{version:?} {tls} {server_name:?} {alpn:?} {subject:?} {covers}")
    });
    Response::new(Full::from(text))
}

async fn start(section: &TlsSection) -> std::net::SocketAddr {
    let settings = Settings {
        limits: Limits {
            handshake_timeout: Duration::from_millis(300),
            ..Limits::default()
        },
        certificates: Some(Certificates::load(section).unwrap()),
        metrics: None,
    };
    let settings = Arc::new(ArcSwap::from_pointee(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, settings, tell, std::future::pending()));
    address
}

/// What the listener tells a client of HTTP/1.1 that asks for `name`; none if it
/// doesn't get as far.
async fn told(
    address: std::net::SocketAddr,
    client: &TlsConnector,
    name: &'static str,
) -> Option<String> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from(name).unwrap();
    let mut stream = client.connect(name, stream).await.ok()?;
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split("\r\n\r\n").nth(1).map(str::to_owned)
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_picks_the_certificate() {
    let authority = Authority::new("servers");
    let mut second = authority.section(&["b.example"], false);
    second.names = vec!["*.b.example".to_owned(), "b.example".to_owned()];
    let address = start(&section(vec![
        authority.section(&["a.example"], false),
        second,
    ]))
    .await;
    let client = authority.client(None, &[]);
    // The client checks that the certificate is for that name.
    let answer = told(address, &client, "A.example").await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.1 TLSv1.3 Some(\"a.example\") None None true"
    );
    let answer = told(address, &client, "b.example").await.unwrap();
    assert!(answer.ends_with("false"), "{answer}");
    // It is for another name, so nobody gets an answer.
    assert_eq!(told(address, &client, "c.example").await, None);
}

#[tokio::test]
async fn clients_that_name_no_known_server_get_the_default_if_there_is_one() {
    let authority = Authority::new("servers");
    let named = authority.section(&["a.example"], false);
    let default = authority.section(&["127.0.0.1"], true);
    let client = authority.client(None, &[]);
    let address = start(&section(vec![named.clone(), default])).await;
    // To an address no client sends a name (RFC 6066, 3).
    let answer = told(address, &client, "127.0.0.1").await.unwrap();
    assert_eq!(answer, "HTTP/1.1 TLSv1.3 None None None false");
    let address = start(&section(vec![named])).await;
    assert_eq!(told(address, &client, "127.0.0.1").await, None);
}

#[tokio::test]
async fn client_and_gateway_agree_on_a_protocol() {
    let authority = Authority::new("servers");
    let address = start(&section(vec![authority.section(&["a.example"], false)])).await;
    let client = authority.client(None, &[b"http/1.1"]);
    let answer = told(address, &client, "a.example").await.unwrap();
    assert!(answer.contains("Some(\"http/1.1\")"), "{answer}");

    let client = authority.client(None, &[b"h2"]);
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("a.example").unwrap();
    let stream = client.connect(name, stream).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.example/").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let text = body.data().await.unwrap().unwrap();
    assert!(text.starts_with(b"HTTP/2.0 TLSv1.3"), "{text:?}");

    // Nothing that the gateway speaks.
    let client = authority.client(None, &[b"h3"]);
    assert_eq!(told(address, &client, "a.example").await, None);
}

#[tokio::test]
async fn a_client_proves_who_it_is_where_it_has_to() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let strangers = Authority::new("strangers");
    let asked = |client_certificates| TlsSection {
        certificates: vec![servers.section(&["a.example"], false)],
        client_ca: Some(clients.folder.path().join("ca.pem")),
        client_certificates,
    };
    let known = servers.client(Some(&clients), &[]);
    let unknown = servers.client(Some(&strangers), &[]);
    let nobody = servers.client(None, &[]);

    let address = start(&asked(ClientCertificates::Required)).await;
    let answer = told(address, &known, "a.example").await.unwrap();
    assert!(answer.contains("CN=orders.example"), "{answer}");
    assert_eq!(told(address, &unknown, "a.example").await, None);
    assert_eq!(told(address, &nobody, "a.example").await, None);

    let address = start(&asked(ClientCertificates::Optional)).await;
    let answer = told(address, &nobody, "a.example").await.unwrap();
    assert!(answer.contains("None true"), "{answer}");
    assert_eq!(told(address, &unknown, "a.example").await, None);

    // A resumed connection is the same client's.
    let address = start(&asked(ClientCertificates::Required)).await;
    for _ in 0..3 {
        let answer = told(address, &known, "a.example").await.unwrap();
        assert!(answer.contains("CN=orders.example"), "{answer}");
    }
}

#[tokio::test]
async fn who_does_not_shake_hands_in_time_is_cut_off() {
    let authority = Authority::new("servers");
    let address = start(&section(vec![authority.section(&["a.example"], false)])).await;
    for sent in [
        &b""[..],
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let authority = Authority::new("servers");
    let good = authority.section(&["a.example"], false);
    let load = |certificate: CertificateSection| {
        Certificates::load(&section(vec![certificate])).map(|_| ())
    };
    load(good.clone()).unwrap();

    let other = authority.section(&["b.example"], false);
    let mut mixed = good.clone();
    mixed.key = other.key.clone();
    assert!(matches!(load(mixed), Err(TlsError::Key { .. })));

    let mut missing = good.clone();
    missing.certificate = "/nowhere/a.pem".into();
    assert!(matches!(load(missing), Err(TlsError::Unreadable { .. })));

    let mut empty = good.clone();
    empty.certificate.clone_from(&empty.key);
    assert!(matches!(load(empty), Err(TlsError::Certificate { .. })));

    let twice = section(vec![good.clone(), good.clone()]);
    let twice = Certificates::load(&twice).map(|_| ());
    assert!(matches!(twice, Err(TlsError::DuplicateName { .. })));

    for mode in [0o640, 0o604] {
        std::fs::set_permissions(&good.key, std::fs::Permissions::from_mode(mode)).unwrap();
        let exposed = load(good.clone());
        assert!(matches!(exposed, Err(TlsError::Exposed { .. })), "{mode:o}");
    }
}

#[test]
fn a_connection_serves_the_names_of_its_certificate_where_there_are_several() {
    let authority = Authority::new("servers");
    let one = authority.section(&["a.example"], false);
    let all = authority.section(&["*.b.example"], false);
    // It names an address, and no host.
    let default = authority.section(&["127.0.0.1"], true);
    let secured = |certificates: &[&CertificateSection], index| {
        let certificates = certificates.iter().copied().cloned().collect();
        let shown = Certificates::load(&section(certificates)).unwrap();
        Secured {
            facts: Arc::default(),
            one_of_several: Some((Arc::clone(&shown.shown), index)),
        }
    };
    let others = [
        "c.example",
        "x.y.b.example",
        "b.example",
        ".b.example",
        "127.0.0.1",
        "[::1]",
        "",
    ];
    let check = |secured: Secured, covered: &[&str], sent_away: &[&str]| {
        for host in covered {
            assert!(secured.covers(host), "{host}");
        }
        for host in sent_away {
            assert!(!secured.covers(host), "{host}");
        }
    };
    let known = ["a.example", "A.EXAMPLE", "x.b.example"];
    check(secured(&[&one, &all], 0), &known[..2], &known[2..]);
    check(secured(&[&one, &all], 0), &[], &others);
    check(secured(&[&one, &all], 1), &known[2..], &known[..2]);
    check(secured(&[&one, &all, &default], 0), &known[..2], &others);
    // The default serves whom no other stands for, addresses among them.
    check(secured(&[&one, &all, &default], 2), &others, &known);
    let mut named = one.clone();
    named.is_default = true;
    check(secured(&[&named, &all], 0), &known[..2], &known[2..]);
    check(secured(&[&named, &all], 0), &others, &[]);
    let single = Secured {
        facts: Arc::default(),
        one_of_several: None,
    };
    check(single, &others, &[]);
}
