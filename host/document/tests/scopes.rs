//! `<base/>` from scope to scope.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use keyward_document::{Document, Effective, Phase, Step};

fn document(file: &str, sections: &str) -> Document {
    Document::parse(file, &format!("<policies>{sections}</policies>")).unwrap()
}

fn policies(name: &str) -> String {
    format!("<wasm-policy name='{name}'/>")
}

fn names(effective: &Effective, phase: Phase) -> Vec<String> {
    effective
        .calls(phase)
        .iter()
        .map(|call| call.policy.to_string())
        .collect()
}

#[test]
fn base_is_replaced_where_it_stands() {
    let outer = document(
        "global.xml",
        &format!("<inbound>{}{}</inbound>", policies("o1"), policies("o2")),
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
        let effective = document("inner.xml", inner).splice(Some(&outer));
        assert_eq!(names(&effective, Phase::Inbound), expected, "{inner}");
    }
}

#[test]
fn base_of_the_outermost_scope_stands_for_nothing() {
    let outer = document(
        "global.xml",
        "<inbound><base/><wasm-policy name='o'/></inbound>",
    );
    assert_eq!(names(&outer.splice(None), Phase::Inbound), ["o"]);
    let inner = document("inner.xml", "<inbound><base/></inbound>");
    let effective = inner.splice(Some(&outer));
    assert_eq!(names(&effective, Phase::Inbound), ["o"]);
    assert!(
        !effective
            .phase(Phase::Inbound)
            .iter()
            .any(|step| matches!(step, Step::Base(_)))
    );
    assert_eq!(
        effective.phase(Phase::Inbound)[0].position().file(),
        "global.xml"
    );
}

#[test]
fn three_scopes_splice_one_onto_the_other() {
    let section = |name: &str| format!("<outbound><base/>{}</outbound>", policies(name));
    let [global, product, api] =
        ["global", "product", "api"].map(|name| document(name, &section(name)));
    let effective = api.splice_onto(&product.splice(Some(&global)));
    assert_eq!(
        names(&effective, Phase::Outbound),
        ["global", "product", "api"]
    );
}

#[test]
fn an_absent_section_drops_the_outer_one_and_says_so() {
    let outer = document(
        "global.xml",
        &format!(
            "<inbound>{}</inbound><outbound/>",
            policies("require-client-key")
        ),
    );
    let effective = document("inner.xml", "<backend/>").splice(Some(&outer));
    assert!(names(&effective, Phase::Inbound).is_empty());
    let [dropped] = effective.dropped() else {
        panic!("{:?}", effective.dropped())
    };
    assert_eq!((dropped.phase, dropped.steps), (Phase::Inbound, 1));
    assert_eq!(dropped.first.to_string(), "global.xml:1:20");
}

#[test]
fn set_headers_merge_across_scopes_but_not_across_policies() {
    let header = |name: &str| format!("<set-header name='{name}'><value>1</value></set-header>");
    let outer = document("global.xml", &format!("<inbound>{}</inbound>", header("a")));
    let inner = format!(
        "<inbound><base/>{}{}{}</inbound>",
        header("b"),
        policies("p"),
        header("c")
    );
    let effective = document("inner.xml", &inner).splice(Some(&outer));
    assert_eq!(
        names(&effective, Phase::Inbound),
        ["set-headers", "p", "set-headers"]
    );
    let calls = effective.calls(Phase::Inbound);
    assert_eq!(
        calls[0].settings.as_ref().unwrap().to_string(),
        r#"{"headers":[{"action":"override","name":"a","values":["1"]},{"action":"override","name":"b","values":["1"]}]}"#
    );
    assert_eq!(calls[1].settings, None);
}
