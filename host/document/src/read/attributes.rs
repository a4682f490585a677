//! Attributes: which an element has, that those it needs are there, and that
//! those it has go together.

use std::ops::Range;

use super::value::Rules;
use super::{Reader, hints};
use crate::decode::Written;
use crate::error::{Found, Problem};
use crate::model::Field;
use crate::open::did_you_mean;
use crate::policies::{self, Group, Kind};
use crate::tree::Attribute;

impl Reader<'_, '_, '_> {
    /// The attributes of an element.
    pub(super) fn attributes(
        &mut self,
        found: Vec<Attribute>,
        meaning: &'static policies::Element,
        tag: &Range<usize>,
        damaged: bool,
    ) -> Vec<Field> {
        let mut fields: Vec<Field> = Vec::new();
        let mut there: Vec<&str> = Vec::new();
        let mut damaged = damaged;
        for attribute in found {
            let Some(known) = meaning.attribute(&attribute.name) else {
                damaged |= self.unknown_attribute(&attribute, meaning);
                continue;
            };
            there.push(known.name);
            let rules = Rules {
                kind: known.kind,
                expression: known.expression,
                secret: known.secret,
                what: format!("the attribute {:?} of <{}>", known.name, meaning.name),
                keep_space: known.kind == Kind::Text,
                liquid: false,
            };
            let parts = [(attribute.value_at.clone(), Written::Attribute)];
            if let Some(value) = self.value(&parts, attribute.value_at, &rules) {
                fields.push(Field {
                    name: known.name,
                    at: attribute.at,
                    value,
                });
            }
        }
        if !damaged {
            for missing in meaning.attributes.iter().filter(|a| a.required) {
                if !there.contains(&missing.name) {
                    let problem = Problem::MissingAttribute {
                        element: meaning.name,
                        attribute: missing.name,
                    };
                    let help = format!("write <{} {}=\"…\">", meaning.name, missing.name);
                    self.report(problem, tag.clone(), help);
                }
            }
            for group in meaning.groups {
                self.group(group, &there, meaning.name, tag);
            }
        }
        fields
    }

    fn group(&mut self, group: &Group, there: &[&str], element: &'static str, tag: &Range<usize>) {
        let count = |names: &[&str]| names.iter().filter(|name| there.contains(name)).count();
        let (rule, help) = match group {
            Group::One(names) | Group::Some(names) if count(names) == 0 => (
                format!("has none of {}", names.join(", ")),
                "write one of them",
            ),
            Group::One(names) | Group::AtMostOne(names) if count(names) > 1 => (
                format!("has more than one of {}", names.join(", ")),
                "leave all but one out",
            ),
            Group::With(first, second) if there.contains(second) && !there.contains(first) => (
                format!("has {second} without {first}"),
                "write both, or neither",
            ),
            _ => return,
        };
        self.report(Problem::Together { element, rule }, tag.clone(), help);
    }

    /// Whether it was probably meant to be one that the element has.
    fn unknown_attribute(
        &mut self,
        attribute: &Attribute,
        meaning: &'static policies::Element,
    ) -> bool {
        let valid: Vec<&str> = meaning.attributes.iter().map(|known| known.name).collect();
        let hint = hints::unknown_attribute(meaning.name, &attribute.name);
        let close = crate::suggest::closest(&attribute.name, &valid).is_some();
        let help = match hint {
            Some(help) => help.to_owned(),
            None if valid.is_empty() => format!("<{}> has no attributes", meaning.name),
            None => did_you_mean(&attribute.name, &valid, "it has"),
        };
        let problem = Problem::UnknownAttribute {
            name: Found::new(&attribute.name),
            element: meaning.name,
        };
        self.report(problem, attribute.at.clone(), help);
        close
    }
}
