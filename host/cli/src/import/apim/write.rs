//! A plan as files: what goes into `keyward.toml` and the grants file, the commands
//! that set secrets and values, and what is left to do.
//!
//! Texts out of the template are quoted for the language that they are written in;
//! secret values are not among them.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use keyward::names::{SecretName, ValueName};
use serde_json::{Value, json};

use super::plan::{Plan, SecretPlan, SecretValue, StandsFor, ValuePlan};
use crate::exit::Failure;
use crate::output::counted;

/// What a plan is written to.
pub(super) const FILES: [&str; 4] = ["keyward.toml", "grants.toml", "import.sh", "report.txt"];

/// A plan in the words of each file, in the order of [`FILES`].
pub(super) fn files(plan: &Plan, template: &Path) -> [(&'static str, String); 4] {
    let [configuration, grants, commands, report] = FILES;
    [
        (configuration, configured(plan)),
        (grants, granted(plan)),
        (commands, script(plan, template)),
        (report, self::report(plan)),
    ]
}

/// Writes the files into a folder that is made, or empty of them.
///
/// Errors: one of the files is there already, or can't be written.
pub(super) fn write(plan: &Plan, template: &Path, folder: &Path) -> Result<(), Failure> {
    let failed = |error, file: &Path| Failure::io(error, format!("can't write {}", file.display()));
    fs::create_dir_all(folder).map_err(|error| failed(error, folder))?;
    for name in FILES {
        let file = folder.join(name);
        if file.symlink_metadata().is_ok() {
            return Err(Failure::new(format!("{} is there already", file.display()))
                .help("name another folder; nothing is overwritten"));
        }
    }
    for (name, text) in files(plan, template) {
        let file = folder.join(name);
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&file)
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .map_err(|error| failed(error, &file))?;
    }
    Ok(())
}

/// In one line: what there is.
pub(super) fn summary(plan: &Plan) -> String {
    let all = [
        counted(plan.sources.len(), "source"),
        counted(plan.routes.len(), "route"),
        counted(plan.secrets.len(), "secret"),
        counted(plan.values.len(), "named value"),
    ];
    let open = match plan.open.len() {
        0 => "nothing needs a person".to_owned(),
        1 => "1 thing needs a person".to_owned(),
        count => format!("{count} things need a person"),
    };
    format!("{}; {open}", all.join(", "))
}

fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `[sources]` and `[[route]]`.
fn configured(plan: &Plan) -> String {
    let mut toml = String::from("# To be added to keyward.toml, once it has been read.\n");
    for source in &plan.sources {
        let tenant = match &plan.tenant {
            Some(tenant) => format!("tenant = {}", text(tenant)),
            None => "# tenant = \"…\"  # that the vault trusts: az account show --query tenantId"
                .to_owned(),
        };
        let client_id = match &source.client_id {
            Some(client_id) => format!("client-id = {}\n", text(client_id)),
            None => String::new(),
        };
        let _ = write!(
            toml,
            "\n[sources.{}]\nkind = \"key-vault\"\nvault = {}\n{tenant}\n{client_id}",
            key(source.name.as_str()),
            text(&source.vault)
        );
    }
    for route in &plan.routes {
        let name = text(route.name.as_str());
        let _ = write!(
            toml,
            "\n[[route]]\nname = {name}\nurl = {}\n",
            text(&route.url)
        );
    }
    toml
}

/// A name as a key of TOML: one with a dot is quoted.
fn key(name: &str) -> String {
    match name.contains('.') {
        true => text(name),
        false => name.to_owned(),
    }
}

/// Grants as comments: what a backend learns is for a person to decide.
fn granted(plan: &Plan) -> String {
    let mut toml = String::from(
        "# What these backends were sent, as grants. Each hands the value itself to its backend:\n\
         # read it, write the methods and paths that need it, and take the marks away.\n",
    );
    for (index, grant) in plan.grants.iter().enumerate() {
        let number = index.saturating_add(1);
        let _ = write!(
            toml,
            "\n# [[grant]]\n# id = \"imported-{number}\"\n# policy = \"attach-api-key\"\n# secret = \"{}\"\n# use = \"attach\"\n# header = {}\n# template = {}\n# to = [{{ route = \"{}\", methods = [\"GET\"], paths = [\"/…\"] }}]\n",
            grant.secret,
            text(&grant.header),
            text(&grant.template),
            grant.route,
        );
    }
    toml
}

