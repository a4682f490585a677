//! `keyward audit query`

use clap::Args;
use jiff::Timestamp;
use keyward::names::{GrantId, PolicyName, RouteName, SecretName, Subject, ValueName};
use keyward_gateway::control::FilterText;
use serde_json::json;

use super::source::Place;
use crate::Common;
use crate::exit::{Exit, Outcome};
use crate::when;

const QUERY: &str = "\
Records that fit all that is asked for, oldest first. A record of an exchange fits if
one of its uses does. Through a running gateway this takes the role auditor.

Examples:
  keyward audit query --secret billing-key --since 7d
  keyward audit query --refused --since 2026-11-01
  keyward audit query --act secret-rotated --actor \"uid 1000 (alice)\"
  keyward audit query --policy attach-api-key --outcome allowed -o json
  keyward audit query --from 5000 --limit 500";

/// How many records are fetched at one time.
const PAGE: u32 = 1000;

/// Find records of the audit trail.
#[derive(Args)]
#[command(after_help = QUERY)]
pub(crate) struct Query {
    /// From when on: a time, a date, or how long ago (7d, 12h, 30m).
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    since: Option<Timestamp>,
    /// Before when.
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    until: Option<Timestamp>,
    /// Uses by this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// Under this grant, or about it.
    #[arg(long, value_name = "ID")]
    grant: Option<GrantId>,
    /// Of this secret.
    #[arg(id = "of-secret", long = "secret", value_name = "NAME")]
    of_secret: Option<SecretName>,
    /// Of the secret with this id, which it keeps when its name is given to another.
    #[arg(id = "of-secret-id", long = "secret-id", value_name = "UUID")]
    of_secret_id: Option<String>,
    /// A use, as grants spell it: attach, mac-sign, …
    #[arg(long = "use", value_name = "USE")]
    use_: Option<String>,
    /// Towards this route.
    #[arg(long, value_name = "NAME")]
    route: Option<RouteName>,
    /// An outcome: allowed, not-granted, expired, …
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// An act: secret-rotated, grants-loaded, access-denied, …
    #[arg(long, value_name = "ACT")]
    act: Option<String>,
    /// By this actor, as the trail names it.
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// About this client.
    #[arg(long, value_name = "SUBJECT")]
    client: Option<Subject>,
    /// About this named value.
    #[arg(id = "named", long = "value", value_name = "NAME")]
    named: Option<ValueName>,
    /// Of this exchange.
    #[arg(long, value_name = "ID")]
    exchange: Option<String>,
    /// Only what was refused.
    #[arg(long)]
    refused: bool,
    /// From this entry on.
    #[arg(long, value_name = "ENTRY", default_value_t = 0)]
    from: u64,
    /// At most so many records.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

impl Query {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let filter = FilterText {
            since: self.since.map(|time| time.to_string()),
            until: self.until.map(|time| time.to_string()),
            policy: self.policy,
            grant: self.grant,
            secret: self.of_secret,
            secret_id: self.of_secret_id,
            use_: self.use_,
            route: self.route,
            outcome: self.outcome,
            act: self.act,
            actor: self.actor,
            client: self.client,
            value: self.named,
            exchange: self.exchange,
            refused_only: self.refused,
        };
        let trail = self.place.open(common)?;
        let mut records = Vec::new();
        let mut next = Some(self.from);
        let mut left = self.limit;
        while let Some(from) = next.filter(|_| left > 0) {
            let page = trail.query(&filter, from, left.min(PAGE))?;
            left = left.saturating_sub(u32::try_from(page.records.len()).unwrap_or(u32::MAX));
            next = page.next;
            records.extend(page.records);
        }
        output.data(
            || {
                let lines: Vec<&str> = records.iter().map(|record| &*record.words).collect();
                lines.join("\n")
            },
            || {
                let records: Vec<_> = records.iter().map(|record| &record.record).collect();
                json!({ "records": records, "next": next })
            },
        );
        if records.is_empty() {
            output.say("no record fits");
        }
        if let Some(next) = next {
            output.say(format!("there are more: --from {next}"));
        }
        Ok(Exit::Success)
    }
}
