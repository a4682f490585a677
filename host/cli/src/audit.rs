//! `keyward audit`: the trail of every use.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use keyward::vault::{TrailReport, VerifyError, verify_trail};
use serde_json::{Value, json};

use crate::Common;
use crate::access::Access;
use crate::exit::{Exit, Failure, Outcome};
use crate::place;

const VERIFY: &str = "\
Checks every record, hash and signature of the trail and names what is not in order:
file, entry, byte. It needs the trail and its key, and neither vault nor gateway:
copy the trail elsewhere and check it there.

Without --key the key comes from the vault. Whoever has the vault's key file could
have written a trail of their own; the key that `keyward init` printed, kept
elsewhere, tells.

Ends with 4 if the trail is not in order.

Examples:
  keyward audit verify
  keyward audit verify --key \"keyward/fdf689d7-…+5d229731+ARyH…\"
  keyward audit verify --directory copy/audit --key \"$(cat audit.vkey)\"";

/// Check the trail of every use.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Check that nobody has changed the audit trail.
    #[command(after_help = VERIFY)]
    Verify {
        /// The trail's verifier key, as `keyward init` printed it.
        #[arg(long, value_name = "VKEY")]
        key: Option<String>,

        /// The trail's folder; otherwise the one in the configuration.
        #[arg(long, value_name = "DIR", requires = "key")]
        directory: Option<PathBuf>,
    },
}

impl Audit {
    pub(crate) fn run(self, common: &Common) -> Outcome {
        let Self::Verify { key, directory } = self;
        let output = common.output();
        let (key, directory) = match (key, directory) {
            (Some(key), Some(directory)) => (key, directory),
            (Some(key), None) => (key, place::load(common.config())?.audit.directory),
            (None, _) => {
                let config = place::load(common.config())?;
                (
                    Access::open(&config)?.verifier_key()?,
                    config.audit.directory,
                )
            }
        };
        match verify_trail(&directory, &key) {
            Ok(report) => {
                output.data(
                    || text(&directory, &report),
                    || to_json(&directory, &report),
                );
                Ok(Exit::Success)
            }
            Err(error) => Err(failure(error)),
        }
    }
}

fn failure(error: VerifyError) -> Failure {
    let (exit, help) = match &error {
        VerifyError::Findings { .. } => (
            Exit::Findings,
            "someone changed the trail, or the key is another trail's; a copy from elsewhere tells",
        ),
        VerifyError::Key(_) => (
            Exit::Usage,
            "`keyward init` printed the key; without --key it comes from the vault",
        ),
        VerifyError::File { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            (
                Exit::Denied,
                "run this as the user who owns the trail, or on a copy of it",
            )
        }
        _ => (
            Exit::Failed,
            "[audit] in the configuration, or --directory, says where the trail is",
        ),
    };
    Failure {
        exit,
        error: error.into(),
        help: Some(help.to_owned()),
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
