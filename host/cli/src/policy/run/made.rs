//! The run as a suite of one case: secrets that are canaries, routes that lead nowhere,
//! backends that answer as the command line says.

use std::path::Path;

use keyward::names::RouteName;
use keyward::vault::{Grant, Grants, Kind, Terms, Use};
use keyward::{Issuer, KeysAt};
use keyward_gateway::config::Config;
use keyward_testkit::Suite;
use serde_json::json;
use toml::value::Datetime;
use toml::{Table, Value};

use super::{Described, Sent};
use crate::exit::Failure;
use crate::words::url;

/// What a token endpoint gives out.
const TOKEN: &str = "an-access-token-that-nobody-takes";

/// The suite that tables are.
pub(crate) fn suite(tables: Table, name: &str) -> Result<Suite, Failure> {
    let text = toml::to_string(&tables).map_err(Failure::new)?;
    Suite::parse(Path::new(name), &text).map_err(Failure::new)
}

impl Sent {
    /// The request as a suite of one case.
    pub(crate) fn tables(&self, parts: &Parts<'_>) -> Result<Table, Failure> {
        let mut suite = Table::new();
        let mut policy = Table::new();
        let name = parts.described.name.as_str();
        policy.insert("name".into(), name.into());
        let component = std::path::absolute(parts.component)
            .map_err(|error| Failure::io(error, "can't tell the working directory"))?;
        let component = component
            .to_str()
            .ok_or_else(|| Failure::new("the component's path is no text"))?;
        policy.insert("component".into(), component.into());
        if let Some(settings) = &parts.settings {
            let settings = Value::try_from(settings)
                .map_err(|error| Failure::new(format!("settings that can't be given: {error}")))?;
            policy.insert("settings".into(), settings);
        }
        let grants = grants_in(parts.grants_text, name)?;
        let routes = parts.routes();
        let may_call: Vec<Value> = routes
            .iter()
            .map(|(name, _)| name.as_str().into())
            .collect();
        policy.insert("routes".into(), Value::Array(may_call));
        suite.insert("policies".into(), Value::Array(vec![Value::Table(policy)]));
        let mut sections = Table::new();
        for (name, url) in routes {
            sections.insert(
                name,
                Value::Table(Table::from_iter([("url".into(), url.into())])),
            );
        }
        suite.insert("routes".into(), Value::Table(sections));
        suite.insert("issuers".into(), Value::Table(parts.issuer_sections()));
        let (secrets, clients) = self.secrets(parts);
        suite.insert("secrets".into(), Value::Table(secrets));
        suite.insert("clients".into(), Value::Table(clients));
        suite.insert("grant".into(), Value::Array(grants));
        let mut backends = parts.token_endpoints();
        backends.extend(self.published(parts)?);
        backends.push(self.backend()?);
        suite.insert("backend".into(), Value::Array(backends));
        let mut case = Table::new();
        case.insert("name".into(), "run".into());
        // A token of today's is neither over nor too early.
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        let now: Datetime = now.to_string().parse().map_err(Failure::new)?;
        case.insert("at".into(), Value::Datetime(now));
        case.insert("request".into(), self.request(parts)?);
        suite.insert("case".into(), Value::Array(vec![Value::Table(case)]));
        Ok(suite)
    }

    /// A canary for each secret that a grant of the policy names.
    fn secrets(&self, parts: &Parts<'_>) -> (Table, Table) {
        let (mut secrets, mut clients) = (Table::new(), Table::new());
        let grants = parts.grants.of_policy(&parts.described.name);
        for grant in grants.iter() {
            let mut section = Table::new();
            let name = grant.secret.as_str().to_owned();
            if grant.use_() == Use::Identify {
                let subject = self.subject.as_deref().unwrap_or("client");
                section.insert("subjects".into(), Value::Array(vec![subject.into()]));
                clients.insert(name, Value::Table(section));
            } else {
                let of_it = grants.iter().filter(|one| one.secret == grant.secret);
                let of_it: Vec<&Grant> = of_it.map(|one| &**one).collect();
                let kind = kind(&of_it);
                section.insert("kind".into(), kind.as_str().into());
                if let Kind::HmacKey { algorithm, .. } = kind {
                    section.insert("algorithm".into(), algorithm.as_str().into());
                }
                secrets.insert(name, Value::Table(section));
            }
        }
        (secrets, clients)
    }

