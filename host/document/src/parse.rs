//! From elements to steps: which elements, attributes and texts mean what, and
//! that none is left over.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use keyward_names::{KeyVaultReference, PolicyName};

use crate::error::{DocumentErrors, Found, Problem};
use crate::expression::{Blanked, blank};
use crate::named_values::{self, Expanded, NamedValues, Requested, ValueError, places};
use crate::policies::{self, Status};
use crate::position::{BYTE_ORDER_MARK, Source};
use crate::report::Reporter;
use crate::suggest::{closest, is_apim_policy};
use crate::tree::{Attribute, Element, Node, SPACE, Text, is_space, is_xml_character, read};
use crate::{Document, Limits, Phase, Section, Step};

const SECTIONS: [&str; 4] = ["inbound", "backend", "outbound", "on-error"];
const NO_EXPRESSION: &str =
    "write a fixed value here, or have a policy written in Rust set it (<wasm-policy>)";
const STEPS: [&str; 4] = ["base", "set-header", "set-variable", "wasm-policy"];

/// Reads a document; see [`Document::parse_within`].
pub(crate) fn parse(
    file: &str,
    text: &str,
    limits: &Limits,
    values: &dyn NamedValues,
) -> Result<Document, DocumentErrors> {
    let mut reporter = Reporter::new(Source::new(file, text));
    let document = interpret(text, limits, values, &mut reporter);
    reporter.finish()?;
    Ok(document)
}

fn interpret(
    text: &str,
    limits: &Limits,
    values: &dyn NamedValues,
    reporter: &mut Reporter<'_>,
) -> Document {
    let mut document = Document {
        file: Arc::clone(&reporter.source.file),
        sections: Default::default(),
        complete: true,
    };
    let Opened { root, expressions } = open_text(text, limits, reporter);
    let mut interpreter = Interpreter {
        reporter,
        expressions,
        values,
        expanded: Vec::new(),
        complete: true,
    };
    if let Some(root) = root {
        document.sections = interpreter.policies(root);
        document.complete = interpreter.complete;
    }
    document
}

/// A text as elements, and where its expressions are.
#[derive(Default)]
pub(crate) struct Opened {
    pub(crate) root: Option<Element>,
    /// In the order of the text.
    pub(crate) expressions: Vec<Range<usize>>,
}

/// Reads the elements of a text. Nothing is opened, and something reported, where the
/// text is too large or holds what XML can't.
pub(crate) fn open_text(text: &str, limits: &Limits, reporter: &mut Reporter<'_>) -> Opened {
    if text.len() > limits.max_bytes {
        let max = limits.max_bytes;
        reporter.report(Problem::Limit { what: "bytes", max }, 0..0, None);
        return Opened::default();
    }
    if let Some((at, character)) = text
        .char_indices()
        .skip_while(|(at, c)| *at == 0 && *c == BYTE_ORDER_MARK)
        .find(|(_, c)| !is_xml_character(*c))
    {
        let problem = Problem::Malformed("a character that XML does not allow");
        let help = format!("remove {}", character.escape_unicode());
        reporter.report(problem, at..at + character.len_utf8(), Some(help));
        return Opened::default();
    }
    let body = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let base = text.len() - body.len();
    let Blanked {
        text: blanked,
        expressions,
        open,
    } = blank(body);
    if let Some(open) = open {
        let help = "a bracket, a string or a comment in it stays open: look for a quote too many or too few; where no expression was meant, write &#64; for \"@\"";
        reporter.report(
            Problem::OpenExpression,
            base + open..base + open + 2,
            Some(help.to_owned()),
        );
    }
    let root = read(&blanked, base, open.is_some(), limits, reporter);
    if root.is_none() && reporter.is_empty() {
        let help =
            "a document is <policies> with <inbound>, <backend>, <outbound> and <on-error> in it";
        reporter.report(
            Problem::Empty,
            text.len()..text.len(),
            Some(help.to_owned()),
        );
    }
    Opened {
        root,
        expressions: expressions
            .into_iter()
            .map(|span| span.start + base..span.end + base)
            .collect(),
    }
}

/// Gives elements their meaning.
pub(crate) struct Interpreter<'r, 's> {
    pub(crate) reporter: &'r mut Reporter<'s>,
    /// In the order of the text.
    expressions: Vec<Range<usize>>,
    pub(crate) values: &'r dyn NamedValues,
    /// The texts that came from named values, and from which.
    expanded: Vec<(Range<usize>, String)>,
    /// No named value was left for later.
    pub(crate) complete: bool,
}

