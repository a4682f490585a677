//! `keyward policy run`: one request through one policy, with all that it did.
//!
//! It is a suite of one case, made from the command line: the real engine, grants and
//! egress, secrets that are canaries, and a backend that is not there.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use keyward::names::{PolicyName, RouteName};
use keyward::vault::{Grant, Grants, Terms, Use};
use keyward_gateway::config::Config;
use keyward_testkit::report::{Decision, Event, StepReport, Style, pretty, trace};
use keyward_testkit::{Options, Suite};
use serde_json::json;
use toml::{Table, Value};

use super::Described;
use super::inspect::resolve;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::{grant_for, url};
use crate::{Common, grants, place};

const RUN: &str = "\
The real component runs in the real engine, with the grants of a file, or of the gateway
around it. Secrets are canaries, whatever the vault holds: their values play no part, and
nothing is written. The backend is not there either; it gives the answer that you name.

Shown are each phase with its verdict and time, each use of a secret with the grant that
allowed it, or why none did and a grant that would, and each call that left. --trace shows
every call into the host. Where the policy is stopped, its own stack, the budget that ran
out and its last call.

Ends with 1 if the policy is stopped, with 4 if a secret is where it must not be.

Examples:
  keyward policy run attach-api-key --request 'GET /v1/charges?limit=2'
  keyward policy run policies/limit.wasm --settings limit.json -H 'x-tenant: acme' --trace
  keyward policy run hook.wasm --grants grants.toml --request 'POST /hook' -d @event.json
  keyward policy run outbound.wasm --answer '500 try again' -o json";

/// Run one request through a policy, and show all that it does.
#[derive(Args)]
#[command(after_help = RUN)]
pub(crate) struct Run {
    /// A component's file, or a policy's name in the configuration.
    #[arg(value_name = "FILE|NAME")]
    policy: PathBuf,

    /// The request's method and path.
    #[arg(long, value_name = "METHOD PATH", default_value = "GET /")]
    request: String,

    /// A header of the request; several are allowed.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The request's body; @FILE reads it from a file, @- from standard input.
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,

    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,

    /// Present the client key of this subject, at the place that a grant names.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// What the backend answers: a status, and a body after a space.
    #[arg(long, value_name = "STATUS BODY", default_value = "200")]
    answer: String,

    /// The policy's settings, as JSON; otherwise those of the configuration, or none.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Grants; otherwise those of the configuration, or none.
    #[arg(long, value_name = "FILE")]
    grants: Option<PathBuf>,

    /// Show every call into the host.
    #[arg(long)]
    trace: bool,
}

