//! What stands in an element: statements, elements of its own, text, a body.

use std::ops::Range;

use super::statements::Counter;
use super::value::Rules;
use super::{Place, Reader, hints};
use crate::decode::Written;
use crate::error::{Found, Problem};
use crate::model::{Literal, Node, Payload, Value};
use crate::open::did_you_mean;
use crate::policies::{self, Child, Content, Kind, Policy, Status};
use crate::tree::{Element, Node as Xml, is_space};

impl Reader<'_, '_, '_> {
    /// An element whose meaning is known, with everything in it.
    pub(super) fn element(
        &mut self,
        mut element: Element,
        meaning: &'static policies::Element,
        policy: Option<&'static Policy>,
        place: Place<'_>,
        path: String,
    ) -> Option<Node> {
        let mut node = self.node(&element, path);
        node.element = meaning;
        node.policy = policy;
        let attributes = std::mem::take(&mut element.attributes);
        node.attributes = self.attributes(attributes, meaning, &node.tag, element.damaged);
        let inner = format!("{}/", node.path);
        let within = Place {
            parent: meaning.name,
            section: place.section,
            top: false,
            only: None,
            path: &inner,
        };
        let complete = element.complete;
        match meaning.content {
            Content::Nothing => self.nothing(element, meaning.name),
            Content::Statements => node.children = self.statements(element, within),
            Content::Only(only) => {
                let only = Some(only);
                node.children = self.statements(element, Place { only, ..within });
            }
            Content::Text(text) => {
                let rules = Rules {
                    kind: text.kind,
                    expression: text.expression,
                    secret: text.secret,
                    what: format!("the text of <{}>", meaning.name),
                    keep_space: false,
                    liquid: false,
                };
                node.text = self.text(element, meaning.name, &rules);
            }
            Content::Children(children) => {
                node.children = self.children(element, meaning.name, children, false, within);
            }
            Content::Ordered(children) => {
                node.children = self.children(element, meaning.name, children, true, within);
            }
            Content::Body => {
                let liquid = node.attribute("template").is_some_and(|value| {
                    matches!(value.payload, Payload::Literal(Literal::Word("liquid")))
                });
                node.text = self.body(element, liquid);
            }
            Content::Unread => {}
        }
        if complete {
            self.judge(&node);
        }
        Some(node)
    }

    fn nothing(&mut self, element: Element, name: &'static str) {
        for child in self.elements_of(element, name) {
            let problem = Problem::UnknownElement {
                name: Found::new(&child.name),
                parent: format!("<{name}>").into(),
            };
            self.report(problem, child.tag, "it has to be empty");
        }
    }

    fn children(
        &mut self,
        element: Element,
        name: &'static str,
        valid: &'static [Child],
        ordered: bool,
        place: Place<'_>,
    ) -> Vec<Node> {
        let (tag, complete, end) = (element.tag.clone(), element.complete, element.end.end);
        let mut counter = Counter::default();
        let mut nodes: Vec<Node> = Vec::new();
        let mut counts = vec![0usize; valid.len()];
        let mut last = 0;
        for child in self.elements_of(element, name) {
            let Some((index, known)) = valid
                .iter()
                .enumerate()
                .find(|(_, known)| known.element().name == child.name)
            else {
                self.unknown_child(&child, name, valid);
                continue;
            };
            if let Some(Status::NotSupported { instead }) = known.policy().map(|p| p.status) {
                let problem = Problem::UnsupportedPolicy {
                    name: Found::new(&child.name),
                };
                self.report(problem, child.tag, format!("use {instead} instead"));
                continue;
            }
            if let Some(count) = counts.get_mut(index) {
                *count += 1;
                if *count == known.max.saturating_add(1) {
                    let problem = Problem::OnceOnly(known.element().name);
                    let help = format!("<{name}> holds at most {}", known.max);
                    self.report(problem, child.tag.clone(), help);
                }
            }
            if ordered && index < last {
                let before = valid.get(last).map_or("", |child| child.element().name);
                let problem = Problem::Order {
                    element: known.element().name,
                    before,
                };
                self.report(problem, child.tag.clone(), "move it up");
            }
            last = last.max(index);
            let path = counter.path(place.path, known.element().name);
            nodes.extend(self.element(child, known.element(), known.policy(), place, path));
        }
        // What is missing may be what was reported in its place.
        let told = self.reporter.has_within(&(tag.end..end));
        for (known, count) in valid.iter().zip(counts) {
            if count < known.min && complete && !told {
                let problem = Problem::MissingElement {
                    parent: name,
                    element: known.element().name,
                };
                let help = format!("write <{}> into it", known.element().name);
                self.report(problem, tag.clone(), help);
            }
        }
        nodes
    }

    fn unknown_child(&mut self, child: &Element, parent: &'static str, valid: &[Child]) {
        let names: Vec<&str> = valid.iter().map(|child| child.element().name).collect();
        let help = match hints::unknown_child(parent, &child.name) {
            Some(help) => help.to_owned(),
            None => did_you_mean(&child.name, &names, &format!("<{parent}> holds")),
        };
        let problem = Problem::UnknownElement {
            name: Found::new(&child.name),
            parent: format!("<{parent}>").into(),
        };
        self.report(problem, child.tag.clone(), help);
    }

    /// The text of an element; an element in it is an error. `None` where there is none.
    fn text(&mut self, element: Element, name: &'static str, rules: &Rules) -> Option<Value> {
        let mut parts = Vec::new();
        let mut at: Option<Range<usize>> = None;
        let mut told = false;
        for node in &element.children {
            match node {
                Xml::Text(text) if text.damaged => return None,
                Xml::Text(text) => {
                    let written = if text.cdata {
                        Written::CData
                    } else {
                        Written::Text
                    };
                    parts.push((text.at.clone(), written));
                    at = Some(at.map_or(text.at.start, |at| at.start)..text.at.end);
                }
                Xml::Element(child) if !told => {
                    told = true;
                    let problem = Problem::UnknownElement {
                        name: Found::new(&child.name),
                        parent: format!("<{name}>").into(),
                    };
                    self.report(problem, child.tag.clone(), "it holds text alone");
                }
                Xml::Element(_) => {}
            }
        }
        if told || !element.complete {
            return None;
        }
        let at = at.unwrap_or(element.tag.end..element.tag.end);
        self.no_comment_beside_an_expression(&element.comments, &at);
        self.value(&parts, at, rules)
    }

    /// A message body: text, a single `<value>` with text, or markup as it is.
    fn body(&mut self, mut element: Element, liquid: bool) -> Option<Value> {
        let rules = Rules {
            kind: Kind::Text,
            expression: true,
            secret: false,
            what: "the text of <set-body>".to_owned(),
            keep_space: true,
            liquid,
        };
        let is_markup = |node: &Xml| matches!(node, Xml::Element(_));
        if !element.children.iter().any(is_markup) {
            return self.text(element, "set-body", &rules);
        }
        let only_value = element.children.iter().all(|node| match node {
            Xml::Element(child) => child.name == "value" && child.attributes.is_empty(),
            Xml::Text(text) => is_space(&text.text),
        });
        let elements = element
            .children
            .iter()
            .filter(|node| is_markup(node))
            .count();
        if only_value && elements == 1 {
            let value = element.children.drain(..).find_map(|node| match node {
                Xml::Element(child) => Some(child),
                Xml::Text(_) => None,
            })?;
            return self.text(value, "value", &rules);
        }
        if !element.complete {
            return None;
        }
        let at = element.tag.end..element.end.start;
        self.value(&[(at.clone(), Written::CData)], at, &rules)
    }

    fn no_comment_beside_an_expression(&mut self, comments: &[Range<usize>], at: &Range<usize>) {
        if self.expression_in(at).is_none() {
            return;
        }
        if let Some(comment) = comments.first() {
            let help = "API Management refuses it; write a C# comment (// …) into a block, or put this one before the element";
            self.report(Problem::CommentInExpression, comment.clone(), help);
        }
    }
}
