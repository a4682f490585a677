//! `keyward doctor`: is everything in order, and if not, what mends it.

mod databases;
mod keeping;
mod pipelines;
mod sources;
mod values;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use clap::Args;
use keyward::vault::SecretInfo;
use keyward_gateway::config::{Config, Values, VaultKey};
use keyward_gateway::harden::Protection;
use serde_json::{Value, json};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Outcome};
use crate::output::{CYAN, Output, RED, YELLOW, counted};
use crate::{grants, place};

const EXAMPLES: &str = "\
Checks the configuration, who can read and write the vault, its key and the audit
trail, that the vault opens, that the trail is in order, the grants, the policies,
the documents, how values are kept in memory, the vault's slots, secrets that are
disabled or about to expire, that databases take their logins and know the statements
of grants (none is run; each login that is tried is on record), and that no memory is written to disk after a crash.
Says for each thing that is not in order what mends it.

Ends with 4 if something fails. Warnings alone end with 0.

Examples:
  keyward doctor
  keyward doctor -o json";

/// Check that everything is in order, and say what mends what is not.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {}

/// How one check came out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Good,
    Warning,
    Bad,
    /// Not made, because one before it failed.
    Skipped,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "failed",
            Self::Skipped => "skipped",
        }
    }
}

struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    fix: Option<String>,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn good(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Status::Good, detail, None);
    }

    fn warning(&mut self, name: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(name, Status::Warning, detail, Some(fix.into()));
    }

    /// Good, unless there is something to be advised.
    fn advised(&mut self, name: &'static str, detail: String, advice: Option<&str>) {
        match advice {
            None => self.good(name, detail),
            Some(advice) => self.warning(name, detail, advice),
        }
    }

    fn bad(&mut self, name: &'static str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(name, Status::Bad, detail, Some(fix.into()));
    }

    fn add(
        &mut self,
        name: &'static str,
        status: Status,
        detail: impl Into<String>,
        fix: Option<String>,
    ) {
        self.0.push(Check {
            name,
            status,
            detail: detail.into(),
            fix,
        });
    }
}

impl Doctor {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let mut checks = Checks::default();
        match place::load(common.config()) {
            Ok(config) => {
                checks.good("configuration", config.file.display().to_string());
                permissions(&mut checks, &config);
                vault_and_trail(&mut checks, &config, common);
                if config.policies.is_empty() {
                    checks.good("policies", "none in the configuration");
                } else {
                    pipelines::policies(&mut checks, &config);
                }
                pipelines::documents(&mut checks, &config);
            }
            Err(failure) => {
                let fix = failure
                    .help
                    .unwrap_or_else(|| "correct the file".to_owned());
                checks.bad("configuration", failure.error.to_string(), fix);
                checks.add(
                    "the rest",
                    Status::Skipped,
                    "without a configuration there is nothing to check",
                    None,
                );
            }
        }
        machine(&mut checks);
        let output = common.output();
        output.data(|| text(output, &checks), || to_json(&checks));
        let failed = checks.0.iter().any(|check| check.status == Status::Bad);
        Ok(if failed {
            Exit::Findings
        } else {
            Exit::Success
        })
    }
}

fn permissions(checks: &mut Checks, config: &Config) {
    match &config.vault.key {
        VaultKey::File(file) => private(checks, "vault key", file, 0o077, "600"),
        VaultKey::Credential(file) => private(checks, "vault key", file, 0o077, "400"),
        VaultKey::Passphrase => checks.good("vault key", "a passphrase"),
        VaultKey::Source(key) => checks.good("vault key", format!("unwrapped by {key}")),
    }
    private(checks, "vault file", &config.vault.file, 0o077, "600");
    private(
        checks,
        "audit folder",
        &config.audit.directory,
        0o022,
        "750",
    );
    if let Some(grants) = &config.grants {
        private(checks, "grants file", grants, 0o022, "644");
    }
    private(checks, "configuration file", &config.file, 0o022, "644");
    let folder = config
        .control
        .socket
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    private(
        checks,
        "folder of the control socket",
        folder.unwrap_or(Path::new(".")),
        0o022,
        "755",
    );
}

/// Whether a file is there, is ours or root's, and gives others none of the
/// rights in `denied`.
fn private(checks: &mut Checks, name: &'static str, path: &Path, denied: u32, mode: &str) {
    let shown = path.display();
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            let fix = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "make a gateway with `keyward init`, or correct the path in the configuration"
                }
                _ => "run as the user that owns the gateway's files",
            };
            checks.bad(name, format!("{shown}: {error}"), fix);
            return;
        }
    };
    let rights = metadata.permissions().mode() & 0o777;
    let us = rustix::process::geteuid().as_raw();
    if rights & denied != 0 {
        let who = if denied & 0o055 != 0 {
            "read or change"
        } else {
            "change"
        };
        checks.bad(
            name,
            format!("others can {who} {shown} (mode {rights:03o})"),
            format!("chmod {mode} {shown}"),
        );
    } else if metadata.uid() != us && metadata.uid() != 0 {
        checks.warning(
            name,
            format!("{shown} belongs to uid {}", metadata.uid()),
            format!("chown {us} {shown}"),
        );
    } else {
        checks.good(name, format!("{shown}, mode {rights:03o}"));
    }
}

