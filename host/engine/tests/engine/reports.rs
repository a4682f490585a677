//! What an author learns about a policy that was stopped.

use keyward_engine::{EngineConfig, PolicyStop};

use crate::support::{Lab, guest};

fn lab(reports: bool) -> Lab {
    let mut config = EngineConfig::default();
    config.reports = reports;
    Lab::new(&config)
}

const NESTED: &str = "
  (func $take_apart (unreachable))
  (func $_ZN6policy6decide17h0123456789abcdefE (call $take_apart))";

#[test]
fn a_report_names_the_functions_that_a_trap_was_in() {
    let lab = lab(true);
    let component = guest(1, NESTED, "(call $_ZN6policy6decide17h0123456789abcdefE)");
    let ended = lab.run(&lab.load(&component));
    assert_eq!(ended, Err(PolicyStop::Trap));
    let reports = lab.world.reports.lock().unwrap();
    let [report] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    let names: Vec<&str> = report
        .frames
        .iter()
        .map(|frame| frame.function.as_str())
        .collect();
    assert_eq!(names[..2], ["take_apart", "policy::decide"], "{report}");
    assert!(report.frames[0].offset.is_some(), "{report}");
    assert_eq!(report.stop, PolicyStop::Trap);
    assert_eq!(report.used.memory_bytes, 64 << 10);
}

#[test]
fn a_report_names_where_time_ran_out() {
    let lab = lab(true);
    let main = "(func $brood (loop $l (br $l)))";
    let ended = lab.run(&lab.load(&guest(1, main, "(call $brood)")));
    assert_eq!(ended, Err(PolicyStop::Deadline(50)));
    let reports = lab.world.reports.lock().unwrap();
    assert_eq!(reports[0].frames[0].function, "brood");
    assert_eq!(reports[0].used.cpu_milliseconds, 51);
}

#[test]
fn names_in_a_report_are_short_and_printable() {
    let lab = lab(true);
    let name = format!("$\"\\1b[2J{}\"", "x".repeat(10_000));
    let main = format!("(func {name} (unreachable))");
    lab.run(&lab.load(&guest(1, &main, &format!("(call {name})"))))
        .unwrap_err();
    let reports = lab.world.reports.lock().unwrap();
    let shown = &reports[0].frames[0].function;
    assert!(shown.starts_with("\\u{1b}[2Jxxx"), "{shown}");
    assert!(shown.len() <= 256 && shown.is_ascii(), "{shown}");
}

#[test]
fn recursion_makes_no_long_report() {
    let lab = lab(true);
    let main = "(func $again (call $again))";
    lab.run(&lab.load(&guest(1, main, "(call $again)")))
        .unwrap_err();
    let reports = lab.world.reports.lock().unwrap();
    assert_eq!(reports[0].frames.len(), 32);
}

#[test]
fn without_reports_there_are_numbers_and_no_names() {
    let lab = lab(false);
    lab.run(&lab.load(&guest(1, NESTED, "(call $take_apart)")))
        .unwrap_err();
    let reports = lab.world.reports.lock().unwrap();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].frames.is_empty());
}