impl Interpreter<'_, '_> {
    fn policies(&mut self, root: Element) -> [Option<Section>; 4] {
        let mut sections: [Option<Section>; 4] = Default::default();
        if root.name != "policies" {
            let help = match root.name.as_str() {
                "fragment" => "policy fragments are not supported yet; a document is <policies>".to_owned(),
                _ => "a document is <policies> with <inbound>, <backend>, <outbound> and <on-error> in it".to_owned(),
            };
            let name = Found::new(&root.name);
            self.report(
                Problem::UnknownElement {
                    name,
                    parent: "the document".into(),
                },
                root.tag,
                help,
            );
            return sections;
        }
        self.no_attributes(&root, "policies");
        for element in self.elements(root, "<policies>") {
            let Some(phase) = Phase::ALL
                .into_iter()
                .find(|phase| phase.as_str() == element.name)
            else {
                self.unknown_element(&element, "<policies>", &SECTIONS);
                continue;
            };
            let tag = element.tag.clone();
            let section = self.section(element, phase);
            let Some(slot) = sections.get_mut(phase.index()) else {
                continue;
            };
            if let Some(first) = slot {
                let first = first.position.span();
                let problem = Problem::Second(match phase {
                    Phase::Inbound => "<inbound> section",
                    Phase::Backend => "<backend> section",
                    Phase::Outbound => "<outbound> section",
                    Phase::OnError => "<on-error> section",
                });
                self.second(problem, tag, first, "move its steps into the first");
            } else {
                *slot = Some(section);
            }
        }
        sections
    }

    fn section(&mut self, element: Element, phase: Phase) -> Section {
        let (name, place) = (phase.as_str(), phase.place());
        self.no_attributes(&element, name);
        let mut section = Section {
            position: self.reporter.source.position(element.tag.clone()),
            steps: Vec::new(),
        };
        let mut base: Option<Range<usize>> = None;
        for element in self.elements(element, place) {
            let tag = element.tag.clone();
            let step = match element.name.as_str() {
                "base" => {
                    self.no_attributes(&element, "base");
                    self.nothing_inside(element, "<base>");
                    if let Some(first) = &base {
                        self.second(
                            Problem::Second("<base/> in this section"),
                            tag,
                            first.clone(),
                            "the outer scope's steps would run twice; leave one out",
                        );
                        continue;
                    }
                    base = Some(tag.clone());
                    Some(Step::Base(self.reporter.source.position(tag)))
                }
                "wasm-policy" => self.wasm_policy(element),
                "set-header" => self.set_header(element).map(Step::SetHeader),
                "set-variable" => self.set_variable(element).map(Step::SetVariable),
                _ => {
                    self.unknown_element(&element, place, &STEPS);
                    None
                }
            };
            section.steps.extend(step);
        }
        section
    }

    fn wasm_policy(&mut self, mut element: Element) -> Option<Step> {
        let [name] = self.attributes(&mut element, "wasm-policy", ["name"]);
        let position = self.reporter.source.position(element.tag.clone());
        let (tag, damaged) = (element.tag.clone(), element.damaged);
        self.nothing_inside(element, "<wasm-policy>");
        let name = self.required(
            name,
            &tag,
            damaged,
            "wasm-policy",
            "name",
            "<wasm-policy name=\"…\"/>",
        )?;
        let text = self.literal(&name.value, &name.value_at)?;
        match PolicyName::parse(&text) {
            Ok(name) => Some(Step::Policy { name, position }),
            Err(error) => {
                let help = "write the name that the policy has in keyward.toml";
                self.report(Problem::Name(error), name.value_at, help);
                None
            }
        }
    }

