//! `keyward policy run`: one request through one policy, with all that it did.
//!
//! It is a suite of one case, made from the command line: the real engine, grants and
//! egress, secrets that are canaries, and a backend that is not there.

pub(crate) mod made;

use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use keyward::names::{IssuerName, PolicyName, RouteName};
use keyward::vault::Grants;
use keyward_gateway::config::Config;
use keyward_testkit::Options;
use keyward_testkit::report::{Decision, Event, StepReport, Style, pretty, trace};
use serde_json::json;

use self::made::Parts;
use super::Described;
use super::inspect::resolve;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::grant_for;
use crate::{Common, grants, place};

const RUN: &str = "\
The real component runs in the real engine, with the grants of a file, or of the gateway
around it. Secrets are canaries, whatever the vault holds: their values play no part, and
nothing is written. The backend is not there either; it gives the answer that you name,
and a token endpoint gives out a token. Tokens of clients are checked with the keys that
--jwks names: where a gateway fetches them, nobody is asked.

Shown are each phase with its verdict and time, each use of a secret with the grant that
allowed it, or why none did and a grant that would, and each call that left. --trace shows
every call into the host. Where the policy is stopped, its own stack, the budget that ran
out and its last call.

Ends with 1 if the policy is stopped, with 4 if a secret is where it must not be.

Examples:
  keyward policy run attach-api-key --request 'GET /v1/charges?limit=2'
  keyward policy run policies/limit.wasm --settings limit.json -H 'x-tenant: acme' --trace
  keyward policy run require-jwt --jwks login=keys.json -H 'authorization: Bearer eyJ...'
  keyward policy run hook.wasm --grants grants.toml --request 'POST /hook' -d @event.json
  keyward policy run outbound.wasm --answer '500 try again' -o json";

/// Run one request through a policy, and show all that it does.
#[derive(Args)]
#[command(after_help = RUN)]
pub(crate) struct Run {
    /// A component's file, or a policy's name in the configuration.
    #[arg(value_name = "FILE|NAME")]
    policy: PathBuf,

    #[command(flatten)]
    sent: Sent,

    /// The policy's settings, as JSON; otherwise those of the configuration, or none.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Show every call into the host.
    #[arg(long)]
    trace: bool,
}

/// A request, who sends it, and what the others answer.
#[derive(Args)]
pub(crate) struct Sent {
    /// The request's method and path.
    #[arg(long, value_name = "METHOD PATH", default_value = "GET /")]
    pub(crate) request: String,

    /// A header of the request; several are allowed.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,

    /// The request's body; @FILE reads it from a file, @- from standard input.
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,

    /// The client's address.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) client: Option<IpAddr>,

    /// Present the client key of this subject, at the place that a grant names.
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// What the backend answers: a status, and a body after a space.
    #[arg(long, value_name = "STATUS BODY", default_value = "200")]
    answer: String,

    /// Grants; otherwise those of the configuration, or none.
    #[arg(long, value_name = "FILE")]
    pub(crate) grants: Option<PathBuf>,

    /// The keys that an issuer of the configuration publishes, as a JSON Web Key Set;
    /// several are allowed.
    #[arg(long, value_name = "ISSUER=FILE", value_parser = issuer_keys)]
    pub(crate) jwks: Vec<(IssuerName, PathBuf)>,
}

/// `ISSUER=FILE`.
fn issuer_keys(text: &str) -> Result<(IssuerName, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or("no `ISSUER=FILE`")?;
    let name = IssuerName::parse(name).map_err(|error| error.to_string())?;
    Ok((name, PathBuf::from(file)))
}

impl Run {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let config = match (common.config(), place::find(None)) {
            (None, Err(_)) => None,
            (named, _) => Some(place::load(named)?),
        };
        let (described, component) = resolve(&self.policy, config.as_ref())?;
        let (grants, text) = self.sent.grants(config.as_ref())?;
        let settings = self.settings(&described.name, config.as_ref())?;
        let parts = Parts {
            described: &described,
            component: &component,
            grants: &grants,
            grants_text: &text,
            settings,
            config: config.as_ref(),
            issuers: config.as_ref().map_or(&[], |config| &config.issuers),
        };
        for issuer in parts.issuers {
            if !self.sent.jwks.iter().any(|(name, _)| *name == issuer.name) {
                let name = &issuer.name;
                output.warn(format!(
                    "no keys of issuer {name}: its tokens can't be checked; --jwks {name}=FILE"
                ));
            }
        }
        let suite = made::suite(self.sent.tables(&parts)?, "policy run")?;
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
}

impl Sent {
    /// The request's method and target.
    pub(crate) fn target(&self) -> (&str, &str) {
        match self.request.split_once(' ') {
            Some((method, path)) => (method, path.trim()),
            None if self.request.starts_with('/') => ("GET", self.request.as_str()),
            None => (self.request.as_str(), "/"),
        }
    }

    /// The name and value of each header.
    pub(crate) fn header_fields(&self) -> Result<Vec<(&str, &str)>, Failure> {
        let fields = self.headers.iter().map(|header| {
            let field = header.split_once(':');
            let (name, value) =
                field.ok_or_else(|| Failure::usage(format!("-H {header}: no `NAME: VALUE`")))?;
            Ok((name.trim(), value.trim()))
        });
        fields.collect()
    }

    pub(crate) fn grants(&self, config: Option<&Config>) -> Result<(Grants, String), Failure> {
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

    pub(crate) fn body(&self) -> Result<Option<String>, Failure> {
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
