//! `keyward policy new`: a folder with a policy that builds and has tests.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use keyward::names::PolicyName;
use serde_json::json;

use crate::Common;
use crate::exit::{Exit, Failure, Outcome};

pub(super) const HELP: &str = "\
Makes a folder of that name, in this one, with a crate: the decision and its native
tests in src/lib.rs, what it asks for in Cargo.toml, and cases for the component with
grants and backends in NAME.test.toml. Nothing is overwritten.

Examples:
  keyward policy new greet                    a policy that uses a key
  keyward policy new greet --template plain   one that needs no secret
  keyward policy new greet --sdk ../keyward/guest-policies/sdk
                                              with the crate keyward-policy from there";

/// Make a folder with a new policy.
#[derive(Args)]
pub(crate) struct New {
    /// The policy's name: a-z, 0-9 and '-', the first a letter.
    #[arg(value_name = "NAME")]
    name: String,
    /// What it begins with.
    #[arg(long, value_enum, default_value_t)]
    template: Template,
    /// Take the crate keyward-policy from this folder, not from the registry.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

/// What a new policy begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A Rust policy that has the host attach a key
    #[default]
    Key,
    /// A Rust policy that needs no secret
    Plain,
}

impl Template {
    /// Its files, and what is in them; `{name}` and `{sdk}` are filled in.
    fn files(self) -> [(&'static str, &'static str); 5] {
        let [cargo, lib, test, readme] = match self {
            Self::Key => [
                include_str!("../../templates/policy/Cargo.toml.txt"),
                include_str!("../../templates/policy/lib.rs.txt"),
                include_str!("../../templates/policy/test.toml.txt"),
                include_str!("../../templates/policy/README.md.txt"),
            ],
            Self::Plain => [
                include_str!("../../templates/policy/plain-Cargo.toml.txt"),
                include_str!("../../templates/policy/plain-lib.rs.txt"),
                include_str!("../../templates/policy/plain-test.toml.txt"),
                include_str!("../../templates/policy/plain-README.md.txt"),
            ],
        };
        [
            ("Cargo.toml", cargo),
            ("src/lib.rs", lib),
            ("{name}.test.toml", test),
            ("README.md", readme),
            (".gitignore", "/target\n"),
        ]
    }
}

impl New {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let name = self.name()?;
        let sdk = self.sdk()?;
        let folder = PathBuf::from(name);
        // A link that leads nowhere is something too.
        if folder.symlink_metadata().is_ok() {
            return Err(
                Failure::new(format!("there already: {name}; nothing was changed"))
                    .help("choose another name"),
            );
        }
        let mut files = Vec::new();
        for (file, text) in self.template.files() {
            let file = folder.join(file.replace("{name}", name));
            let text = text.replace("{name}", name).replace("{sdk}", &sdk);
            write(&file, &text)?;
            files.push(file);
        }
        let workspace = workspace_above();
        common.output().data(
            || {
                let mut lines = vec![format!("Made the policy {name}:")];
                lines.extend(files.iter().map(|file| format!("  {}", file.display())));
                if let Some(workspace) = &workspace {
                    lines.push(format!(
                        "\nAdd {name} to the `members` of {}.",
                        workspace.display()
                    ));
                }
                lines.push(format!(
                    "\nNext:\n\
                     \x20 cd {name}\n\
                     \x20 cargo test                its decision, natively\n\
                     \x20 keyward policy build      its component\n\
                     \x20 keyward test              the component, with grants and backends"
                ));
                lines.join("\n")
            },
            || json!({ "policy": name, "folder": folder, "files": files }),
        );
        Ok(Exit::Success)
    }

    /// A name that is good for a policy and for a crate.
    fn name(&self) -> Result<&str, Failure> {
        let fits = self.name.starts_with(|first: char| first.is_ascii_lowercase())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && PolicyName::parse(&self.name).is_ok()
            // What cargo takes for something else.
            && !["test", "core", "std", "alloc", "proc-macro"].contains(&self.name.as_str());
        if fits {
            return Ok(&self.name);
        }
        Err(Failure::usage("that is no name for a policy and its crate")
            .help("take letters a-z, digits and '-', the first a letter: add-correlation-id"))
    }

    /// The dependency on the SDK, as `Cargo.toml` has it.
    fn sdk(&self) -> Result<String, Failure> {
        let Some(folder) = &self.sdk else {
            let version = env!("CARGO_PKG_VERSION");
            let version = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
            return Ok(format!("\"{version}\""));
        };
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        if !manifest.contains("name = \"keyward-policy\"") {
            return Err(Failure::new(format!(
                "{} is not the folder of the crate keyward-policy",
                folder.display()
            )));
        }
        let folder = folder
            .canonicalize()
            .map_err(|error| Failure::io(error, format!("can't find {}", folder.display())))?;
        let folder = serde_json::to_string(&folder).map_err(Failure::new)?;
        Ok(format!("{{ path = {folder} }}"))
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| Failure::io(error, format!("can't write {}", file.display())))
}

/// The `Cargo.toml` of a workspace that this folder lies in.
fn workspace_above() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let manifests = here.ancestors().map(|folder| folder.join("Cargo.toml"));
    manifests.into_iter().find(|manifest| {
        fs::read_to_string(manifest).is_ok_and(|text| text.contains("[workspace]"))
    })
}