fn vault_and_trail(checks: &mut Checks, config: &Config, common: &Common) {
    let access = match Access::open(config, common) {
        Ok(access) => access,
        Err(failure) => {
            let fix = match failure.help {
                Some(help) if !help.contains("keyward doctor") => help,
                _ => "mend what failed before this; then run `keyward doctor` again".to_owned(),
            };
            checks.bad("vault opens", format!("{:#}", failure.error), fix);
            checks.add(
                "audit trail",
                Status::Skipped,
                "its key is in the vault; `keyward audit verify --key` takes the one that `keyward init` printed",
                None,
            );
            grants_in_order(checks, config, None, None);
            return;
        }
    };
    let secrets = match access.list() {
        Ok(secrets) => {
            let how = if access.is_gateway() {
                "through the running gateway"
            } else {
                "no gateway is running"
            };
            checks.good(
                "vault opens",
                format!("{}; {how}", counted(secrets.len(), "secret")),
            );
            Some(secrets)
        }
        Err(failure) => {
            checks.bad(
                "vault opens",
                format!("{:#}", failure.error),
                "see `keyward secret list`",
            );
            None
        }
    };
    match access.verifier_key() {
        Ok(key) => match keyward::vault::verify_trail(&config.audit.directory, &key) {
            Ok(report) => checks.good("audit trail", format!("{} entries in order", report.size)),
            Err(error) => checks.bad(
                "audit trail",
                error.to_string(),
                "find out who changed it; a copy from elsewhere can be checked with `keyward audit verify --directory`",
            ),
        },
        Err(failure) => checks.add("audit trail", Status::Skipped, failure.error.to_string(), failure.help),
    }
    let resolved = values::check(checks, config, &access);
    let config = resolved.as_ref().unwrap_or(config);
    let values = access.values().ok();
    grants_in_order(checks, config, secrets.as_deref(), values.as_ref());
    keeping::check(checks, config, &access, secrets.as_deref());
    sources::check(checks, config, &access);
    let vault = databases::check(checks, config, access);
    if let (Some(vault), Some(values)) = (vault, &values)
        && !config.policies.is_empty()
    {
        pipelines::loading(checks, config, values, vault);
    }
}

fn grants_in_order(
    checks: &mut Checks,
    config: &Config,
    secrets: Option<&[SecretInfo]>,
    values: Option<&Values>,
) {
    match grants::read(config) {
        Ok(read) => {
            // What is revoked has a check of its own, too.
            let mut remarks = grants::remarks(config, &read, secrets, values, &[]);
            remarks.retain(|remark| !remark.elsewhere);
            let pinned = match grants::is_pinned(config) {
                true => "pinned",
                false => "not pinned, see `keyward grants pin --help`",
            };
            match remarks.first() {
                None if read.is_empty() => checks.good("grants", "none"),
                None => checks.good(
                    "grants",
                    format!("{}, {pinned}", counted(read.len(), "grant")),
                ),
                Some(first) => checks.bad(
                    "grants",
                    format!(
                        "{}; the first: {}",
                        counted(remarks.len(), "finding"),
                        first.text
                    ),
                    "see `keyward grants check`",
                ),
            }
        }
        Err(failure) => {
            let fix = failure
                .help
                .unwrap_or_else(|| "correct the file".to_owned());
            checks.bad("grants", format!("{:#}", failure.error), fix);
        }
    }
}

/// What the machine would do with our memory.
fn machine(checks: &mut Checks) {
    let protection = Protection::now();
    let memory = format!("keys, and values in use: {}", protection.memory);
    checks.advised("memory", memory, protection.advice());
    // A file of the kernel's: a line of headings, then one for each area.
    let swap = std::fs::read_to_string("/proc/swaps")
        .unwrap_or_default()
        .lines()
        .skip(1)
        .count();
    if swap > 0 {
        checks.warning(
            "swap",
            format!(
                "{}: memory with secrets in it may be written there",
                counted(swap, "swap area")
            ),
            "encrypt swap, or turn it off: swapoff --all",
        );
    }
    match protection.dumpable {
        false => checks.good("core dumps", "off, as each keyward command turns them off"),
        true => checks.warning(
            "core dumps",
            "they can't be turned off here",
            "run keyward where it may set its own limits (RLIMIT_CORE, prctl)",
        ),
    }
}

fn text(output: Output, checks: &Checks) -> String {
    let mut lines = Vec::new();
    for Check {
        name,
        status,
        detail,
        fix,
    } in &checks.0
    {
        lines.push(format!("{:<8} {name}: {detail}", status.as_str()));
        if let Some(fix) = fix {
            lines.push(format!("         fix: {fix}"));
        }
    }
    let count = |status: Status| {
        checks
            .0
            .iter()
            .filter(|check| check.status == status)
            .count()
    };
    let (bad, warnings) = (count(Status::Bad), count(Status::Warning));
    let colour = match (bad, warnings) {
        (1.., _) => RED,
        (0, 1..) => YELLOW,
        (0, 0) => CYAN,
    };
    output.say(output.paint(
        colour,
        &format!("{bad} failed, {}", counted(warnings, "warning")),
    ));
    lines.join("\n")
}

fn to_json(checks: &Checks) -> Value {
    checks
        .0
        .iter()
        .map(|check| {
            json!({
                "check": check.name,
                "status": check.status.as_str(),
                "detail": check.detail,
                "fix": check.fix,
            })
        })
        .collect()
}
