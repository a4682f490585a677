//! From the text of `keyward.toml` to a [`Config`].

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward::document::Member;
use keyward::egress::{Network, Roots, Route, Scheme, Timeouts};
use keyward::names::{IssuerName, KeyVaultReference, PolicyName, RouteName};
use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::{ConfigErrors, nearest};
use super::documents::facts;
use super::pipeline::{PathPrefix, Pipeline, Steps};
use super::reader::{At, Findings, Reader, type_name};
use super::values::{self, Marks, Values};
use super::{Config, GatewaySection, PolicySection, SecretSetting};

/// The most times that a route may have a request sent again.
const MAX_RETRIES: u64 = 10;

pub(super) fn parse(
    file: &Path,
    text: &str,
    values: Option<&Values>,
) -> Result<Config, ConfigErrors> {
    let findings = Findings::default();
    let (mut table, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        // What is read from a broken file would only lead astray.
        for error in broken {
            findings.add(error.span().unwrap_or(0..0), first_line(error.message()));
        }
        return Err(ConfigErrors::new(file, text, findings.into_inner()));
    }
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let marks = values::put_in(table.get_mut(), text, values, &findings);
    let parser = Parser {
        base,
        source: text,
        findings: &findings,
        marks,
    };
    let config = parser.config(file, &table);
    let findings = findings.into_inner();
    match config {
        Some(config) if findings.is_empty() => Ok(config),
        _ => Err(ConfigErrors::new(file, text, findings)),
    }
}

/// Every section and key that is asked for while a file is read.
#[cfg(test)]
pub(super) fn known_keys(
    file: &Path,
    text: &str,
) -> std::collections::BTreeSet<(&'static str, &'static str)> {
    let findings = Findings::default();
    let (mut table, _) = DeTable::parse_recoverable(text);
    let marks = values::put_in(table.get_mut(), text, None, &findings);
    let parser = Parser {
        base: file.parent().unwrap_or(Path::new("")).to_owned(),
        source: text,
        findings: &findings,
        marks,
    };
    parser.config(file, &table);
    findings.asked()
}

pub(super) struct Parser<'a> {
    /// The folder that relative paths start from.
    pub(super) base: PathBuf,
    pub(super) findings: &'a Findings,
    source: &'a str,
    marks: Marks,
}

/// The names that a file defines, with the place of each.
pub(super) type Defined<N> = HashMap<N, Range<usize>>;

/// The routes that a file defines.
pub(super) struct Routes {
    names: Defined<RouteName>,
    /// Those of them that lead to databases.
    databases: Vec<RouteName>,
}

impl<'a> Parser<'a> {
    /// None only if there are findings.
    fn config(&self, file: &Path, table: &'a Spanned<DeTable<'_>>) -> Option<Config> {
        let root = Reader::new("the file", 0..0, table.get_ref(), self.findings);

        let gateway = self.gateway(&root);
        let vault = self.vault(&root);
        let audit = self.audit(&root);
        let control = self.control(&root);
        let engine = self.engine(&root);
        let log = self.log(&root);
        let telemetry = self.telemetry(&root);
        let grants = self.one_path(&root, "grants", "[grants]", "file");
        let sources = self.sources(&root);
        let document_references = self.documents(&root, &sources);

        let mut route_names = Defined::new();
        let mut names = Vec::new();
        let routes: Vec<Route> = root
            .sections("route", "[[route]]")
            .into_iter()
            .filter_map(|section| self.route(section, &mut route_names, &mut names))
            .collect();
        let to_databases = routes
            .iter()
            .filter(|route| route.scheme() == Scheme::Postgres);
        let known_routes = Routes {
            databases: to_databases.map(|route| route.name().clone()).collect(),
            names: route_names,
        };
        let mut issuer_names = Defined::new();
        let issuers = self.issuers(&root, &known_routes, &mut issuer_names);
        let mut policy_names = Defined::new();
        let policies: Vec<PolicySection> = root
            .sections("policy", "[[policy]]")
            .into_iter()
            .filter_map(|section| {
                self.policy(section, &mut policy_names, &known_routes, &issuer_names)
            })
            .collect();
        let mut paths = HashMap::new();
        let mut pipelines: Vec<Pipeline> = root
            .sections("pipeline", "[[pipeline]]")
            .into_iter()
            .filter_map(|section| self.pipeline(section, &mut paths, &known_routes, &policy_names))
            .collect();
        pipelines.sort_by_key(|pipeline| std::cmp::Reverse(pipeline.path.as_str().len()));
        root.finish();

        Some(Config {
            file: file.to_owned(),
            gateway: gateway?,
            vault: vault?,
            audit,
            control,
            engine: engine?,
            log,
            telemetry,
            grants,
            sources,
            document_references,
            routes,
            route_names: names,
            issuers,
            policies,
            pipelines,
            unresolved: self.marks.unresolved.clone(),
            vaults: self.marks.vaults.clone(),
            source: self.source.into(),
        })
    }

