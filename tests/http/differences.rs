//! Where Keyward is laxer than the stricter of nginx and Envoy, and why.

use crate::cases::Case;

/// Group, name, reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("HTTP/2: pseudo-fields", ":path with a fragment", FRAGMENT),
    ("HTTP/2: fields", "a host that is the same", SAME),
    ("HTTP/2: bodies", "trailers", TRAILERS),
    ("HTTP/2: bodies", "a pseudo-field as a trailer", PSEUDO),
];

const FRAGMENT: &str =
    "the library that reads HTTP/2 cuts the fragment off before anyone sees the path; none goes on";
const SAME: &str = "RFC 9113, 8.3.1: it may be there if it says the same as :authority, as it does behind a proxy that translates HTTP/1";
const TRAILERS: &str =
    "RFC 9113, 8.1: a request may end with trailers; RFC 9110, 6.5.1: they may be dropped, and are";
const PSEUDO: &str =
    "the library that reads HTTP/2 leaves it out before anyone sees it; no trailer goes on";

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
