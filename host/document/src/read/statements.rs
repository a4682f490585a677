//! Statements: which policy an element is, and whether it may stand there.

use super::{Place, Reader, hints, sections};
use crate::error::{Found, Problem};
use crate::model::Node;
use crate::policies::{self, Once, Policy, Status};
use crate::suggest::closest;
use crate::tree::Element;

/// Counts elements of a name, for paths.
#[derive(Default)]
pub(super) struct Counter(Vec<(String, usize)>);

impl Counter {
    /// The path of the next element of that name.
    pub(super) fn path(&mut self, before: &str, name: &str) -> String {
        let count = match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.0.push((name.to_owned(), 1));
                1
            }
        };
        format!("{before}{name}[{count}]")
    }
}

impl Reader<'_, '_, '_> {
    /// The statements in an element.
    pub(super) fn statements(&mut self, element: Element, place: Place<'_>) -> Vec<Node> {
        let mut counter = Counter::default();
        let mut nodes = Vec::new();
        let mut base = None;
        for child in self.elements_of(element, place.parent) {
            let Some(policy) = self.policy_of(&child, place) else {
                continue;
            };
            // Only names of policies are counted: paths stay short.
            let path = counter.path(place.path, policy.element.name);
            let tag = child.tag.clone();
            if policy.element.name == "base" {
                if let Some(first) = base.replace(tag.clone()) {
                    let help = "the outer scope's steps would run twice; leave one out";
                    self.second(Problem::OnceOnly("base"), tag, first, help);
                    continue;
                }
            } else {
                self.only_once(policy, &child, place);
            }
            nodes.extend(self.element(child, &policy.element, Some(policy), place, path));
        }
        nodes
    }

    /// The policy that an element is, unless it can't be had here, which is reported.
    fn policy_of(&mut self, element: &Element, place: Place<'_>) -> Option<&'static Policy> {
        let tag = element.tag.clone();
        let Some(policy) = policies::policy(&element.name) else {
            let problem = Problem::UnknownElement {
                name: Found::new(&element.name),
                parent: format!("<{}>", place.parent).into(),
            };
            let help = match hints::unknown_statement(&element.name) {
                Some(help) => help.to_owned(),
                None => self.statements_that(place, &element.name),
            };
            self.report(problem, tag, help);
            return None;
        };
        let name = policy.element.name;
        if name == "base" && (self.fragment || !place.top) {
            let help = if self.fragment {
                "a fragment stands for itself; write <base/> into the document that includes it"
            } else {
                "write <base/> directly into the section"
            };
            let parent = if self.fragment {
                "fragment"
            } else {
                place.parent
            };
            self.report(Problem::NotHere { name, parent }, tag, help);
            return None;
        }
        if name == "include-fragment" && self.fragment {
            let help = "a fragment can't include another: write its steps here, or include both where this one is included";
            let parent = "fragment";
            self.report(Problem::NotHere { name, parent }, tag, help);
            return None;
        }
        if let Status::NotSupported { instead } = policy.status {
            let problem = Problem::UnsupportedPolicy {
                name: Found::new(name),
            };
            self.report(problem, tag, format!("use {instead} instead"));
            return None;
        }
        if place.only.is_some_and(|only| !only.contains(&name)) {
            let help = format!(
                "<{}> holds {}",
                place.parent,
                place.only.unwrap_or_default().join(", ")
            );
            let parent = place.parent;
            self.report(Problem::NotHere { name, parent }, tag, help);
            return None;
        }
        if let Some(section) = place
            .section
            .filter(|phase| !policy.sections.contains(*phase))
        {
            let problem = Problem::WrongSection {
                policy: name,
                section: section.as_str(),
            };
            let help = hints::wrong_section(name).map_or_else(
                || format!("it may stand in {}", sections(policy.sections)),
                |help| format!("it may stand in {}; {help}", sections(policy.sections)),
            );
            self.report(problem, tag.clone(), help);
        }
        if let Some(scope) = self
            .options
            .scope
            .filter(|scope| !policy.scopes.contains(*scope))
        {
            let names: Vec<_> = policy.scopes.iter().map(|scope| scope.as_str()).collect();
            let problem = Problem::WrongScope {
                policy: name,
                scope: scope.as_str(),
            };
            self.report(
                problem,
                tag,
                format!(
                    "move it to a document of one of the scopes {}",
                    names.join(", ")
                ),
            );
        }
        Some(policy)
    }

    /// What may stand in a place, for whoever wrote a name that is none.
    fn statements_that(&self, place: Place<'_>, found: &str) -> String {
        let fits = |policy: &&'static Policy| {
            policy.status == Status::PartOne
                && place
                    .section
                    .is_none_or(|phase| policy.sections.contains(phase))
                && place
                    .only
                    .is_none_or(|only| only.contains(&policy.element.name))
        };
        let here: Vec<&str> = policies::all()
            .filter(fits)
            .map(|policy| policy.element.name)
            .collect();
        let any: Vec<&str> = policies::all().map(|policy| policy.element.name).collect();
        match closest(found, &here).or_else(|| closest(found, &any)) {
            Some(close) => format!("did you mean {close:?}?"),
            None => format!("<{}> holds {}", place.parent, here.join(", ")),
        }
    }

    fn only_once(&mut self, policy: &'static Policy, element: &Element, place: Place<'_>) {
        let section = match policy.once {
            Once::Any => return,
            Once::Section => place.section,
            Once::Document => None,
        };
        let name = policy.element.name;
        let known = self
            .seen
            .iter()
            .find(|(known, where_, _)| *known == name && *where_ == section)
            .map(|(_, _, first)| first.clone());
        match known {
            Some(first) => self.second(
                Problem::OnceOnly(name),
                element.tag.clone(),
                first,
                "leave one out",
            ),
            None => self.seen.push((name, section, element.tag.clone())),
        }
    }
}