    fn gateway(&self, root: &Reader<'a, '_>) -> Option<GatewaySection> {
        let Some(section) = root.section("gateway", "[gateway]") else {
            self.findings.add_with_help(
                0..0,
                "the file has no [gateway]",
                "begin with:\n[gateway]\nlisten = \"127.0.0.1:8080\"",
            );
            return None;
        };
        let listen = section.required_text("listen", "\"127.0.0.1:8080\"").and_then(|listen| {
            let parsed: Result<SocketAddr, _> = listen.value.parse();
            if parsed.is_err() {
                self.findings.add_with_help(
                    listen.span,
                    "`listen` is not an address and a port",
                    "write an IP address and a port: \"127.0.0.1:8080\", \"[::1]:8080\", \"0.0.0.0:8080\" for all addresses",
                );
            }
            parsed.ok()
        });
        // Nothing listens there before the file is resolved.
        let later = (Ipv4Addr::UNSPECIFIED, 0).into();
        let listen = listen.or_else(|| section.is_left_out("listen").then_some(later));
        let document = self.path(&section, "document");
        let fragments = self.paths(&section, "fragments").unwrap_or_default();
        let facts = facts(
            &section,
            &[
                ("service-name", Member::DeploymentServiceName),
                ("region", Member::DeploymentRegion),
            ],
        );
        let front = self.front(&section);
        let watch = section.flag("watch").unwrap_or(false);
        let start_wait = self.start_wait(&section);
        section.finish();
        Some(GatewaySection {
            listen: listen?,
            document,
            fragments,
            facts,
            front,
            watch,
            start_wait,
        })
    }

    /// `key` of section `name`, both of which may be missing.
    fn one_path(
        &self,
        root: &Reader<'a, '_>,
        name: &'static str,
        title: &'static str,
        key: &'static str,
    ) -> Option<PathBuf> {
        let section = root.section(name, title)?;
        let path = self.path(&section, key);
        section.finish();
        path
    }

    pub(super) fn path(&self, section: &Reader<'a, '_>, key: &'static str) -> Option<PathBuf> {
        let text = section.text_as_written(key)?;
        self.resolve(key, text)
    }

    pub(super) fn paths(
        &self,
        section: &Reader<'a, '_>,
        key: &'static str,
    ) -> Option<Vec<PathBuf>> {
        let texts = section.one_or_several(key)?;
        let texts = texts.into_iter();
        Some(texts.filter_map(|text| self.resolve(key, text)).collect())
    }

    fn resolve(&self, key: &str, text: At<&str>) -> Option<PathBuf> {
        if text.value.is_empty() || text.value.contains('\0') {
            self.findings
                .add(text.span, format!("`{key}` is not a path"));
            return None;
        }
        Some(self.base.join(text.value))
    }

