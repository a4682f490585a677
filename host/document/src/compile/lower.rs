//! Sections, elements and values as the program has them.

use keyward_document_program::statements::{self, ElementId, Field, Operand, Place};
use keyward_document_program::{AttributeName, ElementName};
use keyward_names::PolicyName;

use super::{Compiler, Step};
use crate::csharp;
use crate::error::{Found, Problem};
use crate::model::{Effective, Expression, Literal, Name, Node, Payload, Value};
use crate::named_values::{Lookup, NamedValues};
use crate::policies::Kind;
use crate::{Phase, Position};

impl Compiler<'_> {
    /// What runs in a phase; its statements are in the program then.
    pub(super) fn section(&mut self, effective: &Effective, phase: Phase) -> Vec<Step> {
        let mut nodes = effective.phase(phase);
        if phase == Phase::Backend && self.host_forwards {
            // The host sends the request after the last of the others.
            nodes = nodes.split_last().map_or(nodes, |(_, before)| before);
        }
        let (mut steps, mut waiting) = (Vec::new(), Vec::new());
        for node in nodes {
            if node.name() != "wasm-policy" {
                waiting.extend(self.element(node, phase));
                continue;
            }
            self.segment(phase, &mut waiting, &mut steps);
            let name = node.attribute("name");
            let parsed = name.and_then(|name| PolicyName::parse(name.as_text()?).ok());
            match parsed {
                Some(name) => steps.push(Step::Policy {
                    name,
                    position: effective.position(node),
                }),
                None => {
                    let at = name.map_or(node.tag.clone(), |name| name.at.clone());
                    let help = "write the name of a [[policy]] of the gateway's configuration: a-z, 0-9, '.', '_', '-'";
                    let found = Found::new(name.and_then(Value::as_text).unwrap_or_default());
                    self.fault(node, at, Problem::NoPolicyName(found), help);
                }
            }
        }
        self.segment(phase, &mut waiting, &mut steps);
        steps
    }

    fn segment(&mut self, phase: Phase, waiting: &mut Vec<ElementId>, steps: &mut Vec<Step>) {
        if waiting.is_empty() {
            return;
        }
        let phase = match phase {
            Phase::Inbound => statements::Phase::Inbound,
            Phase::Backend => statements::Phase::Backend,
            Phase::Outbound => statements::Phase::Outbound,
            Phase::OnError => statements::Phase::OnError,
        };
        self.statements.segment(phase, waiting);
        waiting.clear();
        steps.push(Step::Segment);
    }

    /// Adds an element with all that is in it. None if something is wrong with it.
    /// Recursion is bounded by the depth of documents.
    fn element(&mut self, node: &Node, phase: Phase) -> Option<ElementId> {
        if node.name() == "wasm-policy" {
            let help = "put it directly into the section: other policies run between the document's own statements, not within them";
            self.fault(node, node.tag.clone(), Problem::NestedPolicy, help);
            return None;
        }
        self.rules(node);
        self.found.element(node);
        let before = self.found.enter(node);
        let mut children = Vec::with_capacity(node.children.len());
        for child in &node.children {
            children.extend(self.element_in(child, node, phase));
        }
        self.found.leave(before);
        self.add(node, None, phase, &children)
    }

    fn element_in(&mut self, node: &Node, parent: &Node, phase: Phase) -> Option<ElementId> {
        // What secrets are for depends on the elements around.
        let carries = matches!(
            node.name(),
            "set-header"
                | "authentication-basic"
                | "authentication-certificate"
                | "authentication-managed-identity"
        );
        if carries
            && matches!(
                parent.name(),
                "send-request" | "send-one-way-request" | "return-response"
            )
        {
            self.rules(node);
            let mut children = Vec::with_capacity(node.children.len());
            for child in &node.children {
                let added = self.add_leaf(child, node, Some(parent), phase);
                children.extend(added);
            }
            return self.add(node, Some(parent), phase, &children);
        }
        if node.children.is_empty() && node.policy.is_none() {
            return self.add_leaf(node, parent, None, phase);
        }
        self.element(node, phase)
    }

    /// An element with nothing in it; `parent` is a policy's, `around` that policy's.
    fn add_leaf(
        &mut self,
        node: &Node,
        parent: &Node,
        around: Option<&Node>,
        phase: Phase,
    ) -> Option<ElementId> {
        let what = super::secrets::Around {
            policy: parent,
            call: around,
            phase,
        };
        self.write(node, &what, &[])
    }

    fn add(
        &mut self,
        node: &Node,
        call: Option<&Node>,
        phase: Phase,
        children: &[ElementId],
    ) -> Option<ElementId> {
        let what = super::secrets::Around {
            policy: node,
            call,
            phase,
        };
        self.write(node, &what, children)
    }

    fn write(
        &mut self,
        node: &Node,
        around: &super::secrets::Around<'_>,
        children: &[ElementId],
    ) -> Option<ElementId> {
        // A test holds that every name of the tables is known.
        let name = ElementName::parse(node.name())?;
        let mut fields = Vec::with_capacity(node.element.attributes.len());
        for attribute in node.element.attributes {
            let Some(name) = AttributeName::parse(attribute.name) else {
                continue;
            };
            let value = match node.attribute(attribute.name) {
                Some(value) => self.operand(node, attribute.name, value, around),
                None => attribute
                    .default
                    .and_then(|default| self.default(attribute.kind, default)),
            };
            fields.extend(value.map(|value| Field { name, value }));
        }
        let text = match &node.text {
            Some(value) => Some(self.operand(node, "", value, around)?),
            None => None,
        };
        let place = Place {
            path: self.statements.text(&node.path),
            scope: node
                .origin
                .scope
                .map(|scope| self.statements.text(scope.as_str())),
            policy_id: node.origin.id.as_ref().map(|id| self.statements.text(id)),
        };
        Some(
            self.statements
                .element(name, &fields, text, children, place),
        )
    }

    /// What holds where an attribute is absent, as the table has it.
    fn default(&mut self, kind: Kind, default: &str) -> Option<Operand> {
        Some(match kind {
            Kind::Bool => Operand::Bool(default == "true"),
            Kind::Int(..) | Kind::Seconds(..) => Operand::Int(default.parse().ok()?),
            _ => Operand::Text(self.statements.text(default)),
        })
    }

    /// A value. None if something is wrong with it, which is reported then.
    fn operand(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        around: &super::secrets::Around<'_>,
    ) -> Option<Operand> {
        match &value.payload {
            Payload::Literal(literal) => self.literal(node, attribute, value, literal, around),
            Payload::Expression(expression) => {
                self.expression(node, attribute, value, expression, around)
            }
            Payload::Secret(secret) => self.secret(node, attribute, value, secret, around),
            Payload::Later => {
                let help = "give the gateway's configuration, in which named values stand";
                self.fault(node, value.at.clone(), Problem::Unbound, help);
                None
            }
        }
    }

    fn literal(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        literal: &Literal,
        around: &super::secrets::Around<'_>,
    ) -> Option<Operand> {
        if let Literal::Text(text) = literal {
            if let Some(operand) = self.credential(node, attribute, value, text, around) {
                return Some(operand);
            }
            self.address(node, attribute, value, text);
        }
        Some(match literal {
            Literal::Text(text) => Operand::Text(self.statements.text(text)),
            Literal::Word(word) => Operand::Text(self.statements.text(word)),
            Literal::Bool(value) => Operand::Bool(*value),
            Literal::Int(value) | Literal::Seconds(value) => Operand::Int(*value),
        })
    }

    fn expression(
        &mut self,
        node: &Node,
        attribute: &'static str,
        value: &Value,
        expression: &Expression,
        around: &super::secrets::Around<'_>,
    ) -> Option<Operand> {
        // The brackets are not part of the code; the places in it move by theirs.
        let (open, close) = if expression.block {
            ("@{", "}")
        } else {
            ("@(", ")")
        };
        let source = format!("{open}{}{close}", expression.code.as_str());
        let bound = Bound(&expression.names);
        let from = self.expressions.built().nodes();
        let compiled = csharp::parse(&source)
            .and_then(|parsed| csharp::compile(&parsed, &mut self.expressions, &bound));
        let id = match compiled {
            Ok(id) => id,
            Err(problems) => {
                for problem in problems {
                    let back = |at: usize| {
                        at.saturating_sub(open.len())
                            .min(expression.code.as_str().len())
                    };
                    let span = back(problem.span.start)..back(problem.span.end);
                    let (code, message) = (problem.code, problem.message);
                    self.faults.push(super::Fault {
                        file: std::sync::Arc::clone(&node.origin.file),
                        problem: Problem::CSharp { code, message },
                        at: expression.code.in_file(span),
                        help: problem.help,
                    });
                }
                return None;
            }
        };
        self.read_variables(node, attribute, value, id, from, around)
    }
}

impl Effective {
    /// Where a statement's start tag stands, in the document that it is from.
    pub fn position(&self, node: &Node) -> Position {
        let found = self.sources().find(|(file, _)| **file == node.origin.file);
        let (file, text) = found.map_or(("", ""), |(file, text)| (&**file, &**text));
        crate::position::Source::new(file, text).position(node.tag.clone())
    }
}

/// The named values of an expression, as they were bound when it was read.
struct Bound<'a>(&'a [Name]);

impl NamedValues for Bound<'_> {
    fn look_up(&self, name: &str) -> Lookup {
        let found = self.0.iter().find(|bound| bound.name == name);
        match found.and_then(|bound| bound.value.clone()) {
            Some(value) => Lookup::Plain(value),
            None => Lookup::Later,
        }
    }
}
