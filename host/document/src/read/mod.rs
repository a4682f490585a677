//! Reading a policy document in full: from its text to the model, or to
//! everything that is wrong with it.

mod attributes;
mod content;
mod hints;
mod kinds;
mod statements;
mod value;

use std::ops::Range;
use std::sync::Arc;

use crate::Limits;
use crate::Phase;
use crate::error::{DocumentErrors, Found, Problem};
use crate::model::{Body, Document, Node, Origin, Section};
use crate::named_values::{NamedValues, Unresolved};
use crate::open::{did_you_mean, open_text};
use crate::policies::{Scope, Sections};
use crate::position::Source;
use crate::report::Reporter;
use crate::tree::{Element, Node as Xml, is_space};

/// What reading needs to know besides the text.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// How large the document may be. [`Limits::POLICIES`] by default.
    pub limits: Limits,
    /// For whom the document is; policies are then held against the scopes that have
    /// them. Unknown by default.
    pub scope: Option<Scope>,
    /// Who knows the named values. Nobody by default: such a document can be checked,
    /// not run.
    pub values: &'a dyn NamedValues,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            limits: Limits::POLICIES,
            scope: None,
            values: &Unresolved,
        }
    }
}

/// What came of reading.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The document, if nothing is wrong with it.
    pub document: Option<Document>,
    /// Errors and warnings, in the order of the text; may be empty.
    pub diagnostics: DocumentErrors,
}

/// Reads a policy document or a policy fragment of Azure API Management, the C# of its
/// expressions included. `file` is only for messages. Any text is read without a panic, in time proportional to its length.
///
/// ```
/// use keyward_document::policies::Scope;
/// use keyward_document::read::{Options, read};
///
/// let text = "<policies><inbound><set-status code=\"abc\"/></inbound></policies>";
/// let options = Options { scope: Scope::parse("global"), ..Options::default() };
/// let reading = read("global.xml", text, &options);
/// let first = reading.diagnostics.iter().next().expect("the code is no number");
/// assert_eq!(first.problem().code(), "KD023");
/// assert_eq!(&text[first.position().span()], "abc");
/// ```
pub fn read(file: &str, text: &str, options: &Options<'_>) -> Reading {
    let mut reporter = Reporter::new(Source::new(file, text));
    let opened = open_text(text, &options.limits, &mut reporter);
    let origin = Arc::new(Origin {
        file: Arc::clone(&reporter.source.file),
        id: None,
        scope: options.scope,
        fragment: None,
    });
    let mut reader = Reader {
        reporter: &mut reporter,
        text,
        expressions: opened.expressions,
        options,
        origin,
        complete: true,
        fragment: false,
        seen: Vec::new(),
    };
    let body = opened.root.map(|root| reader.root(root));
    let (origin, complete) = (Arc::clone(&reader.origin), reader.complete);
    let diagnostics = reporter.finish_all();
    let document = match body {
        Some(Some(body)) if !diagnostics.has_errors() => Some(Document {
            origin,
            text: Arc::from(text),
            body,
            complete,
        }),
        _ => None,
    };
    Reading {
        document,
        diagnostics,
    }
}

/// Gives elements their meaning, as the table of policies has it.
struct Reader<'r, 's, 'o> {
    reporter: &'r mut Reporter<'s>,
    text: &'s str,
    /// In the order of the text.
    expressions: Vec<Range<usize>>,
    options: &'o Options<'o>,
    origin: Arc<Origin>,
    /// No named value was left for later.
    complete: bool,
    /// The document is a fragment.
    fragment: bool,
    /// Policies that may stand once, where they were: the section, or none for the document.
    seen: Vec<(&'static str, Option<Phase>, Range<usize>)>,
}

/// Where statements stand.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The element around them.
    parent: &'static str,
    /// The section; none in a fragment.
    section: Option<Phase>,
    /// Directly in the section or fragment.
    top: bool,
    /// Only these policies.
    only: Option<&'static [&'static str]>,
    /// The path of the element around them, with a `/` after it.
    path: &'a str,
}