    fn route(
        &self,
        section: Reader<'a, '_>,
        defined: &mut Defined<RouteName>,
        names: &mut Vec<RouteName>,
    ) -> Option<Route> {
        let roots_later = section.is_left_out("ca-file");
        let name = self.defined_name(&section, "\"billing\"", "route", defined, |text| {
            RouteName::parse(text).map_err(|error| error.to_string())
        });
        let url = section.required_text("url", "\"https://billing.example.com\"");
        let roots = self.roots(&section);
        let networks = self.networks(&section);
        let timeouts = timeouts(&section);
        let max_connections = section.count("max-connections");
        let retries = section.whole("retries", 0, MAX_RETRIES);
        let http2 = section.text("http2");
        section.finish();

        names.extend(name.clone());
        let (name, url) = (name?, url?);
        if roots_later {
            return None;
        }
        let mut route = Route::new(name, url.value)
            .map_err(|error| {
                self.findings
                    .add(url.span.clone(), format!("`url`: {error}"))
            })
            .ok()?
            .with_timeouts(timeouts);
        if let Some(roots) = roots {
            route = route.with_roots(roots);
        }
        if let Some(networks) = networks {
            route = route.with_networks(networks);
        }
        if let Some(count) = max_connections {
            route = route.with_max_connections(usize::try_from(count.value).unwrap_or(usize::MAX));
        }
        if let Some(retries) = retries {
            route = route.with_retries(u32::try_from(retries.value).unwrap_or(u32::MAX));
        }
        if let Some(http2) = http2 {
            match (http2.value, route.scheme()) {
                ("negotiated", _) => {}
                ("prior-knowledge", Scheme::Http) => route = route.with_http2(),
                ("prior-knowledge", Scheme::Https | Scheme::Postgres) => {
                    self.findings.add_with_help(
                        http2.span,
                        "`http2`: over TLS the two sides negotiate",
                        "leave it out: HTTP/2 is spoken where the backend can",
                    )
                }
                (other, _) => self.findings.add_with_help(
                    http2.span,
                    format!("`http2` can't be \"{}\"", other.escape_debug()),
                    "write one of: \"negotiated\", \"prior-knowledge\"",
                ),
            }
        }
        if route.is_out_of_reach() {
            self.findings.add_with_help(
                url.span,
                "`url`: a platform serves credentials at this address, to whoever asks from this machine",
                "if this route is for that, say so: add the address to its `networks`, as in networks = [\"169.254.169.254/32\"]",
            );
        }
        Some(route)
    }

    /// Who may vouch for the other side.
    pub(super) fn roots(&self, section: &Reader<'a, '_>) -> Option<Roots> {
        section.text("ca-file").and_then(|text| {
            let span = text.span.clone();
            let path = self.resolve("ca-file", text)?;
            match std::fs::read(&path) {
                Ok(pem) => Some(Roots::Pem(pem)),
                Err(error) => {
                    let message = format!("can't read {}: {}", path.display(), error.kind());
                    self.findings.add_with_help(
                        span,
                        message,
                        "name a PEM file with the certificates that may vouch for this host; the path is relative to this file",
                    );
                    None
                }
            }
        })
    }

    /// Where a route, or a source, may lead.
    pub(super) fn networks(&self, section: &Reader<'a, '_>) -> Option<Vec<Network>> {
        let texts = section.texts("networks")?;
        if texts.is_empty() {
            let span = section
                .key_span("networks")
                .unwrap_or_else(|| section.span());
            self.findings.add_with_help(
                span,
                "`networks` is empty, so the route would lead nowhere",
                "name what it may lead to, as in networks = [\"10.20.0.0/16\"]; without the line it is \"public\"",
            );
        }
        let networks = texts.into_iter().filter_map(|text| {
            text.value
                .parse()
                .map_err(|error| {
                    self.findings.add(text.span, format!("`networks`: {error}"));
                })
                .ok()
        });
        Some(networks.collect())
    }