    /// The text with its named values put in, unless it is an expression or a
    /// value is not a text.
    pub(crate) fn literal<'t>(&mut self, text: &'t str, at: &Range<usize>) -> Option<Cow<'t, str>> {
        if self.is_expression(text, at) || self.is_reference(text, at) {
            return None;
        }
        match named_values::expand(text, self.values) {
            Ok(Expanded::Text(Cow::Borrowed(text))) => Some(Cow::Borrowed(text)),
            Ok(Expanded::Text(Cow::Owned(result))) => {
                let names: Vec<_> = places(text)
                    .map(|place| format!("{:?}", place.name))
                    .collect();
                self.expanded.push((at.clone(), names.join(" and ")));
                if starts_expression(&result) {
                    self.report(Problem::Expression, at.clone(), NO_EXPRESSION);
                    return None;
                }
                if self.is_reference(&result, at) {
                    return None;
                }
                Some(Cow::Owned(result))
            }
            Ok(Expanded::Later) => {
                self.complete = false;
                None
            }
            Err(errors) => {
                for (span, error) in errors {
                    let place = self.place_in_source(text, &span, at);
                    let mut help = error.help();
                    if let ValueError::Secret { secret, .. }
                    | ValueError::Reference {
                        secret: Some(secret),
                        ..
                    } = &error
                    {
                        help = attach_elsewhere(secret);
                    }
                    self.report(Problem::NamedValue(error), place, help);
                }
                None
            }
        }
    }

    /// Whether a text asks for a secret of a key vault, or a part of it does, which
    /// is reported: what asks is never what is sent.
    fn is_reference(&mut self, text: &str, at: &Range<usize>) -> bool {
        let found = KeyVaultReference::is_meant_by(text);
        if found {
            let asked = KeyVaultReference::parse(text)
                .map(|reference| (self.values.request(&reference), reference));
            let help = match asked {
                Ok((Requested::Secret(secret), _)) => attach_elsewhere(&secret),
                Ok((_, reference)) => format!(
                    "a document can't fetch a secret itself: let the operator add it with keyward secret set NAME --kind KIND --from SOURCE:{}, where SOURCE is the vault {} in [sources], grant it to a policy such as attach-api-key, and put <wasm-policy name=\"attach-api-key\"/> here",
                    reference.key(),
                    reference.vault()
                ),
                Err(errors) => format!("correct it first: {errors}"),
            };
            self.report(Problem::Reference, at.clone(), help);
        }
        found
    }

    /// Whether a text is an expression, which is reported.
    fn is_expression(&mut self, text: &str, at: &Range<usize>) -> bool {
        let next = self
            .expressions
            .partition_point(|expression| expression.start < at.start);
        let blanked = self
            .expressions
            .get(next)
            .filter(|expression| expression.start < at.end)
            .cloned();
        let found = blanked.is_some() || starts_expression(text);
        if found {
            let at = blanked.unwrap_or_else(|| at.clone());
            self.report(Problem::Expression, at, NO_EXPRESSION);
        }
        found
    }

    /// Where in the document a span of a text is: exact where the text stands in
    /// the document as it is, else the whole text.
    fn place_in_source(&self, text: &str, span: &Range<usize>, at: &Range<usize>) -> Range<usize> {
        let source = self.reporter.source.text;
        match source.get(at.clone()) {
            Some(written) if written == text => at.start + span.start..at.start + span.end,
            _ => at.clone(),
        }
    }

    /// The child elements; text between them is an error.
    pub(crate) fn elements(&mut self, element: Element, place: &'static str) -> Vec<Element> {
        let mut elements = Vec::new();
        for node in element.children {
            match node {
                Node::Element(element) => elements.push(element),
                Node::Text(text) => self.no_text(&text, place),
            }
        }
        elements
    }

    fn no_text(&mut self, text: &Text, place: &'static str) {
        if is_space(&text.text) {
            return;
        }
        let at = visible(text);
        if !self.is_expression(&text.text, &at) {
            let help = match place {
                "<set-header>" => "write the header's value as <value>…</value>",
                "<base>" | "<wasm-policy>" | "<set-variable>" => "it has to be empty",
                _ => "only elements and <!-- comments --> may stand here",
            };
            self.report(
                Problem::UnexpectedText {
                    parent: place.into(),
                },
                at,
                help,
            );
        }
    }

    pub(crate) fn nothing_inside(&mut self, element: Element, place: &'static str) {
        for element in self.elements(element, place) {
            let name = Found::new(&element.name);
            self.report(
                Problem::UnknownElement {
                    name,
                    parent: place.into(),
                },
                element.tag,
                "it has to be empty",
            );
        }
    }

    pub(crate) fn no_attributes(&mut self, element: &Element, name: &'static str) {
        for attribute in &element.attributes {
            let problem = Problem::UnknownAttribute {
                name: Found::new(&attribute.name),
                element: name,
            };
            self.report(
                problem,
                attribute.at.clone(),
                format!("<{name}> has no attributes"),
            );
        }
    }

    /// Takes the attributes of the names asked for; any other is an error.
    pub(crate) fn attributes<const N: usize>(
        &mut self,
        element: &mut Element,
        name: &'static str,
        valid: [&str; N],
    ) -> [Option<Attribute>; N] {
        let mut found = valid.map(|_| None);
        for attribute in std::mem::take(&mut element.attributes) {
            match valid
                .iter()
                .position(|name| *name == attribute.name)
                .and_then(|index| found.get_mut(index))
            {
                Some(slot) => *slot = Some(attribute),
                None => {
                    // Then the one that it was meant to be is not missed as well.
                    element.damaged |= closest(&attribute.name, &valid).is_some();
                    let help = did_you_mean(&attribute.name, &valid, "it has");
                    let problem = Problem::UnknownAttribute {
                        name: Found::new(&attribute.name),
                        element: name,
                    };
                    let at = attribute.at;
                    self.reporter.report(problem, at, Some(help));
                }
            }
        }
        found
    }

    pub(crate) fn required(
        &mut self,
        found: Option<Attribute>,
        tag: &Range<usize>,
        damaged: bool,
        element: &'static str,
        attribute: &'static str,
        example: &str,
    ) -> Option<Attribute> {
        if found.is_none() && !damaged {
            self.report(
                Problem::MissingAttribute { element, attribute },
                tag.clone(),
                format!("write {example}"),
            );
        }
        found
    }

    pub(crate) fn unknown_element(
        &mut self,
        element: &Element,
        parent: &'static str,
        valid: &[&str],
    ) {
        let name = Found::new(&element.name);
        if is_apim_policy(&element.name) && parent != "<policies>" {
            let status = policies::policy(&element.name).map(|policy| policy.status);
            let (problem, help) = match status {
                Some(Status::NotSupported { instead }) => (
                    Problem::UnsupportedPolicy { name },
                    format!("use {instead} instead"),
                ),
                _ => (
                    Problem::NotRunning { name },
                    format!(
                        "what runs here is {}; anything else is a policy written in Rust (<wasm-policy>)",
                        list(valid)
                    ),
                ),
            };
            self.report(problem, element.tag.clone(), help);
            // Whoever takes the step out should know what it asked for.
            for attribute in &element.attributes {
                self.is_reference(&attribute.value, &attribute.value_at);
            }
            return;
        }
        let mut help = did_you_mean(&element.name, valid, &format!("{parent} holds"));
        if parent == "<policies>"
            && (STEPS.contains(&element.name.as_str()) || is_apim_policy(&element.name))
        {
            help = "policies stand in a section: <inbound>, <backend>, <outbound> or <on-error>"
                .to_owned();
        }
        self.report(
            Problem::UnknownElement {
                name,
                parent: parent.into(),
            },
            element.tag.clone(),
            help,
        );
    }

    fn second(&mut self, problem: Problem, at: Range<usize>, first: Range<usize>, help: &str) {
        if let Some(error) = self.reporter.report(problem, at, Some(help.to_owned())) {
            self.reporter.earlier(error, first, "the first is here");
        }
    }

    pub(crate) fn report(&mut self, problem: Problem, at: Range<usize>, help: impl Into<String>) {
        let mut help = help.into();
        let from = self.expanded.iter().find(|(span, _)| *span == at);
        if let Some((_, names)) = from {
            help.push_str(&format!(
                "; the text here comes from the named value {names}"
            ));
        }
        self.reporter.report(problem, at, Some(help));
    }
}

/// What to do about a secret where a document can have none.
fn attach_elsewhere(secret: &str) -> String {
    format!(
        "a document can't attach a secret itself: grant {secret:?} to a policy such as attach-api-key, and put <wasm-policy name=\"attach-api-key\"/> here"
    )
}

/// Whether an expression starts in a text.
fn starts_expression(text: &str) -> bool {
    text.contains("@(") || text.contains("@{")
}

/// The span of a text without the space around it. Exact where no entity
/// stands in that space.
pub(crate) fn visible(text: &Text) -> Range<usize> {
    let before = text.text.len() - text.text.trim_start_matches(SPACE).len();
    let after = text.text.len() - text.text.trim_end_matches(SPACE).len();
    let start = text.at.start.saturating_add(before).min(text.at.end);
    start..text.at.end.saturating_sub(after).max(start)
}

pub(crate) fn did_you_mean(found: &str, valid: &[&str], otherwise: &str) -> String {
    match closest(found, valid) {
        Some(close) => format!("did you mean {close:?}?"),
        None => format!("{otherwise} {}", list(valid)),
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
