//! `keyward document run` and `trace`: one request through documents, with all that they
//! did, or each step as it ran.
//!
//! It is a suite of one case, as `keyward policy run` makes one: the real guest, engine,
//! grants and egress, secrets that are canaries, and backends that are not there. With
//! `--live` it is none: see [`live`](super::live).

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use keyward::document::Phase;
use keyward::document::compile::{SecretRequest, Survey};
use keyward::document::named_values::Lookup;
use keyward::document::policies::Scope;
use keyward::names::PolicyName;
use keyward::vault::{Grants, TokenAlgorithm, TokenRules};
use keyward::{Issuer, KeysAt};
use keyward_testkit::report::{CaseReport, Decision, Event, StepReport, Style, pretty, trace};
use keyward_testkit::run::Observed;
use keyward_testkit::suite::Case;
use keyward_testkit::{Listener, Options, Suite};
use serde_json::json;
use toml::{Table, Value};

use super::around::{Around, Given, Lacking};
use super::live::Live;
use super::{grants, steps};
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::policy::Described;
use crate::policy::run::Sent;
use crate::policy::run::made::{self, Parts};
use crate::words::one_line;

pub(super) const RUN: &str = "\
The documents are compiled as the gateway compiles them, and run in the real engine by the
component of the [[policy]] that runs them, or by --guest. Secrets are canaries, whatever
the vault holds, and nothing is sent: the backend answers what --answer says, and what the
documents call themselves what --mock says. Grants are those of --grants or the gateway
around; without either, what the documents ask for counts as granted.

Shown are each phase with its verdict, each use of a secret with its grant, each call that
left, and what the client got. `keyward document trace` shows each statement.

With --live the request is a real one: the pipeline of keyward.toml that has these
documents runs in here as `keyward serve` would run it, with the vault's secrets, its
grants, sources and routes, and real backends get what the documents send. It is in the
audit trail like every exchange, with who ran it. No gateway may run meanwhile: it has the
vault, and takes the request itself.

Ends with 1 if the policy is stopped or, with --live, the exchange fails; with 4 if a
secret is where it must not be.

Examples:
  keyward document run billing.xml --request 'GET /v1/charges' -H 'x-tenant: acme'
  keyward document run billing.xml --mock 'https://rates.example/v1/today=200 ok'
  keyward document run global=global.xml api=billing.xml --answer '503 try again'
  keyward document run billing.xml --secret billing-key --guest target/policies/document.wasm
  keyward document run billing.xml --live --request 'GET /billing/v1/charges'";

pub(super) const TRACE: &str = "\
Runs documents as `keyward document run` does, and shows each statement as it ran: section
and path, the statement in words, what conditions came to, the variables it set, the uses
of secrets, by their names, and the calls.

Examples:
  keyward document trace billing.xml --request 'GET /v1/charges'
  keyward document trace billing.xml --mock 'https://rates.example/v1/today=503' -o json";

/// Where built policies are, in the working directory or one above.
const BUILT: &str = "target/policies/document.wasm";
/// For keys that are there once.
const HOUR: Duration = Duration::from_secs(3600);
/// Many lines, so that no limit cuts a trace.
const LOG_LINES: i64 = 10_000;
/// The most bytes of one.
const LOG_LINE_BYTES: i64 = 4096;

/// Documents, and a request for them.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    given: Given,

    #[command(flatten)]
    sent: Sent,

    /// What a URL answers that documents call: a status, and a body after a space; several
    /// are allowed, and `*` in the path stands for anything.
    #[arg(long = "mock", value_name = "URL=STATUS BODY")]
    mocks: Vec<String>,

    /// The policy that runs the documents; otherwise the one that the configuration
    /// names, or document.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,

    /// The component that runs documents; otherwise that of the policy, or the nearest
    /// target/policies/document.wasm.
    #[arg(long, value_name = "FILE")]
    guest: Option<PathBuf>,
}

/// The same, sent or only played.
#[derive(Args)]
pub(crate) struct Sends {
    #[command(flatten)]
    run: Run,
    #[command(flatten)]
    live: Live,
}

