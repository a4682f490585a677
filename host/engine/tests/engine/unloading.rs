//! A policy that nobody holds any more leaves nothing behind.

use keyward_engine::{EngineConfig, Verdict};

use crate::support::{Lab, numbered};

/// The process's mappings that hold code.
fn code_held() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(" r-xp ")).count()
}

#[test]
fn policies_that_come_and_go_leave_no_code_behind() {
    let lab = Lab::new(&EngineConfig::default());
    let components: Vec<_> = (0..300).map(numbered).collect();
    let round = || {
        let policies: Vec<_> = components.iter().map(|one| lab.load(one)).collect();
        assert_eq!(lab.run(policies.last().unwrap()), Ok(Verdict::Proceed));
        policies
    };
    let before = code_held();
    let policies = round();
    let held = code_held();
    drop(policies);
    drop(round());
    let after = code_held();
    // Other tests of this process hold a few meanwhile. Control: while they are
    // held, they show.
    assert!(held > before + 250, "{before} {held}");
    assert!(after < before + 50, "{before} {after}");
}

#[test]
fn policies_of_one_component_hold_its_code_once() {
    let lab = Lab::new(&EngineConfig::default());
    let component = numbered(0);
    let before = code_held();
    let policies: Vec<_> = (0..300).map(|_| lab.load(&component)).collect();
    let held = code_held();
    assert_eq!(lab.run(policies.last().unwrap()), Ok(Verdict::Proceed));
    assert!(held < before + 50, "{before} {held}");
}
