//! The table for operators has each kind of outage, in the words that they meet.

use std::collections::BTreeMap;
use std::path::Path;

use keyward::sources::refresh::{FetchError, ReceiveError};
use keyward::sources::{ChallengeError, IdentityError, SourceError, Unreachable};
use keyward::vault::ImportError;

/// One of each kind.
fn kinds() -> Vec<FetchError> {
    let of_source = [
        SourceError::Unreachable(Unreachable::Connect),
        SourceError::TimedOut,
        SourceError::Protocol,
        SourceError::Throttled { retry_after: None },
        SourceError::Failing { status: 503 },
        SourceError::Sealed,
        SourceError::Standby,
        SourceError::Identity(IdentityError::NotAssigned),
        SourceError::Challenge(ChallengeError::Tenant),
        SourceError::Unauthenticated,
        SourceError::Denied { firewall: false },
        SourceError::NotFound,
        SourceError::Disabled,
        SourceError::Field,
        SourceError::Key { expected: "a name" },
        SourceError::TooLarge { max: 65_536 },
        SourceError::Empty,
        SourceError::Malformed { what: "version" },
        SourceError::File(std::io::ErrorKind::NotFound),
        SourceError::Unsafe { what: "its mode" },
        SourceError::NotConfigured,
        SourceError::Unsupported { what: "to wrap" },
    ];
    let of_value = [
        ReceiveError::Value(ImportError::Empty),
        ReceiveError::Kind {
            said: "…",
            kind: "…",
        },
        ReceiveError::Vault("it is full".to_owned()),
        ReceiveError::Gone,
    ];
    let of_source = of_source.into_iter().map(FetchError::from);
    of_source
        .chain(of_value.into_iter().map(FetchError::from))
        .collect()
}

/// The rows by their words.
fn rows() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/gateway/SOURCES.md");
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().filter_map(|line| {
        let (word, rest) = line.strip_prefix("| `")?.split_once("` |")?;
        Some((word.to_owned(), rest.to_owned()))
    });
    rows.collect()
}

#[test]
fn each_kind_of_outage_has_a_row_with_what_the_doctor_says_and_no_row_is_of_another() {
    let mut rows = rows();
    for error in kinds() {
        let row = rows.remove(error.word());
        let row = row.unwrap_or_else(|| panic!("no row for {}", error.word()));
        // As far as it is the same whatever the details are.
        let said = error.to_string();
        let is_detail = |c: char| c == ':' || c.is_ascii_digit();
        let said = said.split(is_detail).next().unwrap().trim();
        assert!(row.contains(said), "{said:?} is not in:{row}");
        assert_eq!(row.matches('|').count(), 3, "{row}");
    }
    assert!(rows.is_empty(), "{:?}", rows.keys());
}
