//! `keyward audit prune`

use clap::Args;
use jiff::Timestamp;
use keyward_gateway::control::{PrunedEntry, Request};

use crate::Common;
use crate::access::Access;
use crate::confirm::Confirm;
use crate::exit::{Exit, Outcome};
use crate::place;
use crate::reason::Reason;
use crate::when;

const PRUNE: &str = "\
Removes the records before a time, in whole files of 256; what is left still
verifies, and the trail says what was removed and by whom. `retention = \"400d\"` in
[audit] has a running gateway do this once a day. Through a running gateway this
takes root or the user who runs the gateway.

Asks first; where there is no terminal, --yes is needed.

Examples:
  keyward audit prune --before 2025-01-01 --reason \"retention: one year\"
  keyward audit prune --before 400d --yes";

/// Remove old records from the audit trail.
#[derive(Args)]
#[command(after_help = PRUNE)]
pub(crate) struct Prune {
    /// Records before this go: a time, a date, or how long ago (400d).
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    before: Timestamp,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

impl Prune {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        self.confirm.ask(
            common,
            &format!(
                "Records before {} are removed from the audit trail.",
                self.before
            ),
        )?;
        let request = Request::AuditPrune {
            before: self.before.to_string(),
        };
        let pruned: PrunedEntry = access.ask(request, self.reason.get())?;
        common
            .output()
            .entry(&pruned, |pruned| match pruned.entries {
                0 => "nothing is old enough to be removed".to_owned(),
                entries => format!("entries below {entries} are removed"),
            })?;
        Ok(Exit::Success)
    }
}
