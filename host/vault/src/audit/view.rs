//! A record as people and programs see it.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use keyward_names::SecretName;
use serde_json::{Value, json};
use uuid::Uuid;

use super::json::{self, time_text, timestamp};
use super::names::Names;
use super::record::{Act, Administrative, Body, CountedUse, Outcome, Record};

/// One entry of a trail.
///
/// It displays as one line: when, who, what, to which secret, with what outcome,
/// how often. The line holds letters and digits of any script, printable ASCII and
/// spaces, so it is safe for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailRecord {
    entry: u64,
    record: Record,
    /// The names of the secrets that its uses are of, where the trail tells them.
    names: BTreeMap<Uuid, SecretName>,
}

impl TrailRecord {
    pub(crate) fn new(entry: u64, record: Record, names: &Names) -> Self {
        let ids = uses(&record.body).iter().filter_map(|counted| {
            let (id, _) = counted.used.secret?;
            Some((id, names.name(&id)?.clone()))
        });
        Self {
            entry,
            names: ids.collect(),
            record,
        }
    }

    /// The entry's index, counted from 0.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// When it was committed. `None` if no calendar has that time.
    pub fn time(&self) -> Option<Timestamp> {
        timestamp(self.record.time)
    }

    /// The act, if it is an administrative one.
    pub fn act(&self) -> Option<Act> {
        match &self.record.body {
            Body::Administrative(act) => Some(act.act),
            Body::Exchange(_) | Body::Counted(_) => None,
        }
    }

    /// The record as a JSON object, whose fields `AUDIT.md` names. A use of a
    /// secret whose name is known has `secret-name`.
    pub fn to_json(&self) -> Value {
        let mut view = json::view(self.entry, &self.record);
        let shown = view.get_mut("uses").and_then(Value::as_array_mut);
        for (shown, counted) in shown.into_iter().flatten().zip(uses(&self.record.body)) {
            let name = counted.used.secret.and_then(|(id, _)| self.names.get(&id));
            if let (Some(name), Some(shown)) = (name, shown.as_object_mut()) {
                shown.insert("secret-name".to_owned(), json!(name.as_str()));
            }
        }
        view
    }
}

/// The uses of a record; none if it is an act.
pub(crate) fn uses(body: &Body) -> &[CountedUse] {
    match body {
        Body::Exchange(part) => &part.uses,
        Body::Counted(span) => &span.uses,
        Body::Administrative(_) => &[],
    }
}

impl fmt::Display for TrailRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} ", time_text(self.record.time), self.entry)?;
        match &self.record.body {
            Body::Exchange(part) => {
                write!(f, "exchange {}: ", part.exchange)?;
                self.write_uses(&part.uses, f)
            }
            Body::Counted(span) => {
                write!(f, "counted since {}: ", time_text(span.first))?;
                self.write_uses(&span.uses, f)
            }
            Body::Administrative(act) => write_act(act, f),
        }
    }
}

impl TrailRecord {
    fn write_uses(&self, uses: &[CountedUse], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, CountedUse { used, count }) in uses.iter().enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}policy {} {}", used.policy, used.use_)?;
            match (&used.secret, &used.alias) {
                (Some((id, version)), _) => {
                    match self.names.get(id) {
                        Some(name) => write!(f, " secret {name}")?,
                        None => write!(f, " secret {id}")?,
                    }
                    write!(f, " version {version}")?;
                }
                (None, Some(alias)) => write!(f, " alias {alias}")?,
                (None, None) => {}
            }
            if let Some(grant) = &used.grant {
                write!(f, " by grant {grant}")?;
            }
            if let Some(route) = &used.route {
                write!(f, " to route {route}")?;
            }
            if let Some(statement) = &used.statement {
                write!(f, " statement {statement}")?;
            }
            let verdict = if used.outcome == Outcome::Allowed {
                "allowed"
            } else if used.outcome.is_refusal() {
                "DENIED"
            } else {
                "STOPPED"
            };
            write!(f, ": {verdict}")?;
            if used.outcome != Outcome::Allowed {
                write!(f, " ({})", used.outcome.as_str())?;
            }
            if *count > 1 {
                write!(f, " {count} times")?;
            }
        }
        Ok(())
    }
}

fn write_act(act: &Administrative, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} by \"{}\"", act.act.as_str(), act.actor.as_str())?;
    if let Some(verb) = &act.verb {
        write!(f, " verb {}", verb.as_str())?;
    }
    if let Some(secret) = &act.secret {
        write!(f, " secret {} version {}", secret.name, secret.version)?;
    }
    if let Some(client) = &act.client {
        write!(f, " client {client}")?;
    }
    if let Some(value) = &act.value {
        write!(f, " value {value}")?;
    }
    if let Some(digest) = &act.configuration {
        write!(f, " configuration {}", HEXLOWER.encode(digest))?;
    }
    if let Some(slot) = act.slot {
        write!(f, " slot {slot}")?;
    }
    if let Some(grants) = &act.grants {
        for (word, ids) in [("added", &grants.added), ("removed", &grants.removed)] {
            for (place, id) in ids.iter().enumerate() {
                let before = if place == 0 { word } else { "," };
                let space = if place == 0 { " " } else { "" };
                write!(f, "{space}{before} {id}")?;
            }
        }
        if grants.unlisted > 0 {
            write!(f, " and {} more", grants.unlisted)?;
        }
    }
    if let Some(time) = act.previous_time {
        write!(f, " from {}", time_text(time))?;
    }
    if let Some(count) = act.count {
        write!(f, " count {count}")?;
    }
    if let Some(bytes) = act.bytes {
        write!(f, " bytes {bytes}")?;
    }
    if let Some(reason) = &act.reason {
        write!(f, " because \"{}\"", reason.as_str())?;
    }
    Ok(())
}