impl Sends {
    pub(super) fn run(self, common: &Common) -> Outcome {
        match self.live.live {
            false if self.live.is_confirmed() => Err(Failure::usage(
                "--yes is for --live: without it nothing is sent, and nobody is asked",
            )
            .help("add --live to send the request, or leave --yes out")),
            true => self.live.run(common, &self.run.given, &self.run.sent),
            false => self.run.run(common, false),
        }
    }
}

/// What came to light.
#[derive(Default)]
struct Got {
    headers: Vec<(String, String)>,
    body: String,
    /// What the policy that runs documents told its log.
    log: Vec<String>,
}

impl Listener for Got {
    fn case_ended(&mut self, _: &Suite, _: &Case, observed: &Observed, _: &mut CaseReport) {
        let Some(step) = observed.steps.first() else {
            return;
        };
        let text = |bytes: &[u8]| {
            let bytes = observed.redactor.redact(bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        };
        // When it was is no part of what the documents do.
        let headers = step.response.headers.iter();
        let headers = headers.filter(|(name, _)| name.as_str() != "date");
        self.headers = headers
            .map(|(name, value)| (name.to_string(), text(value.as_bytes())))
            .collect();
        self.body = text(&step.response.body);
        let lines = step.logs.iter();
        self.log = lines.map(|line| text(line.message.as_bytes())).collect();
    }
}

impl Run {
    pub(super) fn run(self, common: &Common, traces: bool) -> Outcome {
        let output = common.output();
        let around = self.given.around(common, self.policy.as_ref())?;
        let survey = around.survey();
        if let Some(errors) = &survey.errors {
            let help = around.says_unknown();
            let help = help.unwrap_or_else(|| "keyward document explain FILE".to_owned());
            return Err(Failure::new(errors.render(output.colours()).trim_end()).help(help));
        }
        let mut got = Got::default();
        let suite = self.suite(&around, &survey, traces)?;
        let report = keyward_testkit::run(&[suite], &Options::default(), &mut got);
        let suite = report.suites.first();
        if let Some(error) = suite.and_then(|suite| suite.error.as_deref()) {
            let failure = Failure::new(error.trim_end());
            return Err(match around.says_unknown() {
                Some(help) => failure.help(help),
                None => failure,
            });
        }
        let case = suite.and_then(|suite| suite.cases.first());
        let (Some(case), Some(step)) = (case, case.and_then(|case| case.steps.first())) else {
            return Err(Failure::new("the request was not run"));
        };
        let style = Style {
            colours: output.data_colours(),
            times: !traces,
            ..Style::default()
        };
        let refused = refused(&around, &survey.requests, step);
        let ran = steps::of(&around, &got.log);
        let outside = steps::outside(&around.policy, step);
        output.data(
            || {
                let mut text = match traces {
                    true => steps::text(&ran, &outside, step),
                    false => trace::story(step, false, style),
                };
                for (name, value) in &got.headers {
                    text.push_str(&format!("  {name}: {}\n", one_line(value)));
                }
                if !got.body.is_empty() {
                    text.push_str(&format!("\n{}\n", got.body.trim_end()));
                }
                if !refused.is_empty() {
                    text.push_str("\nNot granted. For grants.toml, once you have decided:\n\n");
                    text.push_str(&refused.join("\n"));
                }
                text
            },
            || {
                let headers = got.headers.iter();
                let headers = headers.map(|(name, value)| json!({ "name": name, "value": value }));
                let client = json!({
                    "status": step.status,
                    "headers": headers.collect::<Vec<_>>(),
                    "body": got.body,
                });
                match traces {
                    true => json!({
                        "policy": around.policy.as_str(),
                        "steps": steps::to_json(&ran),
                        "secrets-and-calls": outside,
                        "client": client,
                        "leaks": case.leaks,
                    }),
                    false => json!({
                        "policy": around.policy.as_str(),
                        "exchange": step,
                        "client": client,
                        "leaks": case.leaks,
                        "not-granted": refused,
                    }),
                }
            },
        );
        for leak in case.leaks.iter().map(pretty::leak) {
            output.warn(leak);
        }
        let stopped = step
            .timeline
            .events
            .iter()
            .any(|event| matches!(event, Event::Policy(call) if call.stopped.is_some()));
        Ok(match (stopped, case.leaks.is_empty()) {
            (_, false) => Exit::Findings,
            (true, true) => Exit::Failed,
            (false, true) => Exit::Success,
        })
    }