    fn policy(
        &self,
        section: Reader<'a, '_>,
        defined: &mut Defined<PolicyName>,
        routes: &Routes,
        issuers: &Defined<IssuerName>,
    ) -> Option<PolicySection> {
        let name = self.defined_name(&section, "\"attach-api-key\"", "policy", defined, |text| {
            PolicyName::parse(text).map_err(|error| error.to_string())
        });
        section.need("component", "\"policies/attach-api-key.wasm\"");
        let component = self.path(&section, "component");
        let table = section.raw_table("settings");
        let mut unresolved = section.is_left_out("component");
        let mut secret_settings = Vec::new();
        let mut settings = Some(Map::new());
        if let Some(table) = table {
            let within = |span: &Range<usize>| {
                table
                    .value
                    .values()
                    .any(|value| value.span().start <= span.start && span.end <= value.span().end)
            };
            let mut places = self.marks.unresolved.iter();
            unresolved |= places.any(|place| within(&place.span));
            for (key, value) in table.value.iter() {
                if let Some((written, secret)) = self.marks.secrets.get(&value.span().start) {
                    secret_settings.push(SecretSetting {
                        setting: key.get_ref().to_string(),
                        written: written.clone(),
                        secret: secret.clone(),
                        span: value.span(),
                    });
                    continue;
                }
                // It has been marked or reported, and is no text, not even for now.
                if let DeValue::String(text) = value.get_ref()
                    && KeyVaultReference::is_meant_by(text)
                {
                    continue;
                }
                match (self.value_to_json(value), &mut settings) {
                    (Some(value), Some(settings)) => {
                        settings.insert(key.get_ref().to_string(), value);
                    }
                    _ => settings = None,
                }
            }
        }
        let routes = section
            .texts("routes")
            .unwrap_or_default()
            .into_iter()
            .filter_map(|text| self.known_route(text, routes))
            .collect();
        let issuers = section
            .texts("issuers")
            .unwrap_or_default()
            .into_iter()
            .filter_map(|text| {
                self.known(text, issuers, "issuer", |text| IssuerName::parse(text).ok())
            })
            .collect();
        let (sandbox, set_limits) = self.sandbox(&section);
        section.finish();
        Some(PolicySection {
            name: name?,
            component: component?,
            settings: Value::Object(settings?),
            secret_settings,
            unresolved,
            routes,
            issuers,
            sandbox,
            set_limits,
        })
    }