impl Reader<'_, '_, '_> {
    fn root(&mut self, mut root: Element) -> Option<Body> {
        let id = root
            .attributes
            .iter()
            .position(|attribute| attribute.name == "id")
            .map(|index| root.attributes.remove(index).value);
        self.origin = Arc::new(Origin {
            id,
            ..(*self.origin).clone()
        });
        for attribute in &root.attributes {
            let problem = Problem::UnknownAttribute {
                name: Found::new(&attribute.name),
                element: "policies",
            };
            self.report(problem, attribute.at.clone(), "it has only an id");
        }
        match root.name.as_str() {
            "policies" => Some(Body::Policies(self.policies(root))),
            "fragment" => {
                self.fragment = true;
                let place = Place {
                    parent: "fragment",
                    section: None,
                    top: true,
                    only: None,
                    path: "",
                };
                Some(Body::Fragment(self.statements(root, place)))
            }
            _ => {
                let problem = Problem::UnknownElement {
                    name: Found::new(&root.name),
                    parent: "the document".into(),
                };
                let help = hints::wrong_root(&root.name);
                self.report(problem, root.tag, help);
                None
            }
        }
    }

    fn policies(&mut self, root: Element) -> [Option<Section>; 4] {
        let mut sections: [Option<Section>; 4] = Default::default();
        let tag = root.tag.clone();
        let complete = root.complete;
        for child in self.elements_of(root, "policies") {
            let Some(phase) = Phase::ALL
                .into_iter()
                .find(|phase| phase.as_str() == child.name)
            else {
                self.not_a_section(&child);
                continue;
            };
            for attribute in &child.attributes {
                let problem = Problem::UnknownAttribute {
                    name: Found::new(&attribute.name),
                    element: phase.as_str(),
                };
                self.report(problem, attribute.at.clone(), "a section has no attributes");
            }
            let tag = child.tag.clone();
            let place = Place {
                parent: phase.as_str(),
                section: Some(phase),
                top: true,
                only: None,
                path: "",
            };
            let statements = self.statements(child, place);
            let Some(slot) = sections.get_mut(phase.index()) else {
                continue;
            };
            match slot {
                Some(first) => {
                    let first = first.tag.clone();
                    let problem = Problem::OnceOnly(phase.as_str());
                    self.second(problem, tag, first, "move its steps into the first");
                }
                None => *slot = Some(Section { tag, statements }),
            }
        }
        if complete && self.options.scope != Some(Scope::Global) {
            for (phase, section) in Phase::ALL.into_iter().zip(&sections) {
                if section.is_none() {
                    let help = hints::absent(phase);
                    self.report(Problem::AbsentSection(phase.as_str()), tag.clone(), help);
                }
            }
        }
        sections
    }

    fn not_a_section(&mut self, element: &Element) {
        let help = match crate::policies::policy(&element.name) {
            Some(_) => {
                "policies stand in a section: <inbound>, <backend>, <outbound> or <on-error>"
                    .to_owned()
            }
            None => did_you_mean(
                &element.name,
                &Phase::ALL.map(Phase::as_str),
                "<policies> holds",
            ),
        };
        let problem = Problem::UnknownElement {
            name: Found::new(&element.name),
            parent: "<policies>".into(),
        };
        self.report(problem, element.tag.clone(), help);
    }

    /// The child elements; text between them is an error.
    fn elements_of(&mut self, element: Element, name: &'static str) -> Vec<Element> {
        let mut elements = Vec::new();
        let mut told = false;
        for node in element.children {
            match node {
                Xml::Element(element) => elements.push(element),
                // A text in pieces is one mistake.
                Xml::Text(text) if !is_space(&text.text) && !told => {
                    told = true;
                    let at = crate::open::visible(&text);
                    let problem = Problem::UnexpectedText {
                        parent: format!("<{name}>").into(),
                    };
                    self.report(problem, at, hints::text_in(name));
                }
                Xml::Text(_) => {}
            }
        }
        elements
    }

    fn second(&mut self, problem: Problem, at: Range<usize>, first: Range<usize>, help: &str) {
        if let Some(error) = self.reporter.report(problem, at, Some(help.to_owned())) {
            self.reporter.earlier(error, first, "the first is here");
        }
    }

    fn report(&mut self, problem: Problem, at: Range<usize>, help: impl Into<String>) {
        self.reporter.report(problem, at, Some(help.into()));
    }

    fn node(&self, element: &Element, path: String) -> Node {
        Node {
            element: &crate::policies::UNKNOWN,
            policy: None,
            tag: element.tag.clone(),
            at: element.tag.start..element.end.end.max(element.tag.end),
            path,
            attributes: Vec::new(),
            text: None,
            children: Vec::new(),
            origin: Arc::clone(&self.origin),
        }
    }
}

/// Sections in words: `<inbound> and <backend>`.
pub(crate) fn sections(sections: Sections) -> String {
    let names: Vec<String> = sections.iter().map(|phase| format!("<{phase}>")).collect();
    match names.as_slice() {
        [] => "no section".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