    /// What issuers publish.
    fn published(&self, parts: &Parts<'_>) -> Result<Vec<Value>, Failure> {
        let mut backends = Vec::new();
        for (name, file) in &self.jwks {
            let mut known = parts.issuers.iter();
            let Some(issuer) = known.find(|issuer| issuer.name == *name) else {
                return Err(Failure::usage(format!(
                    "--jwks {name}: the configuration has no such issuer"
                )));
            };
            let keys = std::fs::read_to_string(file)
                .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
            backends.push(answering(issuer.route.as_str(), keys_at(issuer), keys));
        }
        Ok(backends)
    }

    fn backend(&self) -> Result<Value, Failure> {
        let respond = respond(&self.answer)?;
        let all = [("respond".to_owned(), Value::Table(respond))];
        Ok(Value::Table(Table::from_iter(all)))
    }

    fn request(&self, parts: &Parts<'_>) -> Result<Value, Failure> {
        let mut request = Table::new();
        let (method, path) = self.target();
        request.insert("method".into(), method.into());
        request.insert("path".into(), path.into());
        let mut headers = Table::new();
        for (name, value) in self.header_fields()? {
            let values = headers
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.into());
            }
        }
        // One value as most people write it.
        for (_, value) in &mut headers {
            if let Value::Array(values) = value
                && values.len() == 1
                && let Some(one) = values.pop()
            {
                *value = one;
            }
        }
        request.insert("headers".into(), Value::Table(headers));
        if let Some(body) = self.body()? {
            request.insert("body".into(), body.into());
        }
        if let Some(client) = self.client {
            request.insert("client".into(), client.to_string().into());
        }
        if let Some(subject) = &self.subject {
            let identify =
                |grant: &&std::sync::Arc<Grant>| matches!(grant.terms, Terms::Identify(_));
            let grants = parts.grants.of_policy(&parts.described.name);
            if !grants.iter().any(|grant| identify(&grant)) {
                return Err(Failure::usage(format!(
                    "--subject {subject}: no grant lets {} identify clients",
                    parts.described.name
                )));
            }
            request.insert("key".into(), subject.as_str().into());
        }
        Ok(Value::Table(request))
    }
}

/// What a run is made of.
pub(crate) struct Parts<'a> {
    pub(crate) described: &'a Described,
    pub(crate) component: &'a Path,
    pub(crate) grants: &'a Grants,
    pub(crate) grants_text: &'a str,
    pub(crate) settings: Option<serde_json::Value>,
    pub(crate) config: Option<&'a Config>,
    /// Whose tokens the policy may have checked.
    pub(crate) issuers: &'a [Issuer],
}