    fn pipeline(
        &self,
        section: Reader<'a, '_>,
        paths: &mut HashMap<PathPrefix, ()>,
        routes: &Routes,
        policies: &Defined<PolicyName>,
    ) -> Option<Pipeline> {
        let path = section
            .required_text("path", "\"/billing\"")
            .and_then(|text| {
                let path = PathPrefix::parse(text.value)
                    .map_err(|error| self.findings.add(text.span.clone(), error.to_string()))
                    .ok()?;
                if paths.insert(path.clone(), ()).is_some() {
                    self.findings.add_with_help(
                        text.span,
                        format!("a second pipeline for {path}"),
                        "a path has one pipeline; put the policies of both into it",
                    );
                }
                Some(path)
            });
        let route = section
            .required_text("route", "\"billing\"")
            .and_then(|text| self.known_route(text, routes));

        let mut listed = Vec::new();
        let mut phase = |key: &'static str| -> Vec<PolicyName> {
            let texts = section.texts(key);
            if texts.is_some() {
                listed.push(key);
            }
            texts
                .unwrap_or_default()
                .into_iter()
                .filter_map(|text| self.known_policy(text, policies))
                .collect()
        };
        let (inbound, backend) = (phase("inbound"), phase("backend"));
        let (outbound, on_error) = (phase("outbound"), phase("on-error"));
        let documents = self.document_steps(&section, policies);
        let steps = match documents {
            None => Steps::Lists {
                inbound,
                backend,
                outbound,
                on_error,
            },
            Some(documents) => {
                if let Some(first) = listed.first() {
                    let span = section.key_span(first).unwrap_or_else(|| section.span());
                    self.findings.add_with_help(
                        span,
                        format!("a pipeline has either a `document` or lists of policies, and this one has `{first}` too"),
                        "the document says which policies run in which phase; remove one of the two",
                    );
                }
                Steps::Documents(documents)
            }
        };
        let max_body_bytes = section.count("max-body-bytes").map(|count| count.value);
        let upgrades = self.upgrades(&section);
        let methods = self.methods(&section);
        section.finish();
        Some(Pipeline {
            path: path?,
            route: route?,
            steps,
            max_body_bytes,
            upgrades,
            methods,
        })
    }

    /// The name that a section defines, which no other section may.
    fn defined_name<N: Eq + std::hash::Hash + Clone + AsStr>(
        &self,
        section: &Reader<'a, '_>,
        example: &str,
        what: &str,
        defined: &mut Defined<N>,
        parse: impl Fn(&str) -> Result<N, String>,
    ) -> Option<N> {
        let text = section.required_text("name", example)?;
        let name = parse(text.value)
            .map_err(|error| self.findings.add(text.span.clone(), error))
            .ok()?;
        if defined.insert(name.clone(), text.span.clone()).is_some() {
            self.findings.add_with_help(
                text.span,
                format!("a second {what} named \"{}\"", name.as_text()),
                "names are unique; rename one of the two",
            );
        }
        Some(name)
    }

    /// A route that requests can be sent to.
    pub(super) fn known_route(&self, text: At<&str>, routes: &Routes) -> Option<RouteName> {
        let span = text.span.clone();
        let parse = |text: &str| RouteName::parse(text).ok();
        let name = self.known(text, &routes.names, "route", parse)?;
        if routes.databases.contains(&name) {
            self.findings.add_with_help(
                span,
                format!("route \"{name}\" leads to a database, which takes no requests"),
                "name a route to a backend; a database is asked through a grant of `use = \"query\"`, in a [[grant]] whose `to` names its route",
            );
            return None;
        }
        Some(name)
    }

    pub(super) fn known_policy(
        &self,
        text: At<&str>,
        defined: &Defined<PolicyName>,
    ) -> Option<PolicyName> {
        self.known(text, defined, "policy", |text| PolicyName::parse(text).ok())
    }

    fn known<N: Eq + std::hash::Hash + AsStr>(
        &self,
        text: At<&str>,
        defined: &Defined<N>,
        what: &str,
        parse: impl Fn(&str) -> Option<N>,
    ) -> Option<N> {
        let name = parse(text.value).filter(|name| defined.contains_key(name));
        if name.is_none() {
            let mut known: Vec<&str> = defined.keys().map(AsStr::as_text).collect();
            known.sort_unstable();
            let help = match nearest(text.value, known.iter().copied()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None if known.is_empty() => format!("define it with [[{what}]]"),
                None => format!(
                    "define it with [[{what}]], or use one of: {}",
                    known.join(", ")
                ),
            };
            let message = format!("unknown {what} \"{}\"", text.value.escape_debug());
            self.findings.add_with_help(text.span, message, help);
        }
        name
    }

    fn table_to_json(&self, table: &DeTable<'_>) -> Option<Map<String, Value>> {
        let mut object = Map::new();
        let mut complete = true;
        for (key, value) in table.iter() {
            match self.value_to_json(value) {
                Some(value) => {
                    object.insert(key.get_ref().to_string(), value);
                }
                None => complete = false,
            }
        }
        complete.then_some(object)
    }

    fn value_to_json(&self, value: &Spanned<DeValue<'_>>) -> Option<Value> {
        let json = match value.get_ref() {
            DeValue::String(text) => Some(Value::String(text.to_string())),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .ok()
                .map(Value::from),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map(Value::Number),
            DeValue::Boolean(boolean) => Some(Value::Bool(*boolean)),
            DeValue::Datetime(_) => None,
            DeValue::Array(items) => {
                return items.iter().map(|item| self.value_to_json(item)).collect();
            }
            DeValue::Table(table) => return self.table_to_json(table).map(Value::Object),
        };
        if json.is_none() {
            let what = type_name(value.get_ref());
            self.findings.add_with_help(
                value.span(),
                format!("settings can't hold this value: {what} that JSON does not have"),
                "write it as a string",
            );
        }
        json
    }
}

/// What names have in common here.
trait AsStr {
    fn as_text(&self) -> &str;
}

impl AsStr for IssuerName {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl AsStr for RouteName {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl AsStr for PolicyName {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

/// How long a route's steps may take.
fn timeouts(section: &Reader<'_, '_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for (key, timeout) in [
        ("resolve-timeout-ms", &mut timeouts.resolve),
        ("connect-timeout-ms", &mut timeouts.connect),
        ("tls-timeout-ms", &mut timeouts.tls),
        ("request-body-timeout-ms", &mut timeouts.request_body),
        ("response-timeout-ms", &mut timeouts.response),
        ("body-timeout-ms", &mut timeouts.body),
        ("idle-timeout-ms", &mut timeouts.idle),
    ] {
        if let Some(count) = section.count(key) {
            *timeout = Duration::from_millis(count.value);
        }
    }
    timeouts
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("not valid TOML")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
