//! `keyward audit verify`

use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::verify_trail;
use keyward_gateway::control::Request;
use serde_json::{Value, json};

use super::source::{gateway_if_unreadable, saved_key, verifier_key, verify_failure};
use crate::Common;
use crate::exit::{Exit, Outcome};
use crate::place;

const VERIFY: &str = "\
Checks every record, hash and signature of the trail and names what is not in order:
file, entry, byte. It needs the trail and its key, and neither vault nor gateway:
copy the trail elsewhere and check it there.

Without --key the key comes from audit.vkey beside the configuration, which `keyward
init` made, or from the vault. Whoever has the vault's key file could have written a
trail of their own, and a key to go with it; the key that `keyward init` printed,
kept elsewhere, tells.

Who can't read the trail's folder has the running gateway check it, which takes the
role auditor; a check of the files themselves needs nobody's word.

Ends with 4 if the trail is not in order.

Examples:
  keyward audit verify
  keyward audit verify --key \"keyward/fdf689d7-…+5d229731+ARyH…\"
  keyward audit verify --directory copy/audit --key \"$(cat audit.vkey)\"";

/// Check that nobody has changed the audit trail.
#[derive(Args)]
#[command(after_help = VERIFY)]
pub(crate) struct Verify {
    /// The trail's verifier key, as `keyward init` printed it.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,

    /// The trail's folder; otherwise the one in the configuration.
    #[arg(long, value_name = "DIR", requires = "key")]
    directory: Option<PathBuf>,
}

impl Verify {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let (directory, report) = match self {
            Self {
                key: Some(key),
                directory: Some(directory),
            } => {
                let report = verify_trail(&directory, &key).map_err(verify_failure)?;
                (directory, report.to_json())
            }
            Self { key, .. } => {
                let config = place::load(common.config())?;
                let report = match gateway_if_unreadable(&config)? {
                    Some(gateway) => {
                        let key = match key {
                            Some(key) => Some(key),
                            None => saved_key(&config.file)?,
                        };
                        gateway.ask(Request::AuditVerify { key }, None)?
                    }
                    None => {
                        let key = verifier_key(common, &config, key)?;
                        let report = verify_trail(&config.audit.directory, &key);
                        report.map_err(verify_failure)?.to_json()
                    }
                };
                (config.audit.directory, report)
            }
        };
        common.output().data(
            || text(&directory, &report),
            || {
                let mut report = report.clone();
                report["directory"] = json!(directory);
                report
            },
        );
        Ok(Exit::Success)
    }
}

fn text(directory: &Path, report: &Value) -> String {
    let word = |field: &str| report[field].as_str().unwrap_or_default();
    let number = |field: &str| report[field].as_u64().unwrap_or_default();
    let mut lines = vec![
        format!("The audit trail in {} is in order.", directory.display()),
        format!("entries  {}", number("entries")),
        format!("root     {}", word("root")),
        format!("origin   {}", word("origin")),
    ];
    if !word("first-time").is_empty() {
        lines.push(format!("from     {}", word("first-time")));
        lines.push(format!("until    {}", word("covered-until")));
    }
    if let Some(pruned) = report["pruned"]["entries"].as_u64() {
        let act = report["pruned"]["act"].as_u64().unwrap_or_default();
        lines.push(format!(
            "the first {pruned} entries were removed on purpose; entry {act} says so"
        ));
    }
    match number("uncovered") {
        0 => {}
        uncovered => lines.push(format!(
            "{uncovered} entries after these are not signed yet"
        )),
    }
    if report["being-written"].as_bool().unwrap_or_default() {
        lines.push("a process has the trail open for writing".to_owned());
    } else if number("incomplete-bytes") > 0 {
        lines.push(format!(
            "{} bytes at its end were torn by a crash",
            number("incomplete-bytes")
        ));
    }
    lines.join("\n")
}
