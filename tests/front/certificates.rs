//! The gateway's own certificates change while it serves.

use std::net::SocketAddr;
use std::sync::Arc;

use keyward_tests::Backend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::{all_to, start};

/// A certificate for `gateway.example`: its bytes, it and its key as PEM.
fn certificate() -> (CertificateDer<'static>, String, String) {
    let signed = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    (
        signed.cert.der().clone(),
        signed.cert.pem(),
        signed.signing_key.serialize_pem(),
    )
}

/// A connection whose client trusts these.
async fn connect(
    address: SocketAddr,
    trusted: &[&CertificateDer<'static>],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add((*certificate).clone()).unwrap();
    }
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = "gateway.example".try_into().unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

/// Asks, and stays connected.
async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: gateway.example\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head
}

#[tokio::test]
async fn new_connections_see_the_new_certificate_and_old_ones_live_on() {
    let backend = Backend::start().await;
    let (old, old_pem, old_key) = certificate();
    let (new, new_pem, new_key) = certificate();
    let tls = "[gateway.tls]\n[[gateway.tls.certificate]]\n\
        certificate-file = \"gateway.pem\"\nkey-file = \"gateway.key\"\n";
    let files = [("gateway.pem", &old_pem[..]), ("gateway.key", &old_key)];
    let running = start(tls, &all_to(&backend.url()), &files).await;
    let mut before = connect(running.address, &[&old, &new]).await.unwrap();
    assert_eq!(shown(&before), old);
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
    running.write("gateway.pem", &new_pem);
    running.write("gateway.key", &new_key);
    // Control: files alone change nothing.
    let unread = connect(running.address, &[&old, &new]).await.unwrap();
    assert_eq!(shown(&unread), old);
    running.reload().await;
    let mut after = connect(running.address, &[&old, &new]).await.unwrap();
    assert_eq!(shown(&after), new);
    assert!(ask(&mut after).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
    assert_eq!(backend.received().len(), 3);
    // Who trusts the old one alone is no longer served.
    assert!(connect(running.address, &[&old]).await.is_err());
}
