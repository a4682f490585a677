//! Where Keyward is laxer than the stricter of nginx and Envoy, and why.

use crate::cases::Case;

/// Group, name, reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[];

/// Why Keyward may be laxer about this case, if it may.
pub(crate) fn reason(case: &Case) -> Option<&'static str> {
    DIFFERENCES
        .iter()
        .find(|(group, name, _)| (*group, *name) == (case.group, case.name))
        .map(|(_, _, reason)| *reason)
}

/// Entries that no case bears out.
pub(crate) fn stale(laxer: &[&Case]) -> Vec<String> {
    DIFFERENCES
        .iter()
        .filter(|(group, name, _)| {
            !laxer
                .iter()
                .any(|case| (case.group, case.name) == (*group, *name))
        })
        .map(|(group, name, _)| format!("{group}: {name}: listed as a difference, and is none"))
        .collect()
}
