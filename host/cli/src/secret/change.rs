//! `keyward secret roll-back|disable|enable|retire|remove|validity`

use clap::Args;
use jiff::Timestamp;
use keyward::names::SecretName;
use keyward_gateway::control::{Removed, Request, ValidityText};

use crate::Common;
use crate::access::Access;
use crate::confirm::Confirm;
use crate::exit::{Exit, Failure, Outcome};
use crate::place;
use crate::reason::Reason;
use crate::when;

const ROLL_BACK: &str = "\
Puts an earlier version in use again. The one that was in use is kept. Versions keep
their numbers, so a rotation after it goes on counting.

Examples:
  keyward secret roll-back billing-key             the version before
  keyward secret roll-back billing-key --to 3
  keyward secret roll-back billing-key --reason \"the backend does not know the new key yet\"";

const DISABLE: &str = "\
Nobody can use the secret from now on, whatever the grants say, until it is enabled
again. Uses under way end.

Examples:
  keyward secret disable billing-key --reason \"seen in a log of the backend's\"";

const ENABLE: &str = "\
Examples:
  keyward secret enable billing-key";

const RETIRE: &str = "\
Destroys a version that is not in use: it can't be rolled back to, and is no longer
accepted where codes are verified.

Examples:
  keyward secret retire webhook 1";

const REMOVE: &str = "\
Destroys a disabled secret with all its versions. Grants that name it have no effect
from then on. Asks first; where there is no terminal, --yes is needed.

Examples:
  keyward secret disable billing-key
  keyward secret remove billing-key --yes --reason \"contract ended\"";

const VALIDITY: &str = "\
Outside of these times the version can't be used. What is not given is open:
`--always` opens both ends.

Examples:
  keyward secret validity billing-key --not-after 2027-06-30
  keyward secret validity billing-key --version 2 --not-before 2026-12-01T08:00:00Z
  keyward secret validity billing-key --always";

/// Put an earlier version of a secret in use again.
#[derive(Args)]
#[command(after_help = ROLL_BACK)]
pub(crate) struct RollBack {
    /// Which secret.
    name: SecretName,
    /// The version to go back to; otherwise the one before.
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    #[command(flatten)]
    reason: Reason,
}

/// Let nobody use a secret for now.
#[derive(Args)]
#[command(after_help = DISABLE)]
pub(crate) struct Disable {
    /// Which secret.
    name: SecretName,
    #[command(flatten)]
    reason: Reason,
}

/// Let a disabled secret be used again.
#[derive(Args)]
#[command(after_help = ENABLE)]
pub(crate) struct Enable {
    /// Which secret.
    name: SecretName,
    #[command(flatten)]
    reason: Reason,
}

/// Destroy a version that is not in use.
#[derive(Args)]
#[command(after_help = RETIRE)]
pub(crate) struct Retire {
    /// Which secret.
    name: SecretName,
    /// Which version.
    version: u64,
    #[command(flatten)]
    reason: Reason,
}

/// Destroy a disabled secret.
#[derive(Args)]
#[command(after_help = REMOVE)]
pub(crate) struct Remove {
    /// Which secret.
    name: SecretName,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    reason: Reason,
}

/// Say when a version may be used.
#[derive(Args)]
#[command(after_help = VALIDITY)]
#[command(group = clap::ArgGroup::new("when").required(true).multiple(true))]
pub(crate) struct Validity {
    /// Which secret.
    name: SecretName,
    /// Which version; otherwise the one in use.
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
    /// From when on: a date or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = when::moment, group = "when")]
    not_before: Option<Timestamp>,
    /// Until when: a date or RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = when::moment, group = "when")]
    not_after: Option<Timestamp>,
    /// At any time.
    #[arg(long, group = "when", conflicts_with_all = ["not_before", "not_after"])]
    always: bool,
    #[command(flatten)]
    reason: Reason,
}

impl RollBack {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let Self { name, to, reason } = self;
        let request = Request::SecretRollBack { name, to };
        super::change(common, request, reason.get(), |entry| {
            format!("{} version {} is in use again", entry.name, entry.version)
        })
    }
}

impl Disable {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let Self { name, reason } = self;
        let request = Request::SecretDisable { name };
        super::change(common, request, reason.get(), |entry| {
            format!("{} is disabled: nobody can use it", entry.name)
        })
    }
}

impl Enable {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let Self { name, reason } = self;
        let request = Request::SecretEnable { name };
        super::change(common, request, reason.get(), |entry| {
            format!("{} is enabled: grants decide again", entry.name)
        })
    }
}

impl Retire {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let Self {
            name,
            version,
            reason,
        } = self;
        let request = Request::SecretRetire { name, version };
        super::change(common, request, reason.get(), |entry| {
            format!("{} version {version} is destroyed", entry.name)
        })
    }
}

impl Remove {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let access = Access::open(&config, common)?;
        let entry = super::find(&access, &self.name)?;
        if entry.state != "disabled" {
            return Err(
                Failure::new(format!("{} is enabled", self.name)).help(format!(
                    "see first that nothing misses it: keyward secret disable {}",
                    self.name
                )),
            );
        }
        let what = format!(
            "{} is destroyed, with all its versions ({}).",
            entry.name,
            entry.versions.len()
        );
        self.confirm.ask(common, &what)?;
        let request = Request::SecretRemove { name: self.name };
        let removed: Removed = access.ask(request, self.reason.get())?;
        common.output().entry(&removed, |removed| {
            format!("{} is destroyed", removed.removed)
        })?;
        Ok(Exit::Success)
    }
}

impl Validity {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::SecretValidity {
            name: self.name,
            version: self.version,
            validity: ValidityText {
                not_before: self.not_before.map(|time| time.to_string()),
                not_after: self.not_after.map(|time| time.to_string()),
            },
        };
        super::change(common, request, self.reason.get(), |entry| {
            format!(
                "the validity of {} is set: keyward secret show {}",
                entry.name, entry.name
            )
        })
    }
}