/// A text as the shell takes it for one word.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// The commands, in an order in which each finds what it names.
fn script(plan: &Plan, template: &Path) -> String {
    let mut shell = String::from(
        "#!/bin/sh\n# Sets secrets and named values. Values of secrets come from their source, or through\n# a pipe; none stands here.\nset -eu\n",
    );
    let azure = |secret: &SecretPlan| matches!(secret.value, SecretValue::InAzure { .. });
    if plan.secrets.iter().any(azure) {
        shell.push_str(
            ": \"${GROUP:?the resource group of the service}\" \"${SERVICE:?the name of the service}\"\n",
        );
    }
    for secret in &plan.secrets {
        let _ = write!(
            shell,
            "\n# {} because {}\n{}\n",
            secret.kind,
            secret.why,
            set(secret, template)
        );
    }
    if !plan.values.is_empty() {
        shell.push('\n');
    }
    for value in &plan.values {
        shell.push_str(&command(value));
        shell.push('\n');
    }
    shell
}

/// The command that sets a secret.
fn set(secret: &SecretPlan, template: &Path) -> String {
    let SecretPlan { name, kind, .. } = secret;
    let set = format!("keyward secret set {name} --kind {kind}");
    match &secret.value {
        SecretValue::From(reference) => format!("{set} --from {}", word(reference)),
        SecretValue::InTheFile { path, index } => {
            let at = index.map(|index| format!("[{index}]")).unwrap_or_default();
            let path = word(&format!("{path}{at}"));
            let file = template.display().to_string();
            let file = match file.starts_with('-') {
                true => format!("./{file}"),
                false => file,
            };
            format!("jq -j {path} {} | {set}", word(&file))
        }
        SecretValue::InAzure { named_value } => format!(
            "az apim nv show-secret --resource-group \"$GROUP\" --service-name \"$SERVICE\" \\\n  --named-value-id={} --query value --output tsv | {set}",
            word(named_value)
        ),
        SecretValue::ByHand => set,
    }
}

/// The command that sets a named value.
fn command(value: &ValuePlan) -> String {
    let ValuePlan {
        name,
        stands_for,
        tags,
    } = value;
    let stands_for = match stands_for {
        // With `=`: a text may begin with a dash.
        StandsFor::Plain(text) => format!("--plain={}", word(text)),
        StandsFor::Secret(secret) => format!("--secret {secret}"),
    };
    let tags: String = tags
        .iter()
        .map(|tag| format!(" --tag {}", word(tag)))
        .collect();
    let name = match name.as_str().starts_with('-') {
        true => format!("-- {name}"),
        false => name.to_string(),
    };
    match name.starts_with("-- ") {
        true => format!("keyward value set {stands_for}{tags} {name}"),
        false => format!("keyward value set {name} {stands_for}{tags}"),
    }
}

/// What needs a person.
fn report(plan: &Plan) -> String {
    let mut out = format!("{}.\n", summary(plan));
    for open in &plan.open {
        let _ = write!(out, "\n{}\n  {}\n  {}\n", open.at, open.what, open.help);
    }
    if !plan.not_imported.is_empty() {
        out.push_str("\nNot looked at:\n");
        for (kind, count) in &plan.not_imported {
            let kind = keyward_gateway::suggest::one_line(kind);
            let _ = writeln!(out, "  {count} {kind}");
        }
    }
    out
}

/// All of it on the terminal.
pub(super) fn shown(plan: &Plan, template: &Path) -> String {
    let mut out = String::new();
    for (name, text) in files(plan, template) {
        let _ = write!(out, "=== {name}\n{text}\n");
    }
    out
}

/// All of it for programs.
pub(super) fn json(plan: &Plan, template: &Path) -> Result<Value, Failure> {
    let mut json = serde_json::to_value(plan).map_err(Failure::new)?;
    if let Some(object) = json.as_object_mut() {
        object.insert("template".to_owned(), json!(template));
    }
    Ok(json)
}

/// A value that `--apply` leaves, and why.
pub(super) fn left(name: &ValueName, secret: &SecretName) -> String {
    format!("{name}: its secret {secret} has no value yet")
}
