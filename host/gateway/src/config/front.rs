//! What `keyward.toml` says about clients: TLS, limits, proxies in front, the
//! administrators' port.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::Method;
use ipnet::IpNet;

use super::parse::Parser;
use super::reader::{At, Reader};
use crate::front::{ForwardedHeaders, Overrides, Reading, Underscores};
use crate::listen::{CertificateSection, ClientCertificates, Limits, TlsSection};
use crate::pipeline::USUAL_METHODS;

/// What `[gateway]` says about clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontSection {
    /// `[gateway.tls]`; none: clients connect without TLS.
    pub tls: Option<TlsSection>,
    /// `[gateway.limits]`.
    pub limits: Limits,
    /// `[gateway.admin] listen`.
    pub admin: Option<SocketAddr>,
    /// `trusted-proxies`: who may say for whom a request is.
    pub trusted_proxies: Vec<IpNet>,
    /// `forwarded`: how backends are told for whom a request is.
    pub forwarded: ForwardedHeaders,
    /// `http-1-0`, `underscores` and `overrides`: what is made of requests that servers read
    /// differently.
    pub reading: Reading,
}

/// Protocols that a pipeline may let clients upgrade to.
const PROTOCOLS: [&str; 1] = ["websocket"];

impl<'a> Parser<'a> {
    pub(super) fn front(&self, gateway: &Reader<'a, '_>) -> FrontSection {
        let trusted_proxies = gateway.texts("trusted-proxies").unwrap_or_default();
        FrontSection {
            tls: self.tls(gateway),
            limits: self.limits(gateway),
            admin: self.admin(gateway),
            trusted_proxies: trusted_proxies
                .into_iter()
                .filter_map(|text| self.network(text))
                .collect(),
            forwarded: self
                .word(
                    gateway,
                    "forwarded",
                    &[
                        ("none", ForwardedHeaders::None),
                        ("x-forwarded", ForwardedHeaders::XForwarded),
                        ("forwarded", ForwardedHeaders::Forwarded),
                    ],
                )
                .unwrap_or_default(),
            reading: Reading {
                http10: gateway.flag("http-1-0").unwrap_or(false),
                underscores: self
                    .word(
                        gateway,
                        "underscores",
                        &[
                            ("refuse", Underscores::Refuse),
                            ("drop", Underscores::Drop),
                            ("keep", Underscores::Keep),
                        ],
                    )
                    .unwrap_or_default(),
                overrides: self
                    .word(
                        gateway,
                        "overrides",
                        &[("drop", Overrides::Drop), ("keep", Overrides::Keep)],
                    )
                    .unwrap_or_default(),
            },
        }
    }

