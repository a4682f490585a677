//! `<base/>` from scope to scope, and fragments where they are included.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keyward_document::Phase;
use keyward_document::model::{Document, Effective, NoFragments, effective};
use keyward_document::read::{Options, read};

fn document(file: &str, sections: &str) -> Document {
    let text = format!("<policies>{sections}</policies>");
    read(file, &text, &Options::default()).document.unwrap()
}

fn policy(name: &str) -> String {
    format!("<wasm-policy name='{name}'/>")
}

fn in_force(scopes: &[&Document]) -> Effective {
    effective(scopes, &NoFragments).unwrap()
}

fn names(effective: &Effective, phase: Phase) -> Vec<String> {
    let nodes = effective.phase(phase).iter();
    let name = |value: &keyward_document::model::Value| value.as_text().map(str::to_owned);
    nodes
        .map(|node| node.attribute("name").and_then(name).unwrap())
        .collect()
}

#[test]
fn base_is_replaced_where_it_stands() {
    let outer = document(
        "global.xml",
        &format!("<inbound>{}{}</inbound>", policy("o1"), policy("o2")),
    );
    for (inner, expected) in [
        (
            "<inbound><base/><wasm-policy name='i'/></inbound>",
            vec!["o1", "o2", "i"],
        ),
        (
            "<inbound><wasm-policy name='i'/><base/></inbound>",
            vec!["i", "o1", "o2"],
        ),
        ("<inbound><wasm-policy name='i'/></inbound>", vec!["i"]),
        ("<inbound/>", vec![]),
        ("", vec![]),
    ] {
        let effective = in_force(&[&outer, &document("inner.xml", inner)]);
        assert_eq!(names(&effective, Phase::Inbound), expected, "{inner}");
    }
}

#[test]
fn base_of_the_outermost_scope_stands_for_nothing() {
    let outer = document(
        "global.xml",
        "<inbound><base/><wasm-policy name='o'/></inbound>",
    );
    assert_eq!(names(&in_force(&[&outer]), Phase::Inbound), ["o"]);
    let inner = document("inner.xml", "<inbound><base/></inbound>");
    let effective = in_force(&[&outer, &inner]);
    assert_eq!(names(&effective, Phase::Inbound), ["o"]);
    let first = &effective.phase(Phase::Inbound)[0];
    assert_eq!(&*first.origin.file, "global.xml");
}

#[test]
fn three_scopes_stand_one_in_the_other() {
    let section = |name: &str| format!("<outbound><base/>{}</outbound>", policy(name));
    let [global, product, api] =
        ["global", "product", "api"].map(|name| document(name, &section(name)));
    let effective = in_force(&[&global, &product, &api]);
    assert_eq!(
        names(&effective, Phase::Outbound),
        ["global", "product", "api"]
    );
}

fn includes(times: usize) -> Document {
    let include = "<include-fragment fragment-id='big'/>";
    document(
        "api.xml",
        &format!("<inbound>{}</inbound>", include.repeat(times)),
    )
}

#[test]
fn a_large_fragment_included_again_and_again_is_an_error_before_it_is_copied() {
    let text = format!("<fragment>{}</fragment>", policy("x").repeat(15_000));
    let big = read("big.xml", &text, &Options::default())
        .document
        .unwrap();
    let fragments = BTreeMap::from([("big".to_owned(), big)]);
    let began = Instant::now();
    let errors = effective(&[&includes(10_000)], &fragments).unwrap_err();
    let shown = errors.to_string();
    assert!(
        shown.contains("elements in all documents in force together"),
        "{shown}"
    );
    assert!(began.elapsed() < Duration::from_secs(20), "it took long");
    assert!(
        effective(&[&includes(2)], &fragments).is_ok(),
        "control: twice there is room for it"
    );
}
