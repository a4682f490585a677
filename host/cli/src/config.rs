//! `keyward config`: what a configuration says, and whether it can be taken.

use std::path::Path;

use clap::{Args, Subcommand};
use keyward::document::policies::Scope;
use keyward::engine::inspect;
use keyward_gateway::config::{Config as File, Finding, Origin, Shown, Steps, schema};
use keyward_gateway::control::{ClientError, ConfigReloaded, Request};
use keyward_gateway::documents::{fragment_files, read_document};
use keyward_gateway::grants::{read_grants, read_lock};
use keyward_gateway::listen::Certificates;
use serde_json::{Value, json};

use crate::access::{Access, client_failure};
use crate::exit::{Exit, Outcome};
use crate::output::{counted, table};
use crate::reason::Reason;
use crate::{Common, place};

const CHECK: &str = "\
The file, and what it names: grants and their lock, documents, components,
certificates. Neither the vault nor the network is touched, so it can be run where
neither is, before a change is taken. What named values bring, and what the vault
knows, `keyward doctor` checks.

Examples:
  keyward config check
  keyward config check --config new/keyward.toml -o json";

const SCHEMA: &str = "\
For editors and generators: JSON Schema 2020-12 of the file read as JSON.

Examples:
  keyward config schema > keyward.schema.json";

const SHOW: &str = "\
Every key that is set or has a default. Named values stand by their names.

Examples:
  keyward config show
  keyward config show --origin -o json";

const RELOAD: &str = "\
It reads keyward.toml and what that names again, and takes all of it or nothing;
requests that are running end as they began. Where it listens, its vault, its audit
trail and its control socket stay. Takes the role approver.

Examples:
  keyward config reload --reason \"route for the new backend\"";

/// Check, show and reload the configuration.
#[derive(Subcommand)]
pub(crate) enum Config {
    Check(Check),
    Schema(Schema),
    Show(Show),
    Reload(Reload),
}

/// Check the file and what it names, without vault and network.
#[derive(Args)]
#[command(after_help = CHECK)]
pub(crate) struct Check {}

/// Print the JSON Schema of the file.
#[derive(Args)]
#[command(after_help = SCHEMA)]
pub(crate) struct Schema {}

/// Show what counts.
#[derive(Args)]
#[command(after_help = SHOW)]
pub(crate) struct Show {
    /// With where it comes from: the file's line, or a default.
    #[arg(long)]
    origin: bool,
}

/// Have the running gateway take the configuration as it is now.
#[derive(Args)]
#[command(after_help = RELOAD)]
pub(crate) struct Reload {
    #[command(flatten)]
    reason: Reason,
}

impl Config {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        match self {
            Config::Check(_) => check(common),
            Config::Schema(_) => {
                // It is JSON, whatever format is asked for.
                let text = || format!("{:#}", schema());
                common.output().data(text, schema);
                Ok(Exit::Success)
            }
            Config::Show(show) => show.run(common),
            Config::Reload(reload) => reload.run(common),
        }
    }
}

/// Something that is not in order.
struct Fault {
    /// As it is shown to people.
    text: String,
    json: Value,
}

impl Fault {
    fn of(file: &Path, text: impl ToString) -> Self {
        let text = text.to_string();
        let json = json!({ "file": file, "message": text });
        Self { text, json }
    }
}

fn check(common: &Common) -> Outcome {
    let file = place::find(common.config())?;
    let mut faults = Vec::new();
    match File::load(&file) {
        Err(errors) => {
            let texts = errors.to_string();
            let texts = texts.split("\n\nerror: ");
            for (finding, text) in errors.findings().iter().zip(texts) {
                let Finding { message, help, .. } = finding;
                let (line, column) = errors.position(finding.span.start);
                let text = text.strip_prefix("error: ").unwrap_or(text).to_owned();
                let json = json!({
                    "file": file, "line": line, "column": column,
                    "message": message, "help": help,
                });
                faults.push(Fault { text, json });
            }
        }
        Ok(config) => {
            grants(&config, &mut faults);
            documents(&config, &mut faults);
            components(&config, &mut faults);
            if let Some(Err(error)) = config.gateway.front.tls.as_ref().map(Certificates::load) {
                faults.push(Fault::of(&file, error));
            }
        }
    }
    let shown = file.display().to_string();
    let text = || match faults.as_slice() {
        [] => format!("{shown} is in order"),
        faults => {
            let texts: Vec<_> = faults.iter().map(|fault| fault.text.as_str()).collect();
            format!(
                "{}\n{}",
                texts.join("\n\n"),
                counted(faults.len(), "finding")
            )
        }
    };
    let json = || json!({ "file": shown, "findings": faults.iter().map(|fault| fault.json.clone()).collect::<Vec<_>>() });
    common.output().data(text, json);
    Ok(match faults.is_empty() {
        true => Exit::Success,
        false => Exit::Findings,
    })
}