impl Parts<'_> {
    /// Those that grants name, with the configuration's URLs where it has them; one
    /// for the exchange in any case. The pipeline's is the first.
    pub(crate) fn routes(&self) -> Vec<(String, String)> {
        let grants = self.grants.of_policy(&self.described.name);
        let granted = grants.iter().flat_map(|grant| &grant.to);
        let mut names: Vec<RouteName> = granted.map(|to| to.route.clone()).collect();
        names.extend(self.endpoints().map(|(route, _)| route));
        names.extend(self.issuers.iter().map(|issuer| issuer.route.clone()));
        if let Some(config) = self.config {
            names.extend(config.route_names.iter().cloned());
        }
        let mut routes: Vec<(String, String)> = Vec::new();
        for name in names {
            if routes.iter().any(|(known, _)| known == name.as_str()) {
                continue;
            }
            let configured = self.config.and_then(|config| {
                let mut known = config.routes.iter();
                known.find(|route| *route.name() == name)
            });
            let url = configured.map_or_else(|| format!("https://{name}.example"), url);
            routes.push((name.to_string(), url));
        }
        if routes.is_empty() {
            routes.push(("backend".to_owned(), "https://backend.example".to_owned()));
        }
        routes
    }

    /// Where tokens are given out, by the policy's grants.
    fn endpoints(&self) -> impl Iterator<Item = (RouteName, String)> {
        let grants = self.grants.of_policy(&self.described.name);
        let endpoints = grants.iter().filter_map(|grant| match &grant.terms {
            Terms::Token(terms) => {
                let endpoint = &terms.endpoint;
                Some((endpoint.route.clone(), endpoint.path.clone()))
            }
            _ => None,
        });
        endpoints.collect::<Vec<_>>().into_iter()
    }

    fn issuer_sections(&self) -> Table {
        let texts = |texts: Vec<&str>| Value::Array(texts.into_iter().map(Value::from).collect());
        let section = |issuer: &Issuer| {
            let mut section = Table::new();
            if let Some(name) = &issuer.rules.issuer {
                section.insert("issuer".into(), name.as_str().into());
            }
            section.insert("route".into(), issuer.route.as_str().into());
            section.insert("jwks".into(), keys_at(issuer).into());
            let algorithms = issuer.algorithms.iter().map(|one| one.as_str()).collect();
            section.insert("algorithms".into(), texts(algorithms));
            let audiences = issuer.rules.audiences.iter().map(String::as_str).collect();
            section.insert("audiences".into(), texts(audiences));
            let skew = issuer.rules.clock_skew_seconds.cast_signed();
            section.insert("clock-skew-seconds".into(), skew.into());
            (issuer.name.to_string(), Value::Table(section))
        };
        self.issuers.iter().map(section).collect()
    }

    /// Token endpoints that give out a token.
    fn token_endpoints(&self) -> Vec<Value> {
        let token = json!({ "access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600 });
        let endpoints = self.endpoints();
        let endpoints =
            endpoints.map(|(route, path)| answering(route.as_str(), &path, token.to_string()));
        endpoints.collect()
    }
}

/// Where an issuer's keys are answered: where it says, be they its metadata in truth.
fn keys_at(issuer: &Issuer) -> &str {
    let (KeysAt::Path(path) | KeysAt::Discovery(path)) = &issuer.keys;
    path.as_str()
}

/// What a backend answers that is written as a status, and a body after a space.
pub(crate) fn respond(written: &str) -> Result<Table, Failure> {
    let (status, body) = match written.split_once(' ') {
        Some((status, body)) => (status, Some(body)),
        None => (written, None),
    };
    let status: i64 = status
        .parse()
        .map_err(|_| Failure::usage(format!("{written}: no status")))?;
    let mut respond = Table::from_iter([("status".to_owned(), Value::from(status))]);
    if let Some(body) = body {
        respond.insert("body".into(), body.into());
        let json = body.trim_start().starts_with(['{', '[']);
        if json {
            let headers = [("content-type".to_owned(), Value::from("application/json"))];
            let headers = Value::Table(Table::from_iter(headers));
            respond.insert("headers".into(), headers);
        }
    }
    Ok(respond)
}

/// A backend of a route that answers one path with this JSON.
fn answering(route: &str, path: &str, body: String) -> Value {
    let table = |entries: Vec<(&str, Value)>| -> Value {
        let entries = entries.into_iter();
        Value::Table(
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    };
    let json = table(vec![("content-type", "application/json".into())]);
    table(vec![
        ("route", route.into()),
        ("match", table(vec![("path", path.into())])),
        (
            "respond",
            table(vec![("headers", json), ("body", body.into())]),
        ),
    ])
}

/// A kind that all these grants of one secret fit; that of the first if there is none,
/// as a run says then by itself.
fn kind(grants: &[&Grant]) -> Kind {
    let fits = |grant: &&Grant, kind: &Kind| {
        let place = match &grant.terms {
            Terms::Attach(placement) => placement.place.fits(kind),
            _ => true,
        };
        place && grant.terms.fits(kind)
    };
    let all = |most: usize| {
        let mut kinds = Kind::all();
        kinds.find(|kind| grants.iter().take(most).all(|grant| fits(grant, kind)))
    };
    all(grants.len()).or_else(|| all(1)).unwrap_or(Kind::ApiKey)
}

/// The grants of a policy, as they stand in the file.
fn grants_in(text: &str, policy: &str) -> Result<Vec<Value>, Failure> {
    let mut file: Table = text.parse().map_err(Failure::new)?;
    let Some(Value::Array(grants)) = file.remove("grant") else {
        return Ok(Vec::new());
    };
    let own = |grant: &Value| grant.get("policy").and_then(Value::as_str) == Some(policy);
    Ok(grants.into_iter().filter(own).collect())
}
