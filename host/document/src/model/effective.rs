//! What is in force: the documents of all scopes, each `<base/>` replaced by
//! the next broader scope's statements, each fragment put where it is included.

use std::sync::Arc;

use keyward_document_program::statements::MAX_ELEMENTS;

use super::{Body, Document, Literal, Node, Origin, Payload};
use crate::Phase;
use crate::error::{DocumentErrors, Found, Problem};
use crate::policies::{Content, Policy};
use crate::position::Source;
use crate::report::Reporter;

/// Who knows the fragments.
pub trait Fragments {
    /// The fragment of that id.
    fn fragment(&self, id: &str) -> Option<&Document>;
}

/// There are no fragments.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFragments;

impl Fragments for NoFragments {
    fn fragment(&self, _: &str) -> Option<&Document> {
        None
    }
}

impl Fragments for std::collections::BTreeMap<String, Document> {
    fn fragment(&self, id: &str) -> Option<&Document> {
        self.get(id)
    }
}

/// The statements in force, phase by phase. No statement is a `<base/>`.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    phases: [Vec<Node>; 4],
    /// File and text of each document that something is from, the broadest scope first.
    sources: Vec<(Arc<str>, Arc<str>)>,
}

impl Effective {
    /// What runs in a phase, in order.
    pub fn phase(&self, phase: Phase) -> &[Node] {
        self.phases
            .get(phase.index())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// File and text of each document that something may be from.
    pub(crate) fn sources(&self) -> impl DoubleEndedIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.sources.iter().map(|(file, text)| (file, text))
    }

    fn from(&mut self, document: &Document) {
        let file = &document.origin.file;
        if self.sources.iter().all(|(known, _)| known != file) {
            self.sources
                .push((Arc::clone(file), Arc::clone(&document.text)));
        }
    }

    /// Whether a `<forward-request>` stands in the backend section, at any depth: without
    /// one, nothing is ever sent to the backend.
    pub fn forwards(&self) -> bool {
        self.phase(Phase::Backend)
            .iter()
            .flat_map(Node::walk)
            .any(|node| node.name() == "forward-request")
    }
}

/// Puts documents together, the broadest scope first.
///
/// A section without `<base/>` inherits nothing, and an absent one neither.
///
/// Errors: a fragment that is not known, or that may not stand in the section where it is
/// included, or with which there would be more elements than a program may have
/// ([`MAX_ELEMENTS`]): that is said before the fragment is copied. They are about the broadest document in which something is wrong.
pub fn effective(
    scopes: &[&Document],
    fragments: &dyn Fragments,
) -> Result<Effective, Box<DocumentErrors>> {
    let mut so_far = Effective::default();
    for document in scopes {
        so_far = onto(document, so_far, fragments)?;
    }
    Ok(so_far)
}

fn onto(
    document: &Document,
    mut outer: Effective,
    fragments: &dyn Fragments,
) -> Result<Effective, Box<DocumentErrors>> {
    let mut reporter = Reporter::new(Source::new(&document.origin.file, &document.text));
    let mut result = Effective {
        phases: Default::default(),
        sources: std::mem::take(&mut outer.sources),
    };
    result.from(document);
    let elements = Phase::ALL.into_iter().map(|phase| {
        let own = document.section(phase).map(|section| &*section.statements);
        let own = own.unwrap_or_default();
        let inherits = own.iter().any(|node| node.name() == "base");
        let outer = if inherits { outer.phase(phase) } else { &[] };
        count(own) + count(outer)
    });
    let mut including = Including {
        elements: elements.sum(),
        document,
        fragments,
        reporter: &mut reporter,
        included: Vec::new(),
        is_full: false,
    };
    for (phase, out) in Phase::ALL.into_iter().zip(&mut result.phases) {
        let Some(section) = document.section(phase) else {
            continue;
        };
        let mut inherited = outer
            .phases
            .get_mut(phase.index())
            .map(std::mem::take)
            .unwrap_or_default();
        for node in &section.statements {
            if node.name() == "base" {
                out.append(&mut inherited);
                continue;
            }
            let mut node = node.clone();
            including.fill(&mut node, phase);
            out.push(node);
        }
    }
    for id in including.included {
        if let Some(fragment) = fragments.fragment(&id) {
            result.from(fragment);
        }
    }
    match reporter.finish() {
        Ok(()) => Ok(result),
        Err(errors) => Err(Box::new(errors)),
    }
}

