//! `keyward document effective`: scopes and fragments put together.

use clap::Args;
use keyward::document::Phase;
use keyward::document::model::{Document, Effective, Node, effective};
use keyward::document::policies::Scope;
use serde_json::{Value, json};

use super::around::{Given, Read};
use crate::Common;
use crate::exit::{Exit, Failure, Outcome};

pub(super) const HELP: &str = "\
Each <base/> is replaced by the statements of the next broader scope, each
<include-fragment> is filled, and each statement says from which file and line it is.

Examples:
  keyward document effective global=global.xml api=billing.xml
  keyward document effective api.xml --fragment auth=auth-fragment.xml";

#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    given: Given,
}

impl Show {
    pub(super) fn run(self, common: &Common) -> Outcome {
        let Read {
            documents,
            fragments,
            ..
        } = self.given.read(common)?;
        let scopes: Vec<&Document> = documents.iter().collect();
        let found = effective(&scopes, &fragments)
            .map_err(|errors| Failure::new(errors.render(false).trim_end()))?;
        let sources: Vec<&Document> = documents.iter().chain(fragments.values()).collect();
        let inherits = scopes
            .first()
            .is_some_and(|outermost| forwards_as(outermost));
        common.output().data(
            || as_text(&found, &sources, inherits),
            || as_json(&found, &sources),
        );
        Ok(Exit::Success)
    }
}

/// Where a statement is from: `billing.xml:3:5`.
fn from(node: &Node, sources: &[&Document]) -> String {
    sources
        .iter()
        .find(|source| source.file() == &*node.origin.file)
        .map(|source| source.position(node.tag.clone()).to_string())
        .unwrap_or_default()
}

/// Whether a document's requests go on as a broader one says.
fn forwards_as(document: &Document) -> bool {
    let mut statements = document.statements();
    statements.any(|(phase, statement)| {
        phase == Some(Phase::Backend) && statement.walk().any(|node| node.name() == "base")
    })
}

/// `inherits`: a broader document than all of these has a word in `<backend>`.
fn as_text(found: &Effective, sources: &[&Document], inherits: bool) -> String {
    let mut out = String::new();
    for phase in Phase::ALL {
        out.push_str(&format!("{phase}\n"));
        if found.phase(phase).is_empty() {
            out.push_str("  (nothing)\n");
        }
        for node in found.phase(phase) {
            lines(node, 1, sources, &mut out);
        }
    }
    if !found.forwards() {
        out.push_str("\nNothing is forwarded: <backend> has no <forward-request>.\n");
        if inherits {
            out.push_str(
                "Its <base/> stands for that of a broader document: give that one first.\n",
            );
        }
    }
    out
}

fn lines(node: &Node, depth: usize, sources: &[&Document], out: &mut String) {
    let scope = node.origin.scope.map(Scope::as_str);
    let scope = scope.map(|scope| format!(" ({scope})")).unwrap_or_default();
    out.push_str(&format!(
        "{}{}  {}{scope}\n",
        "  ".repeat(depth),
        words(node),
        from(node, sources)
    ));
    for child in &node.children {
        lines(child, depth + 1, sources, out);
    }
}

/// A statement on one line.
fn words(node: &Node) -> String {
    let mut words = format!("<{}", node.name());
    for field in &node.attributes {
        words.push_str(&format!(
            " {}={}",
            field.name,
            super::explain::value(&field.value)
        ));
    }
    words.push('>');
    if let Some(text) = &node.text {
        words.push_str(&format!(" {}", super::explain::value(text)));
    }
    words
}

fn as_json(found: &Effective, sources: &[&Document]) -> Value {
    fn one(node: &Node, sources: &[&Document]) -> Value {
        let children: Vec<Value> = node
            .children
            .iter()
            .map(|child| one(child, sources))
            .collect();
        json!({
            "statement": node.name(),
            "path": node.path,
            "scope": node.origin.scope.map(Scope::as_str),
            "fragment": node.origin.fragment,
            "policy-id": node.origin.id,
            "from": from(node, sources),
            "children": children,
        })
    }
    let phases = Phase::ALL.into_iter().map(|phase| {
        let nodes: Vec<Value> = found
            .phase(phase)
            .iter()
            .map(|node| one(node, sources))
            .collect();
        (phase.as_str().to_owned(), Value::from(nodes))
    });
    json!({ "sections": serde_json::Map::from_iter(phases), "forwards": found.forwards() })
}