    /// One of some words, each of which stands for a value.
    fn word<T: Copy>(
        &self,
        section: &Reader<'a, '_>,
        key: &'static str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = section.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if found.is_none() {
            let known: Vec<_> = words
                .iter()
                .map(|(word, _)| format!("\"{word}\""))
                .collect();
            self.findings.add_with_help(
                text.span,
                format!("`{key}` can't be \"{}\"", text.value.escape_debug()),
                format!("write one of: {}", known.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    fn network(&self, text: At<&str>) -> Option<IpNet> {
        let parsed = text.value.parse::<IpNet>().ok();
        let network = parsed.or_else(|| text.value.parse::<IpAddr>().ok().map(IpNet::from));
        if network.is_none() {
            self.findings.add_with_help(
                text.span,
                format!("\"{}\" is no network", text.value.escape_debug()),
                "write addresses or networks: \"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\"",
            );
        }
        network
    }

    fn tls(&self, gateway: &Reader<'a, '_>) -> Option<TlsSection> {
        let section = gateway.section("tls", "[gateway.tls]")?;
        let certificates: Vec<_> = section
            .sections("certificate", "[[gateway.tls.certificate]]")
            .into_iter()
            .filter_map(|certificate| self.certificate(certificate))
            .collect();
        let client_ca = self.path(&section, "client-ca-file");
        let asked = self.word(
            &section,
            "client-certificates",
            &[
                ("none", ClientCertificates::None),
                ("optional", ClientCertificates::Optional),
                ("required", ClientCertificates::Required),
            ],
        );
        // Who names authorities means them to count.
        let unset = match client_ca {
            Some(_) => ClientCertificates::Required,
            None => ClientCertificates::None,
        };
        let client_certificates = asked.unwrap_or(unset);
        if client_certificates != ClientCertificates::None && client_ca.is_none() {
            section.need("client-ca-file", "\"clients-ca.pem\"");
        }
        if certificates.iter().filter(|one| one.is_default).count() > 1 {
            self.findings.add_with_help(
                section.span(),
                "two certificates are the default",
                "the default is shown to clients that name no known server; keep `default = true` on one",
            );
        }
        section.need(
            "certificate",
            "[[gateway.tls.certificate]] with `certificate-file` and `key-file`",
        );
        section.finish();
        Some(TlsSection {
            certificates,
            client_ca,
            client_certificates,
        })
    }

    fn certificate(&self, section: Reader<'a, '_>) -> Option<CertificateSection> {
        section.need("certificate-file", "\"gateway.pem\"");
        section.need("key-file", "\"gateway.key\"");
        let certificate = self.path(&section, "certificate-file");
        let key = self.path(&section, "key-file");
        let names = section.texts("names").unwrap_or_default();
        let names = names
            .into_iter()
            .filter_map(|text| {
                let host = text.value.strip_prefix("*.").unwrap_or(text.value);
                let is_name = !host.is_empty()
                    && host
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
                if !is_name {
                    self.findings.add_with_help(
                        text.span,
                        format!("\"{}\" is no name of a host", text.value.escape_debug()),
                        "write names such as \"api.example.com\" or \"*.example.com\"",
                    );
                }
                is_name.then(|| text.value.to_ascii_lowercase())
            })
            .collect();
        let is_default = section.flag("default").unwrap_or(false);
        section.finish();
        Some(CertificateSection {
            certificate: certificate?,
            key: key?,
            names,
            is_default,
        })
    }

    fn admin(&self, gateway: &Reader<'a, '_>) -> Option<SocketAddr> {
        let section = gateway.section("admin", "[gateway.admin]")?;
        let text = section.required_text("listen", "\"127.0.0.1:9901\"");
        section.finish();
        let text = text?;
        let parsed = text.value.parse();
        if parsed.is_err() {
            self.findings.add_with_help(
                text.span,
                "`listen` is not an address and a port",
                "write an IP address and a port, of this machine alone: \"127.0.0.1:9901\"",
            );
        }
        parsed.ok()
    }

    fn limits(&self, gateway: &Reader<'a, '_>) -> Limits {
        let mut limits = Limits::default();
        let Some(section) = gateway.section("limits", "[gateway.limits]") else {
            return limits;
        };
        let count = |key| section.count(key).map(|count| count.value);
        let size = |key| count(key).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        let time = |key| count(key).map(Duration::from_millis);
        if let Some(most) = size("max-connections") {
            limits.max_connections = most;
        }
        limits.max_connections_per_client = size("max-connections-per-client");
        if let Some(most) = size("max-headers") {
            limits.max_headers = most;
        }
        if let Some(most) = section.count("max-head-bytes") {
            if most.value < 8192 || most.value > 1024 * 1024 {
                self.findings
                    .add(most.span, "`max-head-bytes` must be 8192 to 1048576");
            }
            limits.max_head_bytes = u32::try_from(most.value).unwrap_or(u32::MAX);
        }
        limits.max_body_bytes = count("max-body-bytes");
        limits.max_requests = count("max-requests-per-connection");
        if let Some(most) = count("max-streams") {
            limits.max_streams = u32::try_from(most).unwrap_or(u32::MAX);
        }
        if let Some(most) = size("max-resets") {
            limits.max_resets = most;
        }
        if let Some(rate) = count("min-body-rate") {
            limits.min_body_rate = Some(rate);
        }
        for (key, limit) in [
            ("handshake-timeout-ms", &mut limits.handshake_timeout),
            ("head-timeout-ms", &mut limits.head_timeout),
            ("keep-alive-ms", &mut limits.keep_alive),
            ("body-idle-timeout-ms", &mut limits.body_idle_timeout),
            ("write-timeout-ms", &mut limits.write_timeout),
            ("tunnel-idle-timeout-ms", &mut limits.tunnel_idle_timeout),
            ("drain-delay-ms", &mut limits.drain_delay),
            ("drain-ms", &mut limits.drain),
        ] {
            if let Some(time) = time(key) {
                *limit = time;
            }
        }
        limits.request_timeout = time("request-timeout-ms");
        section.finish();
        limits
    }

    /// `methods` of a pipeline.
    pub(super) fn methods(&self, pipeline: &Reader<'a, '_>) -> Vec<Method> {
        let Some(texts) = pipeline.texts("methods") else {
            return USUAL_METHODS.to_vec();
        };
        if texts.is_empty() {
            let span = pipeline
                .key_span("methods")
                .unwrap_or_else(|| pipeline.span());
            self.findings.add_with_help(
                span,
                "`methods` is empty, so the pipeline would take nothing",
                "name the methods that it takes, as in methods = [\"GET\", \"POST\"]",
            );
        }
        let method = |text: At<&str>| {
            let method = Method::from_bytes(text.value.as_bytes()).ok();
            // What the reader of HTTP/1 lets through.
            let is_plain = |byte: u8| {
                byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
            };
            let method = method.filter(|_| {
                text.value
                    .starts_with(|first: char| first.is_ascii_uppercase())
                    && text.value.bytes().all(is_plain)
                    && text.value.len() <= 32
            });
            let can_pass = method
                .as_ref()
                .is_some_and(|method| !matches!(*method, Method::CONNECT | Method::TRACE));
            if !can_pass {
                self.findings.add_with_help(
                    text.span,
                    format!("no pipeline can take the method \"{}\"", text.value.escape_debug()),
                    "methods are words of capitals, such as \"GET\" or \"PROPFIND\"; CONNECT and TRACE are never passed on",
                );
            }
            method.filter(|_| can_pass)
        };
        texts.into_iter().filter_map(method).collect()
    }

    /// `upgrades` of a pipeline.
    pub(super) fn upgrades(&self, pipeline: &Reader<'a, '_>) -> Vec<String> {
        let texts = pipeline.texts("upgrades").unwrap_or_default();
        texts
            .into_iter()
            .filter_map(|text| {
                let known = PROTOCOLS.contains(&text.value);
                if !known {
                    self.findings.add_with_help(
                        text.span,
                        format!("clients can't upgrade to \"{}\"", text.value.escape_debug()),
                        format!("write one of: \"{}\"", PROTOCOLS.join("\", \"")),
                    );
                }
                known.then(|| text.value.to_owned())
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "front_tests.rs"]
mod tests;