impl Run {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let config = match (common.config(), place::find(None)) {
            (None, Err(_)) => None,
            (named, _) => Some(place::load(named)?),
        };
        let (described, component) = resolve(&self.policy, config.as_ref())?;
        let (grants, text) = self.grants(config.as_ref())?;
        let settings = self.settings(&described.name, config.as_ref())?;
        let parts = Parts {
            described: &described,
            component: &component,
            grants: &grants,
            grants_text: &text,
            settings,
            config: config.as_ref(),
        };
        let suite = self.suite(&parts)?;
        let report = keyward_testkit::run(&[suite], &Options::default(), &mut ());
        let suite = report.suites.first();
        if let Some(error) = suite.and_then(|suite| suite.error.as_deref()) {
            return Err(Failure::new(error));
        }
        let case = suite.and_then(|suite| suite.cases.first());
        let (Some(case), Some(step)) = (case, case.and_then(|case| case.steps.first())) else {
            return Err(Failure::new("the request was not run"));
        };
        let snippets = snippets(&parts, step);
        let style = Style {
            colours: output.data_colours(),
            times: true,
            ..Style::default()
        };
        let leaks: Vec<String> = case.leaks.iter().map(pretty::leak).collect();
        output.data(
            || {
                let mut text = trace::story(step, self.trace, style);
                if !snippets.is_empty() {
                    text.push_str("\nNot granted. For grants.toml, once you have decided:\n\n");
                    text.push_str(&snippets.join("\n"));
                }
                text
            },
            || {
                json!({
                    "policy": described.name.as_str(),
                    "digest": described.digest.to_string(),
                    "exchange": step,
                    "leaks": case.leaks,
                    "not-granted": snippets,
                })
            },
        );
        for leak in &leaks {
            output.warn(leak);
        }
        let stopped = step
            .timeline
            .events
            .iter()
            .any(|event| matches!(event, Event::Policy(call) if call.stopped.is_some()));
        Ok(match (stopped, leaks.is_empty()) {
            (_, false) => Exit::Findings,
            (true, true) => Exit::Failed,
            (false, true) => Exit::Success,
        })
    }

    fn grants(&self, config: Option<&Config>) -> Result<(Grants, String), Failure> {
        let file = self.grants.as_deref();
        let file = file.or_else(|| config.and_then(|config| config.grants.as_deref()));
        let Some(file) = file else {
            return Ok((Grants::none(), String::new()));
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::io(
                error,
                format!("can't read the grants in {}", file.display()),
            )
        })?;
        let grants = match (&self.grants, config) {
            (None, Some(config)) => grants::read(config)?,
            _ => Grants::parse(&file.display().to_string(), &text).map_err(Failure::new)?,
        };
        Ok((grants, text))
    }

    fn settings(
        &self,
        policy: &PolicyName,
        config: Option<&Config>,
    ) -> Result<Option<serde_json::Value>, Failure> {
        let Some(file) = &self.settings else {
            let section = config.and_then(|config| {
                config
                    .policies
                    .iter()
                    .find(|section| section.name == *policy)
            });
            let section = section.filter(|section| !section.settings.is_null());
            return match section {
                Some(section) if section.unresolved => Err(Failure::new(format!(
                    "the settings of {policy} hold named values, which stand in the vault"
                ))
                .help("give settings for this run: --settings FILE")),
                section => Ok(section.map(|section| section.settings.clone())),
            };
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
        let settings = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{} is no JSON: {error}", file.display())))?;
        Ok(Some(settings))
    }

    /// The request as a suite of one case.
    fn suite(&self, parts: &Parts<'_>) -> Result<Suite, Failure> {
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
        let (secrets, clients) = self.secrets(parts);
        suite.insert("secrets".into(), Value::Table(secrets));
        suite.insert("clients".into(), Value::Table(clients));
        suite.insert("grant".into(), Value::Array(grants));
        suite.insert("backend".into(), Value::Array(vec![self.backend()?]));
        let mut case = Table::new();
        case.insert("name".into(), "policy run".into());
        case.insert("request".into(), self.request(parts)?);
        suite.insert("case".into(), Value::Array(vec![Value::Table(case)]));
        let text = toml::to_string(&suite).map_err(Failure::new)?;
        Suite::parse(Path::new("policy run"), &text).map_err(Failure::new)
    }

    /// A canary for each secret that a grant of the policy names.
    fn secrets(&self, parts: &Parts<'_>) -> (Table, Table) {
        let (mut secrets, mut clients) = (Table::new(), Table::new());
        for grant in parts.grants.of_policy(&parts.described.name) {
            let mut section = Table::new();
            let name = grant.secret.as_str().to_owned();
            if grant.use_() == Use::Identify {
                let subject = self.subject.as_deref().unwrap_or("client");
                section.insert("subjects".into(), Value::Array(vec![subject.into()]));
                clients.insert(name, Value::Table(section));
            } else {
                section.insert("kind".into(), kind(grant).into());
                secrets.insert(name, Value::Table(section));
            }
        }
        (secrets, clients)
    }

    fn backend(&self) -> Result<Value, Failure> {
        let (status, body) = match self.answer.split_once(' ') {
            Some((status, body)) => (status, Some(body)),
            None => (self.answer.as_str(), None),
        };
        let status: i64 = status
            .parse()
            .map_err(|_| Failure::usage(format!("--answer {}: no status", self.answer)))?;
        let mut respond = Table::from_iter([("status".to_owned(), Value::from(status))]);
        if let Some(body) = body {
            respond.insert("body".into(), body.into());
        }
        Ok(Value::Table(Table::from_iter([(
            "respond".to_owned(),
            Value::Table(respond),
        )])))
    }

    fn request(&self, parts: &Parts<'_>) -> Result<Value, Failure> {
        let mut request = Table::new();
        let (method, path) = match self.request.split_once(' ') {
            Some((method, path)) => (method, path.trim()),
            None if self.request.starts_with('/') => ("GET", self.request.as_str()),
            None => (self.request.as_str(), "/"),
        };
        request.insert("method".into(), method.into());
        request.insert("path".into(), path.into());
        let mut headers = Table::new();
        for header in &self.headers {
            let Some((name, value)) = header.split_once(':') else {
                return Err(Failure::usage(format!("-H {header}: no `NAME: VALUE`")));
            };
            let values = headers
                .entry(name.trim().to_ascii_lowercase())
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(values) = values {
                values.push(value.trim().into());
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

    fn body(&self) -> Result<Option<String>, Failure> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let Some(file) = data.strip_prefix('@') else {
            return Ok(Some(data.clone()));
        };
        let mut text = String::new();
        let read = match file {
            "-" => std::io::stdin().read_to_string(&mut text).map(|_| ()),
            _ => std::fs::read_to_string(file).map(|read| text = read),
        };
        read.map_err(|error| Failure::io(error, format!("can't read the body from {file}")))?;
        Ok(Some(text))
    }
}

/// What a run is made of.
struct Parts<'a> {
    described: &'a Described,
    component: &'a Path,
    grants: &'a Grants,
    grants_text: &'a str,
    settings: Option<serde_json::Value>,
    config: Option<&'a Config>,
}

impl Parts<'_> {
    /// Those that grants name, with the configuration's URLs where it has them; one
    /// for the exchange in any case. The pipeline's is the first.
    fn routes(&self) -> Vec<(String, String)> {
        let grants = self.grants.of_policy(&self.described.name);
        let granted = grants.iter().flat_map(|grant| &grant.to);
        let mut names: Vec<RouteName> = granted.map(|to| to.route.clone()).collect();
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
}

/// A kind that the grant's use fits.
fn kind(grant: &Grant) -> &'static str {
    match grant.use_() {
        Use::Attach => "api-key",
        Use::SignRequest | Use::MacSign | Use::MacVerify | Use::VerifyJwt => "hmac-key",
        Use::Identify => "client-keys",
        Use::Sas | Use::Describe => "storage-account",
        Use::Presign => "aws-key",
        Use::Present | Use::JwsSign => "certificate",
        Use::Seal | Use::Open => "data-key",
        Use::Token => "oauth-client",
        Use::Query => "database",
    }
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

/// What would grant each use that was refused and that the manifest asks for.
fn snippets(parts: &Parts<'_>, step: &StepReport) -> Vec<String> {
    let refused = step.timeline.events.iter().any(|event| {
        matches!(event, Event::Policy(call) if call.calls.iter().any(
            |call| matches!(call.decision, Some(Decision::Refused(_)))
        ))
    });
    if !refused {
        return Vec::new();
    }
    let routes = parts.routes();
    let route = routes
        .first()
        .and_then(|(name, _)| RouteName::parse(name).ok());
    let missing = parts.described.not_granted(parts.grants);
    let missing = missing.iter();
    missing
        .map(|ask| grant_for(&parts.described.name, ask, route.as_ref()))
        .collect()
}
