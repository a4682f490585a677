//! `keyward grants denied`: what policies were denied, and what would allow it.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use keyward::names::{Alias, ComponentDigest, GrantId, PolicyName, RouteName};
use keyward::vault::Outcome as UseOutcome;
use keyward_gateway::control::FilterText;
use keyward_gateway::denials::{Denial, Remedy};
use serde_json::{Value, json};

use super::read;
use crate::audit::source::Place;
use crate::exit::{Exit, Outcome};
use crate::output::counted;
use crate::{Common, place, when};

const DENIED: &str = "\
Reads the audit trail. For each kind of denied use it says how often it happened and
why, and prints the grant that would allow it, or what else would. Nothing is changed:
decide, and paste what you want into the grants file. Through a running gateway this
takes the role auditor.

Examples:
  keyward grants denied
  keyward grants denied --since 1h
  keyward grants denied --policy attach-api-key -o json";

/// How many records are fetched at one time.
const PAGE: u32 = 1000;
/// How long ago a denial still matters, unless something else is asked for.
const PAST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Show denied uses of late, and the grants that would allow them.
#[derive(Args)]
#[command(after_help = DENIED)]
pub(crate) struct Denied {
    /// From when on: a time, a date, or how long ago (7d, 12h, 30m); 7d unless set.
    #[arg(long, value_name = "TIME", value_parser = when::past)]
    since: Option<Timestamp>,
    /// Only of this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    #[command(flatten)]
    place: Place,
}

/// One kind of denial, and how often it happened.
struct Counted {
    denial: Denial,
    count: u64,
    first: String,
    last: String,
}

impl Denied {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let config = place::load(common.config())?;
        let grants = read(&config)?;
        let past = || Timestamp::now().checked_sub(PAST).ok();
        let filter = FilterText {
            since: self.since.or_else(past).map(|since| since.to_string()),
            policy: self.policy.clone(),
            refused_only: true,
            ..FilterText::default()
        };
        let trail = self.place.open(common)?;
        let mut found: Vec<Counted> = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            let page = trail.query(&filter, from, PAGE)?;
            next = page.next;
            for entry in &page.records {
                add(&mut found, &entry.record, self.policy.as_ref());
            }
        }
        let route = config.route_names.first();
        let found: Vec<(Counted, Remedy)> = found
            .into_iter()
            .map(|counted| {
                let remedy = counted.denial.remedy(&grants, route);
                (counted, remedy)
            })
            .collect();
        common.output().data(|| text(&found), || to_json(&found));
        Ok(Exit::Success)
    }
}

/// Adds the denied uses of a record.
fn add(found: &mut Vec<Counted>, record: &Value, policy: Option<&PolicyName>) {
    let time = record
        .get("time")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let at = |key: &str| {
        let text = record.get(key).and_then(Value::as_str);
        text.unwrap_or(time).to_owned()
    };
    let uses = record.get("uses").and_then(Value::as_array);
    for used in uses.into_iter().flatten() {
        let Some(denial) = denial(used) else {
            continue;
        };
        if policy.is_some_and(|policy| *policy != denial.policy) {
            continue;
        }
        let count = used.get("count").and_then(Value::as_u64).unwrap_or(1);
        match found.iter_mut().find(|known| known.denial == denial) {
            Some(known) => {
                known.count = known.count.saturating_add(count);
                known.last = at("last");
            }
            None => found.push(Counted {
                denial,
                count,
                first: at("first"),
                last: at("last"),
            }),
        }
    }
}

/// A use of a record, if it was denied.
fn denial(used: &Value) -> Option<Denial> {
    let text = |key: &str| used.get(key).and_then(Value::as_str);
    let word = text("outcome")?;
    let outcome = *UseOutcome::ALL
        .iter()
        .find(|outcome| outcome.as_str() == word)?;
    // That a client has no key is not about the policy.
    if !outcome.is_refusal() || outcome == UseOutcome::Unidentified {
        return None;
    }
    Some(Denial {
        policy: PolicyName::parse(text("policy")?).ok()?,
        component: ComponentDigest::parse(text("component")?).ok()?,
        alias: text("alias").and_then(|text| Alias::parse(text).ok()),
        use_: text("use")?.parse().ok()?,
        grant: text("grant").and_then(|text| GrantId::parse(text).ok()),
        route: text("route").and_then(|text| RouteName::parse(text).ok()),
        outcome,
    })
}

fn text(found: &[(Counted, Remedy)]) -> String {
    if found.is_empty() {
        return "No policy was denied a use.".to_owned();
    }
    let mut out = String::new();
    for (counted_, remedy) in found {
        let Denial {
            policy,
            alias,
            use_,
            outcome,
            ..
        } = &counted_.denial;
        let alias = alias.as_ref().map_or("something", Alias::as_str);
        let Counted {
            count, first, last, ..
        } = counted_;
        let times = counted(usize::try_from(*count).unwrap_or(usize::MAX), "time");
        let when = match first == last {
            true => format!("at {first}"),
            false => format!("from {first} to {last}"),
        };
        out.push_str(&format!(
            "policy {policy} was denied {use_} of {alias}, {times}, {when}\n  {}: {}",
            outcome.as_str(),
            counted_.denial.in_words()
        ));
        if let Some(route) = &counted_.denial.route {
            out.push_str(&format!(" (to {route})"));
        }
        if let Some(grant) = &counted_.denial.grant {
            out.push_str(&format!(" (grant {grant})"));
        }
        out.push('\n');
        match remedy {
            Remedy::Toml(toml) => {
                out.push_str("  what would allow it, once you have decided:\n\n");
                out.push_str(toml);
            }
            Remedy::Command(command) => {
                out.push_str(&format!("  what would allow it: {command}\n"));
            }
            Remedy::Words(words) => out.push_str(&format!("  {words}\n")),
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

fn to_json(found: &[(Counted, Remedy)]) -> Value {
    let all: Vec<Value> = found
        .iter()
        .map(|(counted, remedy)| {
            let denial = &counted.denial;
            let remedy = match remedy {
                Remedy::Toml(toml) => json!({ "toml": toml }),
                Remedy::Command(command) => json!({ "command": command }),
                Remedy::Words(words) => json!({ "words": words }),
            };
            json!({
                "policy": denial.policy.as_str(),
                "component": denial.component.to_string(),
                "alias": denial.alias.as_ref().map(Alias::as_str),
                "use": denial.use_.as_str(),
                "outcome": denial.outcome.as_str(),
                "words": denial.in_words(),
                "grant": denial.grant.as_ref().map(GrantId::as_str),
                "route": denial.route.as_ref().map(RouteName::as_str),
                "count": counted.count,
                "first": counted.first,
                "last": counted.last,
                "remedy": remedy,
            })
        })
        .collect();
    json!({ "denied": all })
}