    /// The run as a suite of one case.
    fn suite(&self, around: &Around, survey: &Survey, traces: bool) -> Result<Suite, Failure> {
        let component = self.component(around)?;
        let settings = serde_json::Value::Null;
        let described = Described::read(around.policy.clone(), &component, &settings)?;
        let named = self.sent.grants.is_some()
            || around
                .config
                .as_ref()
                .is_some_and(|config| config.grants.is_some());
        let (grants, text) = match named {
            true => self.sent.grants(around.config.as_ref())?,
            false => as_asked(around, &survey.requests)?,
        };
        let issuers = issuers(around);
        let parts = Parts {
            described: &described,
            component: &component,
            grants: &grants,
            grants_text: &text,
            settings: None,
            config: around.config.as_ref(),
            issuers: &issuers,
        };
        let mut suite = self.sent.tables(&parts)?;
        routes(&mut suite, around);
        policies(&mut suite, around, traces)?;
        documents(&mut suite, around, traces)?;
        values(&mut suite, around, &survey.requests);
        let mocks = self
            .mocks
            .iter()
            .map(|written| mock(around, written))
            .collect::<Result<Vec<_>, Failure>>()?;
        if let Some(Value::Array(backends)) = suite.get_mut("backend") {
            backends.splice(0..0, mocks);
        }
        made::suite(suite, "document run")
    }

    /// The component that runs documents.
    fn component(&self, around: &Around) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.guest {
            return Ok(file.clone());
        }
        let sections = around.config.iter().flat_map(|config| &config.policies);
        let mut own = sections.filter(|section| section.name == around.policy);
        if let Some(section) = own.next() {
            return Ok(section.component.clone());
        }
        let here = std::env::current_dir()
            .map_err(|error| Failure::io(error, "can't tell the working directory"))?;
        let mut built = here.ancestors().map(|folder| folder.join(BUILT));
        built.find(|file| file.is_file()).ok_or_else(|| {
            Failure::new(format!(
                "no [[policy]] \"{}\", and no {BUILT} here or above",
                around.policy
            ))
            .help("name the component of the policy `document`: --guest FILE")
        })
    }
}

/// What the documents ask for, as if it were granted. Routes are granted for paths of
/// some length.
fn as_asked(around: &Around, requests: &[SecretRequest]) -> Result<(Grants, String), Failure> {
    let below: Vec<String> = (0..8)
        .map(|depth| {
            let segments = ["/{a}", "/{b}", "/{c}", "/{d}", "/{e}", "/{f}", "/{g}"];
            let path: String = segments.into_iter().take(depth).collect();
            let path = if path.is_empty() { "/" } else { &path };
            format!("\"{path}\"")
        })
        .collect();
    let wide = format!("paths = [{}]", below.join(", "));
    let mut text = String::new();
    for request in requests {
        for line in grants::grant(around, request).lines() {
            match line.split_once("paths = [").zip(line.rsplit_once("] }")) {
                Some(((before, _), (_, after))) => {
                    text.push_str(&format!("{before}{wide} }}{after}\n"));
                }
                None => text.push_str(&format!("{line}\n")),
            }
        }
    }
    let grants = Grants::parse("what the documents ask for", &text).map_err(Failure::new)?;
    Ok((grants, text))
}

/// The grants that uses lacked.
fn refused(around: &Around, requests: &[SecretRequest], step: &StepReport) -> Vec<String> {
    let refused = step.timeline.events.iter().any(|event| match event {
        Event::Policy(call) => call
            .calls
            .iter()
            .any(|call| matches!(call.decision, Some(Decision::Refused(_)))),
        Event::Backend(_) => false,
    });
    if !refused {
        return Vec::new();
    }
    requests
        .iter()
        .map(|request| grants::grant(around, request))
        .collect()
}

