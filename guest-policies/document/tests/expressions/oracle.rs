//! Each case gives what .NET gives, and each member has one.

use std::collections::HashSet;

use keyward_document::named_values::Unresolved;
use keyward_document_program::members::MEMBERS;

use crate::{compiled, result, source};

const FILES: [&str; 2] = [
    include_str!("../../../../host/document/oracle/expected.txt"),
    include_str!("../../../../host/document/oracle/by-hand.txt"),
];

/// Results with their expressions.
fn cases() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES
        .iter()
        .flat_map(|file| file.lines())
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
}

#[test]
fn every_case_gives_what_dotnet_gives() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (expected, case) in cases() {
        count += 1;
        let found = result(&source(case), &Unresolved);
        if found != expected {
            wrong.push(format!("{case}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(count > 700, "{count} cases");
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_member_of_the_table_has_a_case() {
    let mut called = HashSet::new();
    for (_, case) in cases() {
        if let Ok(program) = compiled(&source(case), &Unresolved) {
            called.extend(program.members());
        }
    }
    let missing: Vec<String> = MEMBERS
        .iter()
        .filter(|info| !called.contains(&info.member))
        .map(|info| format!("{}.{} ({:?})", info.receiver.name(), info.name, info.member))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_case_has_a_result() {
    let known: HashSet<&str> = cases().map(|(_, case)| case).collect();
    let cases = include_str!("../../../../host/document/oracle/cases.txt");
    for case in cases
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        assert!(
            known.contains(case),
            "run cargo xtask oracle --update: {case}"
        );
    }
}
