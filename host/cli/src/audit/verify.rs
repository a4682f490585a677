//! `keyward audit verify`

use std::path::{Path, PathBuf};

use clap::Args;
use keyward::vault::{TrailReport, verify_trail};
use serde_json::{Value, json};

use super::source::{verifier_key, verify_failure};
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
        let (key, directory) = match self {
            Self {
                key: Some(key),
                directory: Some(directory),
            } => (key, directory),
            Self { key, .. } => {
                let config = place::load(common.config())?;
                (verifier_key(common, &config, key)?, config.audit.directory)
            }
        };
        let report = verify_trail(&directory, &key).map_err(verify_failure)?;
        common.output().data(
            || text(&directory, &report),
            || to_json(&directory, &report),
        );
        Ok(Exit::Success)
    }
}

fn text(directory: &Path, report: &TrailReport) -> String {
    let mut lines = vec![
        format!("The audit trail in {} is in order.", directory.display()),
        format!("entries  {}", report.size),
        format!("root     {}", hexadecimal(&report.root)),
        format!("origin   {}", report.origin),
    ];
    if let (Some(first), Some(last)) = (report.first_time, report.covered_until) {
        lines.push(format!("from     {first}"));
        lines.push(format!("until    {last}"));
    }
    if report.uncovered > 0 {
        lines.push(format!(
            "{} entries after these are not signed yet",
            report.uncovered
        ));
    }
    if report.being_written {
        lines.push("a process has the trail open for writing".to_owned());
    } else if report.incomplete_bytes > 0 {
        lines.push(format!(
            "{} bytes at its end were torn by a crash",
            report.incomplete_bytes
        ));
    }
    lines.join("\n")
}

fn to_json(directory: &Path, report: &TrailReport) -> Value {
    json!({
        "directory": directory,
        "in-order": true,
        "entries": report.size,
        "root": hexadecimal(&report.root),
        "origin": report.origin,
        "first-time": report.first_time.map(|time| time.to_string()),
        "covered-until": report.covered_until.map(|time| time.to_string()),
        "uncovered": report.uncovered,
        "incomplete-bytes": report.incomplete_bytes,
        "being-written": report.being_written,
        "vault-epoch": report.vault_epoch,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
