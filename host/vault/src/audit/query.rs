//! Finding records: by time, policy, secret, outcome, act and actor.

use std::ops::ControlFlow;
use std::path::Path;

use jiff::Timestamp;
use keyward_names::{ExchangeId, GrantId, PolicyName, RouteName, SecretName, Subject, ValueName};
use uuid::Uuid;

use super::encoding::decode;
use super::json::timestamp;
use super::names::Names;
use super::read::{ReadError, trail_extent, walk};
use super::record::{Act, Administrative, Body, Outcome, Record, Used};
use super::view::{TrailRecord, uses};
use crate::Use;

/// Which records to find. The default finds all; each field that is set narrows
/// it.
///
/// `policy`, `route`, `use_`, `outcome` are about uses: an act has none, and a
/// record of uses is found if one of them fits all of these. `act`, `actor`,
/// `client` and `value` are about acts. `grant` and the secret are about both.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Committed at this time or later.
    pub since: Option<Timestamp>,
    /// Committed before this time.
    pub until: Option<Timestamp>,
    /// Used by this policy.
    pub policy: Option<PolicyName>,
    /// Used, added or removed: this grant.
    pub grant: Option<GrantId>,
    /// Of a secret that has had this name at some time, as far as the trail's acts
    /// tell; acts that were pruned don't.
    pub secret: Option<SecretName>,
    /// Of the secret with this id. If `secret` is set too, either will do.
    pub secret_id: Option<Uuid>,
    /// This use.
    pub use_: Option<Use>,
    /// To this route.
    pub route: Option<RouteName>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// This act.
    pub act: Option<Act>,
    /// By this actor.
    pub actor: Option<String>,
    /// About this client, among those of a secret of client keys.
    pub client: Option<Subject>,
    /// About this named value.
    pub value: Option<ValueName>,
    /// In this exchange.
    pub exchange: Option<ExchangeId>,
    /// Only what was refused: uses, and requests to administer.
    pub refused_only: bool,
}

/// A part of what a query finds.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the order of their entries.
    pub records: Vec<TrailRecord>,
    /// From where to ask on; `None` once all that the trail's checkpoint covers
    /// has been searched.
    pub next: Option<u64>,
}

/// The records of the trail in a directory that a filter lets through, from entry
/// `from` on (0 is the first), at most `limit`.
///
/// Only entries that the trail's newest checkpoint covers are shown: all of them
/// are durable, and they are at most a second behind. Needs no vault and checks no
/// signature; see [`verify_trail`](super::verify_trail). Blocks while it reads; a
/// filter for a secret's name reads all acts.
///
/// Errors: see [`ReadError`].
pub fn query_trail(
    directory: &Path,
    filter: &Filter,
    from: u64,
    limit: usize,
) -> Result<Page, ReadError> {
    let extent = trail_extent(directory)?;
    let mut names = Names::default();
    let wanted = Wanted::new(directory, filter, &mut names, extent.covered)?;
    let mut found = Vec::new();
    let mut next = None;
    let start = from.max(extent.first);
    walk(directory, start..extent.covered, |file, index, bytes| {
        let record = decode(bytes).map_err(|reason| ReadError::Record {
            file,
            entry: index,
            reason,
        })?;
        if wanted.takes(&record) {
            if found.len() == limit {
                next = Some(index);
                return Ok(ControlFlow::Break(()));
            }
            found.push((index, record));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let named = |(_, record): &(u64, Record)| !uses(&record.body).is_empty();
    if found.iter().any(named) {
        names.read_to(directory, extent.covered)?;
    }
    let records = found.into_iter();
    let records = records.map(|(index, record)| TrailRecord::new(index, record, &names));
    Ok(Page {
        records: records.collect(),
        next,
    })
}

/// A filter, with the ids of the secrets that it means.
pub(super) struct Wanted<'a> {
    filter: &'a Filter,
    /// `None` if any secret will do, or none.
    secrets: Option<Vec<Uuid>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(
        directory: &Path,
        filter: &'a Filter,
        names: &mut Names,
        covered: u64,
    ) -> Result<Self, ReadError> {
        let mut secrets: Option<Vec<_>> = filter.secret_id.map(|id| vec![id]);
        if let Some(name) = &filter.secret {
            names.read_to(directory, covered)?;
            secrets.get_or_insert_default().extend(names.ids(name));
        }
        Ok(Self { filter, secrets })
    }

    pub(super) fn takes(&self, record: &Record) -> bool {
        let filter = self.filter;
        let time = timestamp(record.time);
        let early = |since: &Timestamp| time.is_some_and(|time| time < *since);
        let late = |until: &Timestamp| time.is_none_or(|time| time >= *until);
        if filter.since.as_ref().is_some_and(early) || filter.until.as_ref().is_some_and(late) {
            return false;
        }
        match &record.body {
            Body::Administrative(act) => self.takes_act(act),
            body => {
                let exchange = match body {
                    Body::Exchange(part) => Some(part.exchange),
                    _ => None,
                };
                let of_acts = filter.act.is_some()
                    || filter.actor.is_some()
                    || filter.client.is_some()
                    || filter.value.is_some();
                !of_acts
                    && (filter.exchange.is_none() || filter.exchange == exchange)
                    && uses(body)
                        .iter()
                        .any(|counted| self.takes_use(&counted.used))
            }
        }
    }

    pub(super) fn takes_use(&self, used: &Used) -> bool {
        let filter = self.filter;
        fits(&filter.policy, Some(&used.policy))
            && fits(&filter.grant, used.grant.as_ref())
            && fits(&filter.use_, Some(&used.use_))
            && fits(&filter.route, used.route.as_ref())
            && fits(&filter.outcome, Some(&used.outcome))
            && (!filter.refused_only || used.outcome.is_refusal())
            && self.takes_secret(used.secret.map(|(id, _)| id))
    }

    fn takes_act(&self, act: &Administrative) -> bool {
        let filter = self.filter;
        let of_uses = filter.policy.is_some()
            || filter.use_.is_some()
            || filter.route.is_some()
            || filter.outcome.is_some()
            || filter.exchange.is_some();
        let has_grant = |id: &GrantId| {
            let changed = act.grants.iter();
            let mut ids = changed.flat_map(|grants| grants.added.iter().chain(&grants.removed));
            ids.any(|other| other == id)
        };
        !of_uses
            && fits(&filter.act, Some(&act.act))
            && filter
                .actor
                .as_ref()
                .is_none_or(|actor| act.actor.as_str() == actor)
            && fits(&filter.client, act.client.as_ref())
            && fits(&filter.value, act.value.as_ref())
            && filter.grant.as_ref().is_none_or(has_grant)
            && (!filter.refused_only || act.act == Act::AccessDenied)
            && self.takes_secret(act.secret.as_ref().map(|secret| secret.id))
    }

    fn takes_secret(&self, id: Option<Uuid>) -> bool {
        match &self.secrets {
            None => true,
            Some(secrets) => id.is_some_and(|id| secrets.contains(&id)),
        }
    }
}

fn fits<T: PartialEq>(wanted: &Option<T>, found: Option<&T>) -> bool {
    wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
}