fn grants(config: &File, faults: &mut Vec<Fault>) {
    let file = config.grants.as_deref().unwrap_or(&config.file);
    if let Err(error) = read_grants(config) {
        faults.push(Fault::of(file, error));
    }
    if let Err(error) = read_lock(config) {
        faults.push(Fault::of(file, error));
    }
}

fn documents(config: &File, faults: &mut Vec<Fault>) {
    let of_pipelines = config
        .pipelines
        .iter()
        .flat_map(|pipeline| match &pipeline.steps {
            Steps::Documents(steps) => {
                let scoped = steps.scoped();
                scoped
                    .map(|(scope, file)| (Some(scope), file.to_owned()))
                    .collect()
            }
            Steps::Lists { .. } => Vec::new(),
        });
    let global = config.gateway.document.iter();
    let global = global.map(|file| (Some(Scope::Global), file.clone()));
    let fragments = fragment_files(config).into_iter().map(|file| (None, file));
    for (scope, file) in global.chain(fragments).chain(of_pipelines) {
        // A path with a named value is known when that is.
        if file.display().to_string().contains("{{") {
            continue;
        }
        if let Err(fault) = read_document(&file, scope, &config.in_documents(None)) {
            faults.push(Fault::of(&file, fault));
        }
    }
}

fn components(config: &File, faults: &mut Vec<Fault>) {
    for policy in &config.policies {
        let file = &policy.component;
        let name = file.display().to_string();
        if name.contains("{{") {
            continue;
        }
        let inspected = std::fs::read(file)
            .map_err(|error| format!("the component {name} can't be read: {error}"))
            .and_then(|bytes| {
                inspect(&bytes).map_err(|error| format!("the component {name}: {error}"))
            });
        if let Err(error) = inspected {
            faults.push(Fault::of(file, error));
        }
    }
}

impl Show {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let shown = config.shown();
        let text = || self.text(&shown);
        let json = || Value::Array(shown.iter().map(in_json).collect());
        common.output().data(text, json);
        Ok(Exit::Success)
    }

    fn text(&self, shown: &[Shown]) -> String {
        let key = |one: &Shown| match &one.of {
            Some(of) => format!("{} {of}: {}", one.section, one.key),
            None => format!("{} {}", one.section, one.key),
        };
        if self.origin {
            let rows: Vec<_> = shown
                .iter()
                .map(|one| [key(one), one_line(&one.value), origin(&one.origin)])
                .collect();
            table(["KEY", "VALUE", "FROM"], &rows)
        } else {
            let rows: Vec<_> = shown
                .iter()
                .map(|one| [key(one), one_line(&one.value)])
                .collect();
            table(["KEY", "VALUE"], &rows)
        }
    }
}

/// A value that is written over several lines.
fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::File { file, line } => format!("{}:{line}", file.display()),
        Origin::Default => "default".to_owned(),
    }
}

fn in_json(shown: &Shown) -> Value {
    let origin = match &shown.origin {
        Origin::File { file, line } => json!({ "file": file, "line": line }),
        Origin::Default => json!("default"),
    };
    json!({
        "section": shown.section,
        "of": shown.of,
        "key": shown.key,
        "value": shown.value,
        "origin": origin,
    })
}

impl Reload {
    fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let Some(gateway) = Access::running(&config)? else {
            let failure = client_failure(ClientError::NotRunning);
            return Err(
                failure.help("a gateway reads its configuration when it starts: keyward serve")
            );
        };
        let reloaded: ConfigReloaded = gateway.ask(Request::ConfigReload {}, self.reason.get())?;
        for finding in &reloaded.findings {
            common.output().warn(finding);
        }
        common.output().entry(&reloaded, |reloaded| {
            let ConfigReloaded {
                generation,
                routes,
                policies,
                pipelines,
                ..
            } = reloaded;
            let number =
                |count: u64, what| counted(usize::try_from(count).unwrap_or(usize::MAX), what);
            format!(
                "configuration {generation} is in force: {}, {}, {}",
                number(*routes, "route"),
                number(*policies, "policy").replace("policys", "policies"),
                number(*pipelines, "pipeline"),
            )
        })?;
        Ok(Exit::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_over_several_lines_is_shown_on_one() {
        assert_eq!(one_line("[\n  \"a\",\n  \"b\"\n]"), "[ \"a\", \"b\" ]");
    }
}
