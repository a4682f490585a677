//! JSON, for programs: [`Report`] as it is, with its version and its totals.
//!
//! Keys are in kebab-case and stay as they are while [`VERSION`] stays: new ones may
//! come. Durations end in `-us` and are whole microseconds. Each suite has `file`,
//! `name`, `error`, `cases`; each case `name`, `outcome` (`passed`, `failed`,
//! `skipped`), `at`, `steps`, `findings`, `leaks`; each step `request`, `status`,
//! `findings`, `timeline`.

use serde_json::{Value, json};

use super::Report;

/// Of the JSON's shape; greater where a key means something else, or is gone.
pub const VERSION: u32 = 1;

/// The report as one JSON value.
pub fn report(report: &Report) -> Value {
    let mut value = json!({
        "version": VERSION,
        "holds": report.holds(),
        "totals": report.totals(),
        "took-us": u64::try_from(report.took.as_micros()).unwrap_or(u64::MAX),
        "suites": report.suites,
    });
    let suites = value.get_mut("suites").and_then(Value::as_array_mut);
    for (suite, shown) in report.suites.iter().zip(suites.into_iter().flatten()) {
        let cases = shown.get_mut("cases").and_then(Value::as_array_mut);
        for (case, shown) in suite.cases.iter().zip(cases.into_iter().flatten()) {
            if let Some(shown) = shown.as_object_mut() {
                shown.remove("skipped");
                shown.insert("outcome".to_owned(), json!(case.outcome()));
            }
        }
    }
    value
}
