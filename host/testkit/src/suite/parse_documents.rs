//! Reading which documents a suite is about, and what they are told.

use std::path::{Path, PathBuf};

use keyward::document::Member;
use keyward::names::PolicyName;

use super::At;
use super::node::{Entry, Node, Value};
use super::parse::beside;
use super::reader::Table;

/// The policy that runs documents, unless a suite says otherwise.
const DOCUMENT: &str = "document";
/// As many scopes as there are below the global one.
const MOST: usize = 4;

/// What a suite says about documents.
pub(crate) struct Documents {
    pub(crate) files: Vec<At<PathBuf>>,
    pub(crate) fragments: Vec<(String, At<PathBuf>)>,
    pub(crate) runs_as: Option<PolicyName>,
    pub(crate) facts: Vec<(Member, String)>,
    pub(crate) subscription_required: Option<bool>,
    pub(crate) trace: bool,
}

pub(crate) fn documents(table: &Table<'_>, file: &Path) -> Documents {
    let files = match table.get("document") {
        Some(node) => files(table, node, file),
        None => Vec::new(),
    };
    let mut fragments = Vec::new();
    if let Some(section) = table.table("fragments", "[fragments]") {
        for Entry { key, node, .. } in section.entries() {
            fragments.extend(one(table, node, file).map(|file| (key.clone(), file)));
        }
    }
    let runs_as = table.parsed::<PolicyName>("runs-as").map(|name| name.value);
    Documents {
        files,
        fragments,
        runs_as: runs_as.or_else(|| PolicyName::parse(DOCUMENT).ok()),
        facts: facts(table),
        subscription_required: table.flag("subscription-required"),
        trace: table.flag("trace-document").unwrap_or(false),
    }
}

fn files(table: &Table<'_>, node: &Node, file: &Path) -> Vec<At<PathBuf>> {
    let Value::List(items) = &node.value else {
        return one(table, node, file).into_iter().collect();
    };
    if items.is_empty() || items.len() > MOST {
        let message = format!("`document` is 1 to {MOST} files, the broadest scope first");
        table.wrongs.add(&node.span, message);
    }
    items
        .iter()
        .filter_map(|item| one(table, item, file))
        .collect()
}

fn one(table: &Table<'_>, node: &Node, file: &Path) -> Option<At<PathBuf>> {
    let Value::Text(text) = &node.value else {
        let message = format!("a file is named by a string, not by {}", node.what());
        table.wrongs.add(&node.span, message);
        return None;
    };
    Some(At {
        value: beside(file, Path::new(text)),
        span: node.span.clone(),
    })
}

/// As the gateway's `[gateway]`, `[pipeline.api]` and so on.
fn facts(table: &Table<'_>) -> Vec<(Member, String)> {
    let mut told = Vec::new();
    let mut add = |section: Option<Table<'_>>, keys: &[(&'static str, Member)]| {
        let Some(section) = section else {
            return;
        };
        for (key, member) in keys {
            told.extend(
                section
                    .text(key)
                    .map(|text| (*member, text.value.to_owned())),
            );
        }
        section.finish();
    };
    add(
        table.table("gateway", "[gateway]"),
        &[
            ("region", Member::DeploymentRegion),
            ("service-name", Member::DeploymentServiceName),
        ],
    );
    add(
        table.table("api", "[api]"),
        &[
            ("id", Member::ApiId),
            ("name", Member::ApiName),
            ("path", Member::ApiPath),
            ("version", Member::ApiVersion),
            ("revision", Member::ApiRevision),
        ],
    );
    add(
        table.table("operation", "[operation]"),
        &[
            ("id", Member::OperationId),
            ("name", Member::OperationName),
            ("method", Member::OperationMethod),
            ("template", Member::OperationUrlTemplate),
        ],
    );
    add(
        table.table("product", "[product]"),
        &[("id", Member::ProductId), ("name", Member::ProductName)],
    );
    told
}