/// How many elements there are, those within others among them.
fn count(nodes: &[Node]) -> usize {
    nodes.iter().flat_map(Node::walk).count()
}

/// What fills the `<include-fragment>`s of a document.
struct Including<'a, 'r, 's> {
    document: &'a Document,
    fragments: &'a dyn Fragments,
    reporter: &'r mut Reporter<'s>,
    /// The ids of those that were, each once.
    included: Vec<String>,
    /// Elements in force together so far: a small file could ask for a large fragment many
    /// times.
    elements: usize,
    /// There is no room for another fragment, which was told.
    is_full: bool,
}

impl Including<'_, '_, '_> {
    /// Fills those in a statement. Recursion is bounded by the depth of the documents; a
    /// fragment holds no include.
    fn fill(&mut self, node: &mut Node, phase: Phase) {
        if self.is_full {
            return;
        }
        if node.name() != "include-fragment" {
            for child in &mut node.children {
                self.fill(child, phase);
            }
            return;
        }
        let Some((at, id)) = node
            .attribute("fragment-id")
            .and_then(|value| match &value.payload {
                Payload::Literal(Literal::Text(id)) => Some((value.at.clone(), id.clone())),
                _ => None,
            })
        else {
            return;
        };
        let Some(Document {
            body: Body::Fragment(nodes),
            origin,
            ..
        }) = self.fragments.fragment(&id)
        else {
            let help = "import the fragment first, or correct the id";
            self.reporter.report(
                Problem::UnknownFragment(Found::new(&id)),
                at,
                Some(help.to_owned()),
            );
            return;
        };
        self.elements = self.elements.saturating_add(count(nodes));
        if self.elements > MAX_ELEMENTS {
            self.is_full = true;
            let help = "each include counts with all of the fragment's elements: include it less often, or divide the API";
            self.reporter
                .report(Problem::elements_in_force(), at, Some(help.to_owned()));
            return;
        }
        if !self.included.contains(&id) {
            self.included.push(id.clone());
        }
        let origin = Arc::new(Origin {
            file: Arc::clone(&origin.file),
            id: self.document.origin.id.clone(),
            scope: self.document.origin.scope,
            fragment: Some(id.clone()),
        });
        for fragment in nodes {
            misplaced(fragment, true, phase, &mut |policy| {
                let problem = Problem::FragmentSection {
                    id: Found::new(&id),
                    policy: policy.element.name,
                    section: phase.as_str(),
                };
                let help = format!(
                    "<{}> may stand in {}",
                    policy.element.name,
                    crate::read::sections(policy.sections)
                );
                self.reporter.report(problem, at.clone(), Some(help));
            });
            node.children.push(placed(fragment, &origin, &node.path));
        }
    }
}

/// Tells the policies, in a statement and below, that may not stand in a section. A part
/// of another policy, such as the `<set-method>` of a `<send-request>`, is that policy's
/// business.
fn misplaced(node: &Node, is_statement: bool, phase: Phase, tell: &mut dyn FnMut(&'static Policy)) {
    if let Some(policy) = node.policy
        && is_statement
        && !policy.sections.contains(phase)
    {
        tell(policy);
    }
    let statements = matches!(node.element.content, Content::Statements | Content::Only(_));
    for child in &node.children {
        misplaced(child, statements, phase, tell);
    }
}

/// A fragment's statement, as if it stood where it is included.
fn placed(node: &Node, origin: &Arc<Origin>, path: &str) -> Node {
    let mut node = node.clone();
    node.path = format!("{path}/{}", node.path);
    node.origin = Arc::clone(origin);
    node.children = node
        .children
        .iter()
        .map(|child| placed(child, origin, path))
        .collect();
    node
}
