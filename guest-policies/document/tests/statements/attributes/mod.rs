//! Each attribute of each policy has a case that shows what it does: a new one in the
//! tables of `keyward-document` without a case fails here.

mod calls;
mod core;

use std::collections::BTreeSet;

use keyward_document::policies::{Content, Element, policy};

/// An element, an attribute of it, and what shows that it does what it is for.
type Case = (&'static str, &'static str, fn());

/// The policies of a file here, and its cases.
const FILES: &[(&[&str], &[Case])] = &[
    (calls::POLICIES, calls::CASES),
    (core::POLICIES, core::CASES),
];

/// All attributes of an element, and of those in it that are no policies.
fn attributes(element: &'static Element, found: &mut BTreeSet<(&'static str, &'static str)>) {
    for attribute in element.attributes {
        found.insert((element.name, attribute.name));
    }
    if let Content::Children(children) | Content::Ordered(children) = element.content {
        for child in children.iter().filter(|child| child.policy().is_none()) {
            attributes(child.element(), found);
        }
    }
}

#[test]
fn every_attribute_has_a_case_and_every_case_an_attribute() {
    for (policies, cases) in FILES {
        let mut known = BTreeSet::new();
        for name in *policies {
            attributes(&policy(name).unwrap().element, &mut known);
        }
        let shown: BTreeSet<_> = cases
            .iter()
            .map(|(element, attribute, _)| (*element, *attribute))
            .collect();
        assert_eq!(known, shown);
        assert_eq!(shown.len(), cases.len(), "one case for each");
    }
}

#[test]
fn every_attribute_does_what_it_is_for() {
    let mut broken = Vec::new();
    for (element, attribute, case) in FILES.iter().flat_map(|(_, cases)| *cases) {
        if std::panic::catch_unwind(case).is_err() {
            broken.push((*element, *attribute));
        }
    }
    assert_eq!(broken, []);
}
