//! Records as JSON, for people and other programs. A view: the trail is the CBOR.

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};

use super::record::{Administrative, Body, CountedSpan, CountedUse, ExchangePart, Record};

/// A record as a JSON object, with the index of its entry.
pub(crate) fn view(index: u64, record: &Record) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| {
        object.insert(key.to_owned(), value);
    };
    put("entry", json!(index));
    put("time", json!(time_text(record.time)));
    put("boot", json!(HEXLOWER.encode(&record.boot)));
    put("vault-epoch", json!(record.vault_epoch));
    match &record.body {
        Body::Exchange(part) => exchange(part, &mut put),
        Body::Administrative(act) => administrative(act, &mut put),
        Body::Counted(span) => counted(span, &mut put),
    }
    Value::Object(object)
}

/// A time in RFC 3339, or the number of milliseconds if no calendar has it.
pub(crate) fn time_text(milliseconds: u64) -> String {
    timestamp(milliseconds)
        .map_or_else(|| format!("{milliseconds} ms"), |time| format!("{time:.3}"))
}

/// A time of a record, if a calendar has it.
pub(crate) fn timestamp(milliseconds: u64) -> Option<jiff::Timestamp> {
    let milliseconds = i64::try_from(milliseconds).ok()?;
    jiff::Timestamp::from_millisecond(milliseconds).ok()
}

fn exchange(part: &ExchangePart, put: &mut impl FnMut(&str, Value)) {
    put("exchange", json!(part.exchange.to_string()));
    put("part", json!(part.part));
    put("grants", json!(HEXLOWER.encode(&part.grants)));
    put("uses", part.uses.iter().map(counted_use).collect());
}

fn counted(span: &CountedSpan, put: &mut impl FnMut(&str, Value)) {
    put("grants", json!(HEXLOWER.encode(&span.grants)));
    put("uses", span.uses.iter().map(counted_use).collect());
    put("first", json!(time_text(span.first)));
    put("last", json!(time_text(span.last)));
}

fn counted_use(counted: &CountedUse) -> Value {
    let used = &counted.used;
    let mut object = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    };
    put("policy", Some(json!(used.policy.as_str())));
    put("component", Some(json!(used.component.to_string())));
    put("use", Some(json!(used.use_.as_str())));
    put(
        "alias",
        used.alias.as_ref().map(|name| json!(name.as_str())),
    );
    put(
        "grant",
        used.grant.as_ref().map(|name| json!(name.as_str())),
    );
    put("secret", used.secret.map(|(id, _)| json!(id.to_string())));
    put("version", used.secret.map(|(_, version)| json!(version)));
    put(
        "route",
        used.route.as_ref().map(|name| json!(name.as_str())),
    );
    put(
        "statement",
        used.statement.as_ref().map(|name| json!(name.as_str())),
    );
    put("outcome", Some(json!(used.outcome.as_str())));
    put("count", Some(json!(counted.count)));
    Value::Object(object)
}

fn administrative(act: &Administrative, put: &mut impl FnMut(&str, Value)) {
    put("act", json!(act.act.as_str()));
    put("actor", json!(act.actor.as_str()));
    let names = |ids: &[keyward_names::GrantId]| -> Value {
        ids.iter().map(|id| json!(id.as_str())).collect()
    };
    let hash = |hash: [u8; 32]| json!(HEXLOWER.encode(&hash));
    let optional = [
        (
            "reason",
            act.reason.as_ref().map(|text| json!(text.as_str())),
        ),
        (
            "secret",
            act.secret.as_ref().map(|secret| {
                json!({
                    "id": secret.id.to_string(),
                    "name": secret.name.as_str(),
                    "version": secret.version,
                })
            }),
        ),
        (
            "grants",
            act.grants.as_ref().map(|grants| {
                json!({
                    "digest": HEXLOWER.encode(&grants.digest),
                    "added": names(&grants.added),
                    "removed": names(&grants.removed),
                    "unlisted": grants.unlisted,
                })
            }),
        ),
        ("epoch", act.epoch.map(|epoch| json!(epoch))),
        ("manifest", act.manifest.map(hash)),
        ("key", act.key.map(hash)),
        (
            "previous-time",
            act.previous_time.map(|time| json!(time_text(time))),
        ),
        ("count", act.count.map(|count| json!(count))),
        ("bytes", act.bytes.map(|bytes| json!(bytes))),
        ("verb", act.verb.as_ref().map(|verb| json!(verb.as_str()))),
        ("value", act.value.as_ref().map(|name| json!(name.as_str()))),
        (
            "client",
            act.client.as_ref().map(|subject| json!(subject.as_str())),
        ),
        ("slot", act.slot.map(|slot| json!(slot))),
        ("configuration", act.configuration.map(hash)),
        (
            "source",
            act.source.as_ref().map(|name| json!(name.as_str())),
        ),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            put(key, value);
        }
    }
}
