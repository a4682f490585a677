//! `keyward grants explain --diff`: what a change of the grants file means.

use std::path::Path;

use keyward::vault::{Change, ChangeKind, Effect};
use serde_json::{Value, json};

use super::read_file;
use crate::exit::{Exit, Outcome};
use crate::output::counted;
use crate::{Common, words};

pub(super) fn run(common: &Common, old: &Path, new: &Path) -> Outcome {
    let changes = read_file(new)?.diff(&read_file(old)?);
    common
        .output()
        .data(|| text(&changes), || to_json(&changes));
    Ok(match changes.iter().any(Change::widens) {
        true => Exit::Findings,
        false => Exit::Success,
    })
}

fn mark(effect: Effect) -> &'static str {
    match effect {
        Effect::Wider => "WIDER    ",
        Effect::Narrower => "narrower ",
        Effect::Same => "same     ",
    }
}

fn text(changes: &[Change]) -> String {
    let mut lines = Vec::new();
    for change in changes {
        let class = change
            .new
            .as_ref()
            .or(change.old.as_ref())
            .map(|grant| format!(", class {}", grant.use_().class()))
            .unwrap_or_default();
        let kind = change.kind.as_str();
        lines.push(format!("{}: {kind}{class}", change.grant));
        for (effect, text) in &change.parts {
            lines.push(format!("  {}{text}", mark(*effect)));
        }
        // Of what came or went the parts say only what it is.
        if change.kind != ChangeKind::Changed
            && let Some(grant) = change.new.as_ref().or(change.old.as_ref())
        {
            for to in &grant.to {
                lines.push(format!("           to {}", words::destination(to, None)));
            }
            lines.push(format!(
                "           {}",
                words::conditions(grant).join("; ")
            ));
        }
    }
    let wider = changes.iter().filter(|change| change.widens()).count();
    let summary = match (changes.len(), wider) {
        (0, _) => "Both files allow the same.".to_owned(),
        (all, 0) => format!(
            "{} changed; nothing more is allowed.",
            counted(all, "grant")
        ),
        (all, wider) => format!(
            "{} changed; more is allowed by {wider} of them.",
            counted(all, "grant")
        ),
    };
    if !lines.is_empty() {
        lines.push(String::new());
    }
    lines.push(summary);
    lines.join("\n")
}

fn to_json(changes: &[Change]) -> Value {
    let all: Vec<Value> = changes
        .iter()
        .map(|change| {
            let parts: Vec<Value> = change
                .parts
                .iter()
                .map(|(effect, text)| json!({ "effect": effect.as_str(), "text": text }))
                .collect();
            json!({
                "grant": change.grant.as_str(),
                "change": change.kind.as_str(),
                "widens": change.widens(),
                "parts": parts,
                "old": change.old.as_ref().map(|grant| grant.to_toml()),
                "new": change.new.as_ref().map(|grant| grant.to_toml()),
            })
        })
        .collect();
    json!({ "changes": all, "widens": changes.iter().any(Change::widens) })
}
