//! `keyward policy build`: from a crate to a component.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use keyward_component::{CompileError, Component, Policy, Profile, Project, encode, write};
use serde_json::{Value, json};

use super::described::Described;
use super::inspect;
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};
use crate::words::one_line;

pub(super) const HELP: &str = "\
Compiles the policy with cargo for wasm32-unknown-unknown and makes a component of it
that imports what Keyward offers to policies and nothing else. Its manifest comes from
[package.metadata.keyward] in Cargo.toml, the schema of its settings from the code.

In a package or workspace with several policies, all of them, or those that are named
with --policy. The component goes to target/policies/NAME.wasm.

Ends with 4 if the component is one that the gateway would refuse.

Examples:
  keyward policy build                        the policy in this folder
  keyward policy build greet --to greet.wasm  the one in another, and where it goes
  keyward policy build --debug                quickly, with checks for overflow";

/// Build a policy's component.
#[derive(Args)]
pub(crate) struct Build {
    /// The policy's folder.
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Of several, build this; may be given more than once.
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Compile quickly instead of small, with assertions and checks for overflow.
    #[arg(long)]
    debug: bool,
    /// Where the component goes, if there is one policy.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let project = Project::of(&self.folder).map_err(Failure::new)?;
        let policies = self.chosen(&project)?;
        if let (Some(to), [_, _, ..]) = (&self.to, policies.as_slice()) {
            return Err(Failure::usage(format!(
                "{} can't hold {} policies",
                to.display(),
                policies.len()
            ))
            .help("name one of them with --policy"));
        }
        let profile = match self.debug {
            true => Profile::Debug,
            false => Profile::Release,
        };
        let modules = project.compile(&policies, profile).map_err(failure)?;
        let mut built = Vec::new();
        for (policy, module) in policies.into_iter().zip(modules) {
            let file = self.to.clone().unwrap_or_else(|| project.component(policy));
            built.push(Built::make(policy, &module, file)?);
        }
        output.data(
            || {
                let texts: Vec<String> = built.iter().map(Built::text).collect();
                texts.join("\n\n")
            },
            || built.iter().map(Built::json).collect(),
        );
        let mut exit = Exit::Success;
        for one in &built {
            for problem in one.described.problems() {
                output.warn(format!("{}: {problem}", one.file.display()));
                exit = Exit::Findings;
            }
        }
        Ok(exit)
    }

    fn chosen<'p>(&self, project: &'p Project) -> Result<Vec<&'p Policy>, Failure> {
        let mut policies: Vec<&Policy> = project.policies.iter().collect();
        let is = |policy: &Policy, name: &String| policy.manifest.name == *name;
        for name in &self.policies {
            if !policies.iter().any(|policy| is(policy, name)) {
                let known = policies.iter().map(|policy| policy.manifest.name.as_str());
                return Err(Failure::new(format!(
                    "{} has no policy {name}",
                    project.manifest.display()
                ))
                .help(format!(
                    "policies there are: {}",
                    inspect::list(known, "none")
                )));
            }
        }
        if !self.policies.is_empty() {
            policies.retain(|policy| self.policies.iter().any(|name| is(policy, name)));
        }
        Ok(policies)
    }
}

/// What the compiler has to say, and what mends it.
fn failure(error: CompileError) -> Failure {
    let help = match &error {
        CompileError::NoTarget => Some(format!("rustup target add {}", keyward_component::TARGET)),
        CompileError::NotRun { .. } => Some("install Rust: https://rustup.rs".to_owned()),
        _ => None,
    };
    Failure {
        help,
        ..Failure::new(error)
    }
}

/// A component that was built and written.
struct Built {
    component: Component,
    described: Described,
    file: PathBuf,
}

impl Built {
    fn make(policy: &Policy, module: &Path, file: PathBuf) -> Result<Self, Failure> {
        let name = &policy.manifest.name;
        let bytes = fs::read(module)
            .map_err(|error| Failure::io(error, format!("can't read {}", module.display())))?;
        let component = encode(&bytes, &policy.manifest).map_err(|error| {
            Failure::new(format!(
                "the policy {name} of {}: {error}",
                policy.folder.display()
            ))
        })?;
        write(&file, &component.bytes)
            .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))?;
        let name = keyward::names::PolicyName::parse(name).map_err(Failure::new)?;
        let described = Described::read(name, &file, &Value::Null)?;
        Ok(Self {
            component,
            described,
            file,
        })
    }

    fn text(&self) -> String {
        let manifest = &self.component.manifest;
        let memory = &self.component.memory;
        let comma = |items: &[String]| inspect::list(items.iter().map(String::as_str), "nothing");
        let asks = manifest
            .asks
            .iter()
            .map(|ask| format!("{} of {}", ask.use_, ask.alias));
        let asks: Vec<String> = asks.collect();
        let phases: Vec<String> = self.phases().map(str::to_owned).collect();
        let lines = [
            ("policy", format!("{} {}", manifest.name, manifest.version)),
            ("file", self.file.display().to_string()),
            ("digest", self.described.digest.to_string()),
            ("size", format!("{} B", self.component.bytes.len())),
            ("phases", comma(&phases)),
            ("can reach", comma(&self.component.imports)),
            ("asks for", comma(&asks)),
            ("settings", one_line(&self.settings())),
            (
                "memory",
                format!(
                    "{} KiB: stack {}, data {}, arena {}",
                    memory.total / 1024,
                    memory.stack,
                    memory.data(),
                    memory.arena
                ),
            ),
        ];
        let lines = lines.map(|(title, text)| format!("{title:<13}{text}"));
        lines.join("\n")
    }

    fn phases(&self) -> impl Iterator<Item = &str> {
        let exports = self.component.exports.iter().map(String::as_str);
        exports.filter(|export| *export != "configuration")
    }

    /// The names of its settings.
    fn settings(&self) -> String {
        if !self.described.inspection.takes_settings {
            return "none".to_owned();
        }
        let schema = self.component.manifest.settings.as_ref();
        match schema.and_then(|schema| schema["properties"].as_object()) {
            Some(properties) => inspect::list(properties.keys().map(String::as_str), "none"),
            None => "taken, without a schema".to_owned(),
        }
    }

    fn json(&self) -> Value {
        let Component {
            imports,
            memory,
            manifest,
            bytes,
            ..
        } = &self.component;
        json!({
            "policy": manifest.name,
            "file": self.file,
            "digest": self.described.digest.to_string(),
            "bytes": bytes.len(),
            "phases": self.phases().collect::<Vec<_>>(),
            "imports": imports,
            "memory": {
                "total": memory.total,
                "stack": memory.stack,
                "data": memory.data(),
                "arena": memory.arena,
            },
            "manifest": manifest,
            "problems": self.described.problems(),
        })
    }
}
