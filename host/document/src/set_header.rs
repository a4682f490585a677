//! From `<set-header>` to a checked step.

use std::ops::Range;

use crate::error::{Found, Problem};
use crate::header::{
    ExistsAction, HeaderName, MAX_VALUES, NameProblem, SetHeader, header_name, header_value,
};
use crate::parse::{Interpreter, did_you_mean, visible};
use crate::tree::{Attribute, Element, Node, SPACE, is_space};

impl Interpreter<'_, '_> {
    pub(crate) fn set_header(&mut self, mut element: Element) -> Option<SetHeader> {
        // A value in another place is reported there and not missed as well.
        let mut misplaced = false;
        // Not with the other attributes: some pages of Microsoft's have it.
        if let Some(index) = element
            .attributes
            .iter()
            .position(|attribute| attribute.name == "value")
        {
            let attribute = element.attributes.remove(index);
            misplaced = true;
            let problem = Problem::UnknownAttribute {
                name: Found::new("value"),
                element: "set-header",
            };
            self.report(
                problem,
                attribute.at,
                "write <set-header name=\"…\"><value>…</value></set-header>",
            );
        }
        let [name, action] = self.attributes(&mut element, "set-header", ["name", "exists-action"]);
        let position = self.reporter.source.position(element.tag.clone());
        let (tag, damaged) = (element.tag.clone(), element.damaged);
        let has_text = |node: &Node| matches!(node, Node::Text(text) if !is_space(&text.text));
        misplaced |= element.children.iter().any(has_text);
        let may_lack_values = misplaced || !element.complete;
        let values = self.values(element);
        let action = match action {
            None => Some(ExistsAction::Override),
            Some(attribute) => self.action(&attribute),
        };
        let name = self
            .required(
                name,
                &tag,
                damaged,
                "set-header",
                "name",
                "<set-header name=\"…\" exists-action=\"override\">",
            )
            .and_then(|attribute| self.header_name(&attribute));
        let (action, values) = (action?, values?);
        match (action, values.len()) {
            (ExistsAction::Delete, 1..) => {
                let what = "<set-header exists-action=\"delete\">";
                self.report(
                    Problem::Content {
                        what,
                        rule: "has a <value>",
                    },
                    tag,
                    "leave the values out, or choose override, skip or append",
                );
                return None;
            }
            (ExistsAction::Override | ExistsAction::Skip | ExistsAction::Append, 0) => {
                if may_lack_values {
                    return None;
                }
                let help = "write <value>…</value> into it, or exists-action=\"delete\" to remove the header";
                self.report(
                    Problem::Content {
                        what: "<set-header>",
                        rule: "has no <value>",
                    },
                    tag,
                    help,
                );
                return None;
            }
            _ => {}
        }
        Some(SetHeader {
            name: name?,
            action,
            values,
            position,
        })
    }

    fn action(&mut self, attribute: &Attribute) -> Option<ExistsAction> {
        let text = self.literal(&attribute.value, &attribute.value_at)?;
        let action = ExistsAction::parse(&text);
        if action.is_none() {
            let problem = Problem::Content {
                what: "exists-action",
                rule: "has a value that is none of its four",
            };
            let help = did_you_mean(
                &text,
                &ExistsAction::ALL.map(ExistsAction::as_str),
                "valid are",
            );
            self.report(problem, attribute.value_at.clone(), help);
        }
        action
    }

    fn header_name(&mut self, attribute: &Attribute) -> Option<HeaderName> {
        let text = self.literal(&attribute.value, &attribute.value_at)?;
        match header_name(&text) {
            Ok(name) => Some(name),
            Err(NameProblem::Malformed(rule)) => {
                let help =
                    "a header name has letters, digits, \"-\" and few other signs, and no spaces";
                self.report(
                    Problem::Content { what: "name", rule },
                    attribute.value_at.clone(),
                    help,
                );
                None
            }
            Err(NameProblem::HostOwned) => {
                let help = "leave this step out";
                self.report(
                    Problem::HostHeader(Found::new(&text)),
                    attribute.value_at.clone(),
                    help,
                );
                None
            }
        }
    }

    /// `None` if a value was wrong.
    fn values(&mut self, element: Element) -> Option<Vec<String>> {
        let mut values = Vec::new();
        let mut good = true;
        for element in self.elements(element, "<set-header>") {
            if element.name != "value" {
                self.unknown_element(&element, "<set-header>", &["value"]);
                good = false;
                continue;
            }
            if values.len() >= MAX_VALUES {
                self.report(
                    Problem::Limit {
                        what: "values in a <set-header>",
                        max: MAX_VALUES,
                    },
                    element.tag,
                    "leave some out",
                );
                return None;
            }
            self.no_attributes(&element, "value");
            match self.value(element) {
                Some(value) => values.push(value),
                None => good = false,
            }
        }
        good.then_some(values)
    }

    fn value(&mut self, element: Element) -> Option<String> {
        let mut text = String::new();
        let mut at: Option<Range<usize>> = None;
        let mut good = true;
        for node in element.children {
            match node {
                Node::Element(element) => {
                    self.report(
                        Problem::UnknownElement {
                            name: Found::new(&element.name),
                            parent: "<value>".into(),
                        },
                        element.tag,
                        "a value is text; write &lt; for \"<\"",
                    );
                    good = false;
                }
                Node::Text(part) => {
                    text.push_str(&part.text);
                    good &= !part.damaged;
                    if at.is_some() || !is_space(&part.text) {
                        let start =
                            at.map_or_else(|| visible(&part).start, |at: Range<usize>| at.start);
                        at = Some(start..visible(&part).end.max(start));
                    }
                }
            }
        }
        let at = at.unwrap_or_else(|| element.tag.clone());
        let value = self.literal(text.trim_matches(SPACE), &at)?;
        if !good {
            return None;
        }
        // What a named value brought may have space around it.
        let value = value.trim_matches(SPACE);
        if let Err(rule) = header_value(value) {
            self.report(
                Problem::Content {
                    what: "<value>",
                    rule,
                },
                at,
                "write it on one line, in ASCII",
            );
            return None;
        }
        Some(value.to_owned())
    }
}
