//! `[issuers.NAME]`: whose tokens policies may have checked.

use std::time::Duration;

use http::uri::PathAndQuery;
use keyward::names::IssuerName;
use keyward::vault::{TokenAlgorithm, TokenRules};
use keyward::{Issuer, KeysAt};

use super::parse::{Defined, Parser, Routes};
use super::reader::{At, Reader};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// The longest `clock-skew`.
const SKEW: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(600));
/// The shortest and the longest `refresh`.
const REFRESH: (Duration, Duration) = (SECOND, DAY);
/// The shortest and the longest `unknown-key-floor`.
const FLOOR: (Duration, Duration) = (SECOND, DAY);
/// The shortest and the longest `max-age`.
const MAX_AGE: (Duration, Duration) = (SECOND, Duration::from_secs(30 * 86_400));
/// The longest issuer or audience, in bytes.
const MAX_NAME_BYTES: usize = 1024;

impl<'a> Parser<'a> {
    /// `[issuers.NAME]`, in the file's order.
    pub(super) fn issuers(
        &self,
        root: &Reader<'a, '_>,
        routes: &Routes,
        defined: &mut Defined<IssuerName>,
    ) -> Vec<Issuer> {
        let tables = root.named_sections("issuers", "[issuers.NAME]");
        let sections = tables.into_iter().filter_map(|(name, section)| {
            let parsed = IssuerName::parse(name.value).map_err(|error| {
                let message = format!("`issuers.{}`: {error}", name.value.escape_debug());
                self.findings.add(name.span.clone(), message);
            });
            if let Ok(parsed) = &parsed {
                defined.insert(parsed.clone(), name.span.clone());
            }
            let issuer = self.issuer(parsed.ok(), section, routes)?;
            Some(issuer)
        });
        sections.collect()
    }

    fn issuer(
        &self,
        name: Option<IssuerName>,
        section: Reader<'a, '_>,
        routes: &Routes,
    ) -> Option<Issuer> {
        let issuer = section
            .required_text("issuer", "\"https://login.example.com\"")
            .and_then(|text| self.named("issuer", &text));
        let route = section
            .required_text("route", "\"login\"")
            .and_then(|text| self.known_route(text, routes));
        let keys = self.keys_at(&section);
        let algorithms = self.algorithms(&section);
        let audiences = section.texts("audiences").unwrap_or_default();
        let audiences: Option<Vec<String>> = audiences
            .iter()
            .map(|text| self.named("audiences", text))
            .collect();
        let skew = self.duration(&section, "clock-skew", SKEW, Duration::from_secs(30));
        let refresh = self.duration(&section, "refresh", REFRESH, Duration::from_secs(3600));
        let floor = Duration::from_secs(60);
        let floor = self.duration(&section, "unknown-key-floor", FLOOR, floor);
        let max_age = self.duration(&section, "max-age", MAX_AGE, DAY);
        if max_age < refresh {
            let span = section
                .key_span("max-age")
                .unwrap_or_else(|| section.span());
            self.findings.add_with_help(
                span,
                "`max-age` is shorter than `refresh`, so keys would stop to count before they are fetched again",
                "give `max-age` the longer time",
            );
        }
        section.finish();
        Some(Issuer {
            name: name?,
            route: route?,
            keys: keys?,
            algorithms: algorithms?,
            rules: TokenRules {
                issuer: Some(issuer?),
                audiences: audiences?,
                clock_skew_seconds: skew.as_secs(),
            },
            refresh,
            unknown_key_floor: floor,
            max_age,
        })
    }

    fn keys_at(&self, section: &Reader<'a, '_>) -> Option<KeysAt> {
        let (jwks, discovery) = (section.text("jwks"), section.text("discovery"));
        if let (Some(_), Some(discovery)) = (&jwks, &discovery) {
            self.findings.add_with_help(
                discovery.span.clone(),
                "an issuer has `jwks` or `discovery`, not both",
                "with `jwks` no discovery document is read: remove this",
            );
            return None;
        }
        let path = |text: At<&'a str>, key: &str| {
            let path = text.value.parse::<PathAndQuery>().ok();
            let path = path.filter(|path| path.path().starts_with('/'));
            if path.is_none() {
                let message = format!("`{key}` is not a path");
                let help = "write the path on the issuer's route: \"/keys\"";
                self.findings.add_with_help(text.span, message, help);
            }
            path
        };
        match (jwks, discovery) {
            (Some(jwks), _) => path(jwks, "jwks").map(KeysAt::Path),
            (None, Some(discovery)) => path(discovery, "discovery").map(KeysAt::Discovery),
            (None, None) => {
                let usual = PathAndQuery::from_static("/.well-known/openid-configuration");
                Some(KeysAt::Discovery(usual))
            }
        }
    }

    fn algorithms(&self, section: &Reader<'a, '_>) -> Option<Vec<TokenAlgorithm>> {
        let Some(texts) = section.texts("algorithms") else {
            return Some(vec![TokenAlgorithm::Rs256]);
        };
        let help = "write some of: \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\", \"ES512\", \"EdDSA\"";
        if texts.is_empty() {
            let span = section.key_span("algorithms");
            let span = span.unwrap_or_else(|| section.span());
            let message = "`algorithms` is empty, so no token would count";
            self.findings.add_with_help(span, message, help);
            return None;
        }
        let mut algorithms = Vec::new();
        for text in texts {
            let known = text.value.parse::<TokenAlgorithm>().ok();
            let message = match known {
                Some(algorithm) if !algorithm.is_symmetric() => {
                    algorithms.push(algorithm);
                    continue;
                }
                // A published key that vouches for tokens by a MAC lets anyone make them.
                Some(_) => "an algorithm with a shared key goes with no published key",
                None => "no algorithm that tokens can be checked with",
            };
            let message = format!("`algorithms`: {message}");
            self.findings.add_with_help(text.span, message, help);
            return None;
        }
        Some(algorithms)
    }

    fn named(&self, key: &str, text: &At<&'a str>) -> Option<String> {
        let plain = text.value.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && (1..=MAX_NAME_BYTES).contains(&text.value.len()) {
            return Some(text.value.to_owned());
        }
        let message = format!("`{key}` has 1 to {MAX_NAME_BYTES} characters of visible ASCII");
        self.findings.add(text.span.clone(), message);
        None
    }
}
