//! `keyward audit who`

use clap::Args;
use jiff::Timestamp;
use keyward::names::SecretName;
use serde_json::Value;

use super::source::Place;
use crate::Common;
use crate::exit::{Exit, Outcome};
use crate::output::table;
use crate::when;

const WHO: &str = "\
Which policies used a secret, under which grants, towards which routes, how often and
when; and which tried and were refused. Uses of its earlier names count too. Through
a running gateway this takes the role auditor.

What a policy asked for and the host then wrote towards a route is one use here, and two
entries of the trail. Without a route are uses that send nothing, and what was asked for
and never left. Of queries, USE says also the statement, by its name in the grant.

Examples:
  keyward audit who billing-key
  keyward audit who billing-key --since 7d
  keyward audit who billing-key --since 2026-11-01 -o json";

/// Say who used a secret, for what, how often.
#[derive(Args)]
#[command(after_help = WHO)]
pub(crate) struct Who {
    /// Which secret.
    name: SecretName,
    /// From when on: a time, a date, or how long ago (7d, 12h, 30m).
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    since: Option<Timestamp>,
    #[command(flatten)]
    place: Place,
}

impl Who {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let output = common.output();
        let uses = self
            .place
            .open(common)?
            .who(self.name.clone(), self.since)?;
        output.entries(&uses, |uses| {
            if uses.is_empty() {
                return format!("No use of {} is on record.", self.name);
            }
            let rows: Vec<_> = uses.iter().map(row).collect();
            table(
                [
                    "POLICY", "USE", "OUTCOME", "GRANT", "ROUTE", "TIMES", "FIRST", "LAST",
                ],
                &rows,
            )
        })?;
        Ok(Exit::Success)
    }
}

fn row(used: &Value) -> [String; 8] {
    let text = |key: &str| used[key].as_str().unwrap_or_default().to_owned();
    // Only queries have a statement.
    let used_as = match used["statement"].as_str() {
        Some(statement) => format!("query {statement}"),
        None => text("use"),
    };
    [
        text("policy"),
        used_as,
        text("outcome"),
        text("grant"),
        text("route"),
        used["count"].to_string(),
        when::short(&text("first")),
        when::short(&text("last")),
    ]
}
