//! Who used a secret, how often, towards where.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use keyward_names::{
    ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName, SecretName, StatementName,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::encoding::decode;
use super::json::timestamp;
use super::names::Names;
use super::query::{Filter, Wanted};
use super::read::{ReadError, trail_extent, walk};
use super::record::{Body, Outcome};
use super::view::uses;
use crate::Use;

/// Of how many exchanges it is remembered what they asked for and have not written.
/// The parts of an exchange are near each other.
const MOST_OPEN: usize = 10_000;

/// How a secret was used by one policy in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseSummary {
    /// Which policy.
    pub policy: PolicyName,
    /// Which code that was.
    pub component: ComponentDigest,
    /// By which grant.
    pub grant: Option<GrantId>,
    /// What it did.
    pub use_: Use,
    /// Toward which destination.
    pub route: Option<RouteName>,
    /// By which statement, for a query.
    pub statement: Option<StatementName>,
    /// How it ended.
    pub outcome: Outcome,
    /// How often.
    pub count: u64,
    /// When first, in the time that was asked about.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
}

impl UseSummary {
    /// The summary as a JSON object; what is not there is left out.
    pub fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        let fields = [
            ("policy", Some(json!(self.policy.as_str()))),
            ("component", Some(json!(self.component.to_string()))),
            ("grant", self.grant.as_ref().map(|id| json!(id.as_str()))),
            ("use", Some(json!(self.use_.as_str()))),
            (
                "route",
                self.route.as_ref().map(|name| json!(name.as_str())),
            ),
            (
                "statement",
                self.statement.as_ref().map(|name| json!(name.as_str())),
            ),
            ("outcome", Some(json!(self.outcome.as_str()))),
            ("count", Some(json!(self.count))),
            ("first", Some(json!(format!("{:.3}", self.first)))),
            ("last", Some(json!(format!("{:.3}", self.last)))),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        }
        Value::Object(object)
    }
}

/// Who used a secret: by policy, component, grant, use, route, statement and outcome,
/// in that order, since a time. Finds the secret as [`Filter::secret`] does; refusals
/// that came as far as the secret are among them.
///
/// What a policy asked for and what was then written toward a route are two entries of
/// the trail and one use here, the one with the route. What was asked for and went
/// nowhere has none.
///
/// Errors: see [`ReadError`].
pub fn who_used(
    directory: &Path,
    secret: &SecretName,
    since: Option<Timestamp>,
) -> Result<Vec<UseSummary>, ReadError> {
    let filter = Filter {
        secret: Some(secret.clone()),
        since,
        ..Filter::default()
    };
    who(directory, &filter)
}

/// The same for the secret with an id, whatever it is called; with `name`, for
/// secrets that the trail says had that name, too. Who knows the id finds uses
/// even if what the trail said of the name has been pruned.
pub fn who_used_id(
    directory: &Path,
    secret: Uuid,
    name: Option<&SecretName>,
    since: Option<Timestamp>,
) -> Result<Vec<UseSummary>, ReadError> {
    let filter = Filter {
        secret: name.cloned(),
        secret_id: Some(secret),
        since,
        ..Filter::default()
    };
    who(directory, &filter)
}

fn who(directory: &Path, filter: &Filter) -> Result<Vec<UseSummary>, ReadError> {
    let extent = trail_extent(directory)?;
    let wanted = Wanted::new(directory, filter, &mut Names::default(), extent.covered)?;
    let mut sums = Sums::default();
    walk(
        directory,
        extent.first..extent.covered,
        |file, index, bytes| {
            let record = decode(bytes).map_err(|reason| ReadError::Record {
                file,
                entry: index,
                reason,
            })?;
            let (first, last) = match &record.body {
                Body::Counted(span) => (span.first, span.last),
                _ => (record.time, record.time),
            };
            let (Some(first), Some(last)) = (timestamp(first), timestamp(last)) else {
                return Ok(ControlFlow::Continue(()));
            };
            if wanted.takes(&record) {
                let uses = uses(&record.body).iter();
                let of_secret = uses.filter(|counted| wanted.takes_use(&counted.used));
                let used = of_secret.map(|counted| {
                    let used = &counted.used;
                    UseSummary {
                        policy: used.policy.clone(),
                        component: used.component,
                        grant: used.grant.clone(),
                        use_: used.use_,
                        route: used.route.clone(),
                        statement: used.statement.clone(),
                        outcome: used.outcome,
                        count: counted.count,
                        first,
                        last,
                    }
                });
                match &record.body {
                    Body::Exchange(part) => sums.exchange(part.exchange, used.collect()),
                    _ => used.for_each(|used| sums.add(used)),
                }
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(sums.finish())
}

type Key = (
    PolicyName,
    ComponentDigest,
    Option<GrantId>,
    Use,
    Option<RouteName>,
    Option<StatementName>,
    Outcome,
);

#[derive(Default)]
struct Sums {
    sums: BTreeMap<Key, UseSummary>,
    /// What exchanges asked for, as far as it has not been written.
    asked: HashMap<ExchangeId, Vec<UseSummary>>,
}

impl Sums {
    /// Adds a part of an exchange.
    fn exchange(&mut self, exchange: ExchangeId, uses: Vec<UseSummary>) {
        let (written, asked): (Vec<_>, Vec<_>) = uses
            .into_iter()
            .partition(|used| used.route.is_some() || used.outcome != Outcome::Allowed);
        if !asked.is_empty() {
            self.asked.entry(exchange).or_default().extend(asked);
        }
        for used in written {
            if used.route.is_some() {
                self.was_written(exchange, &used);
            }
            self.add(used);
        }
        if self.asked.len() > MOST_OPEN {
            self.close();
        }
    }

    /// Takes off what was asked for and is now on record with its route.
    fn was_written(&mut self, exchange: ExchangeId, used: &UseSummary) {
        let Some(asked) = self.asked.get_mut(&exchange) else {
            return;
        };
        let mut times = used.count;
        for one in asked.iter_mut().filter(|one| one.is_asked_for(used)) {
            let taken = times.min(one.count);
            one.count -= taken;
            times -= taken;
        }
        asked.retain(|one| one.count > 0);
        if asked.is_empty() {
            self.asked.remove(&exchange);
        }
    }

    /// What was not written until now is taken for what never is.
    fn close(&mut self) {
        for used in std::mem::take(&mut self.asked).into_values().flatten() {
            self.add(used);
        }
    }

    fn add(&mut self, used: UseSummary) {
        let key = (
            used.policy.clone(),
            used.component,
            used.grant.clone(),
            used.use_,
            used.route.clone(),
            used.statement.clone(),
            used.outcome,
        );
        self.sums
            .entry(key)
            .and_modify(|sum| {
                sum.count = sum.count.saturating_add(used.count);
                sum.first = sum.first.min(used.first);
                sum.last = sum.last.max(used.last);
            })
            .or_insert(used);
    }

    fn finish(mut self) -> Vec<UseSummary> {
        self.close();
        self.sums.into_values().collect()
    }
}

impl UseSummary {
    /// Whether this is how a policy asked for a use that was written somewhere.
    fn is_asked_for(&self, written: &Self) -> bool {
        self.policy == written.policy
            && self.component == written.component
            && self.grant == written.grant
            && self.use_ == written.use_
    }
}
