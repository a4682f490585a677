//! `keyward secret rotation`

use clap::Args;
use keyward::names::SecretName;
use keyward_gateway::control::{Request, SecretEntry};

use crate::Common;
use crate::exit::Outcome;
use crate::reason::Reason;
use crate::when;

const ROTATION: &str = "\
Two things belong to a secret and can be changed at any time. Both stay as they are
through rotations and restarts; `keyward secret show` shows them.

How long the version before is accepted: where codes are verified, the one before the
current version counts, too, so that whoever signs has time to change. Without a time
it does until the next rotation. A new time is counted from now. To end it at once:
`keyward secret retire`.

How often a new value is made: by the running gateway, out of random bytes that nobody
ever sees; in the audit trail it is the actor \"schedule\". For hmac-key only. What was
missed while no gateway ran is made up for once when one starts.

Examples:
  keyward secret rotation webhook --retire-previous-after 24h
  keyward secret rotation signing --every 30d --retire-previous-after 1h
  keyward secret rotation signing --every never";

/// Say how one version of a secret follows another.
#[derive(Args)]
#[command(after_help = ROTATION)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Rotation {
    /// Which secret.
    name: SecretName,

    /// How long the version before is accepted where codes are verified: `1h`, `7d`;
    /// `never` for until the next rotation.
    #[arg(long, value_name = "TIME", value_parser = when::length_or_never, group = "what")]
    retire_previous_after: Option<u64>,

    /// How often a new value is made: `30d`, from 1m on; `never` for no more.
    #[arg(long, value_name = "TIME", value_parser = when::length_or_never, group = "what")]
    every: Option<u64>,

    #[command(flatten)]
    reason: Reason,
}

impl Rotation {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let request = Request::SecretRotation {
            name: self.name,
            retire_previous_after: self.retire_previous_after,
            every: self.every,
        };
        super::change(common, request, self.reason.get(), |entry| {
            format!("{}: {}", entry.name, words(entry))
        })
    }
}

/// How versions follow each other, in words.
pub(super) fn words(entry: &SecretEntry) -> String {
    let rotation = &entry.rotation;
    let accepted = match rotation.retire_previous_after {
        None => "until the next rotation".to_owned(),
        Some(seconds) => format!("for {}", when::in_words(seconds)),
    };
    let made = match (rotation.every, &rotation.next) {
        (Some(every), Some(next)) => format!(
            "; a new value each {}, next {}",
            when::in_words(every),
            when::short(next)
        ),
        _ => String::new(),
    };
    format!("the version before is accepted {accepted}{made}")
}
