//! Where Keyward is laxer than the stricter of nginx and Envoy, and why.

use crate::cases::Case;

/// Group, name, reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("Methods and versions", "an unknown method", METHOD),
    ("Methods and versions", "HTTP/1.0", OLD),
    ("Field names", "an underscore in the name", UNDERSCORE),
    ("Hop by hop", "an upgrade that was not asked for", UPGRADE),
    (
        "Hidden requests",
        "behind an upgrade that is not answered",
        UPGRADE,
    ),
    ("Hidden requests", "behind HTTP/1.0 without keep-alive", OLD),
    ("HTTP/2: pseudo-fields", ":path with a fragment", FRAGMENT),
    ("HTTP/2: fields", "a host that is the same", SAME),
    ("HTTP/2: fields", "an underscore in the name", UNDERSCORE),
    ("HTTP/2: bodies", "trailers", TRAILERS),
    ("HTTP/2: bodies", "a pseudo-field as a trailer", TRAILERS),
    ("HTTP/2: bodies", "content-length as a trailer", TRAILERS),
];

const METHOD: &str =
    "methods are an open list (RFC 9110, 16.1); grants name those that may carry a credential";
const OLD: &str = "HTTP/1.0 has one reading, too, where Host is there and Transfer-Encoding is not";
const UNDERSCORE: &str = "such names are in use; those that could be read as framing are refused, and where a credential is written both spellings are replaced";
const UPGRADE: &str = "RFC 9110, 7.8: an upgrade may be ignored; what follows is read as the next request, by both sides";
const FRAGMENT: &str = "the fragment is cut off before anyone reads the path";
const SAME: &str = "RFC 9113, 8.3.1: it may be there if it says the same as :authority";
const TRAILERS: &str = "no trailer of a client's is passed on, whatever is in it";

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