/// The configuration's issuers, and those that documents name besides, with their keys
/// where the documents say.
fn issuers(around: &Around) -> Vec<Issuer> {
    let configured = around.config.iter().flat_map(|config| &config.issuers);
    let mut issuers: Vec<Issuer> = configured.cloned().collect();
    for lacking in &around.lacking {
        let Lacking::Issuer { name, route, url } = lacking else {
            continue;
        };
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        let Ok(path) = path.parse() else {
            continue;
        };
        issuers.push(Issuer {
            name: name.clone(),
            route: route.clone(),
            keys: KeysAt::Path(path),
            algorithms: vec![TokenAlgorithm::Rs256, TokenAlgorithm::Es256],
            rules: TokenRules {
                issuer: Some(around.issuer_of(url)),
                audiences: Vec::new(),
                clock_skew_seconds: 30,
            },
            refresh: HOUR,
            unknown_key_floor: HOUR,
            max_age: HOUR,
        });
    }
    issuers
}

/// All that documents may call, the pipeline's route first.
fn routes(suite: &mut Table, around: &Around) {
    let section = |url: &str| Value::Table(Table::from_iter([("url".into(), url.into())]));
    let mut all = Table::new();
    let known = &around.bindings.routes;
    let main = known
        .iter()
        .filter(|(name, _)| Some(name) == around.bindings.route.as_ref());
    for (name, url) in main.chain(known) {
        all.insert(name.to_string(), section(url));
    }
    for lacking in &around.lacking {
        if let Lacking::Route { name, url, .. } = lacking {
            all.entry(name.to_string()).or_insert_with(|| section(url));
        }
    }
    if let Some(Value::Table(others)) = suite.remove("routes") {
        for (name, route) in others {
            all.entry(name).or_insert(route);
        }
    }
    suite.insert("routes".into(), Value::Table(all));
}

/// The policy that runs the documents, and those that they call.
fn policies(suite: &mut Table, around: &Around, traces: bool) -> Result<(), Failure> {
    let bindings = &around.bindings;
    let open: Vec<Value> = bindings
        .routes
        .iter()
        .filter(|(name, _)| bindings.calls_own_route || bindings.route.as_ref() != Some(name))
        .map(|(name, _)| name.as_str().into())
        .collect();
    let Some(Value::Array(policies)) = suite.get_mut("policies") else {
        return Ok(());
    };
    if let Some(Value::Table(own)) = policies.first_mut() {
        own.insert("routes".into(), Value::Array(open));
        if traces {
            let limits = [("log-lines", LOG_LINES), ("log-line-bytes", LOG_LINE_BYTES)];
            let limits = limits.map(|(name, most)| (name.to_owned(), Value::from(most)));
            own.insert("limits".into(), Value::Table(Table::from_iter(limits)));
        }
    }
    let sections = around.config.iter().flat_map(|config| &config.policies);
    for section in sections.filter(|section| section.name != around.policy) {
        if !around.calls(&section.name) {
            continue;
        }
        let mut policy = Table::new();
        policy.insert("name".into(), section.name.as_str().into());
        policy.insert("component".into(), absolute(&section.component)?);
        if section
            .settings
            .as_object()
            .is_some_and(|all| !all.is_empty())
        {
            let settings = Value::try_from(&section.settings).map_err(Failure::new)?;
            policy.insert("settings".into(), settings);
        }
        policies.push(Value::Table(policy));
    }
    Ok(())
}

fn absolute(file: &Path) -> Result<Value, Failure> {
    let file = std::path::absolute(file)
        .map_err(|error| Failure::io(error, "can't tell the working directory"))?;
    let file = file.to_str();
    let file = file.ok_or_else(|| Failure::new("a file's path is no text"))?;
    Ok(file.into())
}

fn documents(suite: &mut Table, around: &Around, traces: bool) -> Result<(), Failure> {
    let mut files = Vec::new();
    for document in &around.documents {
        if document.file() == "standard input" {
            return Err(Failure::usage("a run reads documents from files"));
        }
        let file = absolute(document.file().as_ref())?;
        match document.origin().scope {
            Some(Scope::Global) => {
                suite.insert("global-document".into(), file);
            }
            _ => files.push(file),
        }
    }
    suite.insert("document".into(), Value::Array(files));
    let fragments = around
        .fragments
        .iter()
        .map(|(id, fragment)| Ok((id.clone(), absolute(fragment.file().as_ref())?)));
    let fragments = fragments.collect::<Result<Table, Failure>>()?;
    suite.insert("fragments".into(), Value::Table(fragments));
    suite.insert("runs-as".into(), around.policy.as_str().into());
    suite.insert("trace-document".into(), traces.into());
    Ok(())
}

