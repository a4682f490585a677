#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::path::Path;

use super::*;
use crate::config::{Config, ConfigErrors};

fn parse(gateway: &str) -> Result<Config, ConfigErrors> {
    let text = format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{gateway}");
    Config::parse(Path::new("/etc/keyward/keyward.toml"), &text)
}

fn findings(gateway: &str) -> Vec<String> {
    let errors = parse(gateway).unwrap_err();
    errors
        .findings()
        .iter()
        .map(|finding| finding.message.clone())
        .collect()
}

#[test]
fn what_is_not_said_about_clients_is_the_default() {
    assert_eq!(parse("").unwrap().gateway.front, FrontSection::default());
}

#[test]
fn each_key_about_clients_is_read() {
    let config = parse(
        r#"
trusted-proxies = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
forwarded = "x-forwarded"
http-1-0 = true
underscores = "drop"
overrides = "keep"
[gateway.admin]
listen = "127.0.0.1:9901"
[gateway.tls]
client-ca-file = "clients.pem"
client-certificates = "optional"
[[gateway.tls.certificate]]
certificate-file = "a.pem"
key-file = "/keys/a.key"
names = ["A.example", "*.b.example"]
default = true
[gateway.limits]
max-connections = 1
max-connections-per-client = 2
max-headers = 3
max-head-bytes = 8192
max-body-bytes = 5
max-requests-per-connection = 6
max-streams = 7
max-resets = 8
min-body-rate = 9
handshake-timeout-ms = 10
head-timeout-ms = 11
keep-alive-ms = 12
body-idle-timeout-ms = 13
write-timeout-ms = 14
request-timeout-ms = 15
tunnel-idle-timeout-ms = 16
drain-delay-ms = 17
drain-ms = 18
"#,
    );
    let milliseconds = Duration::from_millis;
    let front = config.unwrap().gateway.front;
    let networks: Vec<String> = front
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
    assert_eq!(front.forwarded, ForwardedHeaders::XForwarded);
    let reading = Reading {
        http10: true,
        underscores: Underscores::Drop,
        overrides: Overrides::Keep,
    };
    assert_eq!(front.reading, reading);
    assert_eq!(front.admin, Some("127.0.0.1:9901".parse().unwrap()));
    assert_eq!(
        front.tls.unwrap(),
        TlsSection {
            certificates: vec![CertificateSection {
                certificate: "/etc/keyward/a.pem".into(),
                key: "/keys/a.key".into(),
                names: vec!["a.example".to_owned(), "*.b.example".to_owned()],
                is_default: true,
            }],
            client_ca: Some("/etc/keyward/clients.pem".into()),
            client_certificates: ClientCertificates::Optional,
        }
    );
    assert_eq!(
        front.limits,
        Limits {
            max_connections: 1,
            max_connections_per_client: Some(2),
            max_headers: 3,
            max_head_bytes: 8192,
            max_body_bytes: Some(5),
            max_requests: Some(6),
            max_streams: 7,
            max_resets: 8,
            min_body_rate: Some(9),
            handshake_timeout: milliseconds(10),
            head_timeout: milliseconds(11),
            keep_alive: milliseconds(12),
            body_idle_timeout: milliseconds(13),
            write_timeout: milliseconds(14),
            request_timeout: Some(milliseconds(15)),
            tunnel_idle_timeout: milliseconds(16),
            drain_delay: milliseconds(17),
            drain: milliseconds(18),
        }
    );
}

#[test]
fn authorities_for_clients_make_certificates_required_unless_said_otherwise() {
    let certificate = "[[gateway.tls.certificate]]\ncertificate-file = \"a\"\nkey-file = \"b\"\n";
    let asked = |keys: &str| {
        let config = parse(&format!("[gateway.tls]\n{keys}\n{certificate}")).unwrap();
        config.gateway.front.tls.unwrap().client_certificates
    };
    assert_eq!(asked(""), ClientCertificates::None);
    assert_eq!(
        asked("client-ca-file = \"c\""),
        ClientCertificates::Required
    );
    assert_eq!(
        asked("client-ca-file = \"c\"\nclient-certificates = \"none\""),
        ClientCertificates::None
    );
}

#[test]
fn mistakes_about_clients_are_found_at_once() {
    let found = findings(
        r#"
trusted-proxies = ["10.0.0.0/33"]
forwarded = "yes"
[gateway.admin]
listen = "9901"
[gateway.tls]
client-certificates = "required"
[[gateway.tls.certificate]]
certificate-file = "a.pem"
names = ["a b"]
[gateway.limits]
max-head-bytes = 10
drain = 1
"#,
    );
    assert_eq!(
        found,
        [
            "\"10.0.0.0/33\" is no network",
            "`forwarded` can't be \"yes\"",
            "`listen` is not an address and a port",
            "[gateway.tls] has no `client-ca-file`",
            "[[gateway.tls.certificate]] has no `key-file`",
            "\"a b\" is no name of a host",
            "`max-head-bytes` must be 8192 to 1048576",
            "[gateway.limits] has no key `drain`",
        ]
    );
}

#[test]
fn tls_without_a_certificate_is_a_mistake() {
    assert_eq!(
        findings("[gateway.tls]\n"),
        ["[gateway.tls] has no `certificate`"]
    );
}
