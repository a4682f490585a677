//! A program holds numbers for the names of elements and attributes: each name of
//! the tables has one, and no number is for a name that no table has.

use std::collections::BTreeSet;

use keyward_document::policies::{self, Content, Element, Policy, Status};
use keyward_document_program::{AttributeName, ElementName};

/// Stands for broader scopes, or splits the document: gone when it is compiled.
const GONE: [&str; 2] = ["base", "wasm-policy"];

fn walk(element: &Element, names: &mut [BTreeSet<&'static str>; 2]) {
    let [elements, attributes] = names;
    elements.insert(element.name);
    attributes.extend(element.attributes.iter().map(|attribute| attribute.name));
    if let Content::Children(children) | Content::Ordered(children) = element.content {
        for child in children {
            // A refused policy is never compiled.
            let refused = |policy: &Policy| policy.status != Status::PartOne;
            if !child.policy().is_some_and(refused) {
                walk(child.element(), names);
            }
        }
    }
}

#[test]
fn each_name_of_the_tables_has_a_number_and_each_number_a_name() {
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    for policy in policies::all() {
        let element = &policy.element;
        if policy.status == Status::PartOne && !GONE.contains(&element.name) {
            walk(element, &mut names);
        }
    }
    let [elements, attributes] = names;
    let numbered: BTreeSet<_> = ElementName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(elements, numbered);
    let numbered: BTreeSet<_> = AttributeName::ALL
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(attributes, numbered);
    for name in ElementName::ALL {
        assert_eq!(ElementName::parse(name.as_str()), Some(*name));
    }
    for name in AttributeName::ALL {
        assert_eq!(AttributeName::parse(name.as_str()), Some(*name));
    }
}