/// Named values, and a canary for each secret that no grant names.
fn values(suite: &mut Table, around: &Around, requests: &[SecretRequest]) {
    let mut all = Table::new();
    let mut secrets = Vec::new();
    for (name, value) in &around.known {
        match value {
            Lookup::Plain(text) => {
                all.insert(name.clone(), text.as_str().into());
            }
            Lookup::Secret(secret)
            | Lookup::Reference {
                secret: Some(secret),
                ..
            } => {
                let own = [("secret".to_owned(), Value::from(secret.as_str()))];
                all.insert(name.clone(), Value::Table(Table::from_iter(own)));
                secrets.push(secret.clone());
            }
            Lookup::Reference { .. } | Lookup::Unknown(_) | Lookup::Later => {}
        }
    }
    suite.insert("named-values".into(), Value::Table(all));
    let Some(Value::Table(known)) = suite.get_mut("secrets") else {
        return;
    };
    for secret in secrets {
        let mut of_it = requests
            .iter()
            .filter(|request| request.secret.as_deref() == Some(&*secret));
        let kind = of_it.next().map_or("api-key", grants::kind_of);
        known.entry(secret).or_insert_with(|| {
            Value::Table(Table::from_iter([("kind".to_owned(), Value::from(kind))]))
        });
    }
}

/// What a URL answers.
fn mock(around: &Around, written: &str) -> Result<Value, Failure> {
    let wrong = || Failure::usage(format!("--mock {written}: no `URL=STATUS BODY`"));
    // A query has `=`, too; a status follows the one that counts.
    let (url, answer) = written
        .match_indices('=')
        .map(|(at, _)| written.split_at(at))
        .filter_map(|(url, rest)| Some((url, rest.strip_prefix('=')?)))
        .find(|(_, rest)| {
            let status = rest.split(' ').next().unwrap_or_default();
            status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit())
        })
        .ok_or_else(wrong)?;
    let routes = around.bindings.routes.iter();
    let found = routes
        .filter(|(_, to)| url.starts_with(to.as_str()))
        .max_by_key(|(_, to)| to.len());
    let Some((route, _)) = found else {
        return Err(Failure::usage(format!(
            "--mock {url}: no route leads there, and no document calls it"
        )));
    };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let mut matches = Table::from_iter([("path".to_owned(), Value::from(path))]);
    if let Some(query) = query {
        matches.insert("query".into(), query.into());
    }
    let mut backend = Table::new();
    backend.insert("route".into(), route.as_str().into());
    backend.insert("match".into(), Value::Table(matches));
    backend.insert("respond".into(), Value::Table(made::respond(answer)?));
    Ok(Value::Table(backend))
}

impl Around {
    /// Whether the documents call another policy.
    fn calls(&self, policy: &PolicyName) -> bool {
        let mut nodes = Phase::ALL
            .into_iter()
            .flat_map(|phase| self.effective.phase(phase));
        nodes.any(|node| {
            let name = node.attribute("name");
            node.name() == "wasm-policy"
                && name.and_then(|name| name.as_text()) == Some(policy.as_str())
        })
    }

    /// What `iss` of the tokens is to be, as the first statement says that names an issuer
    /// for this metadata.
    fn issuer_of(&self, metadata: &str) -> String {
        let nodes = Phase::ALL
            .into_iter()
            .flat_map(|phase| self.effective.phase(phase))
            .flat_map(|node| node.walk());
        let of_it = nodes.filter(|node| {
            let mut configs = node.children_named("openid-config");
            configs.any(|config| {
                let url = config.attribute("url");
                url.and_then(|url| url.as_text()) == Some(metadata)
            })
        });
        let issuers = of_it
            .flat_map(|node| node.children_named("issuers"))
            .flat_map(|issuers| issuers.children_named("issuer"));
        let mut named = issuers.filter_map(|issuer| issuer.text.as_ref()?.as_text());
        named.next().unwrap_or(metadata).to_owned()
    }
}
