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

/// What the page says that the doctor says, as far as it is the same whatever the
/// details are.
fn said_of(word: &str) -> String {
    let row = rows()
        .remove(word)
        .unwrap_or_else(|| panic!("no row for {word}"));
    let is_detail = |c: char| ":,(…".contains(c) || c.is_ascii_digit();
    let said = row.split('|').next().unwrap();
    let said = said.split(is_detail).next().unwrap().trim();
    assert!(said.len() >= 8, "{row}");
    said.to_owned()
}

/// That the doctor says what the page says that it says.
pub(crate) fn is_as_the_page_has_it(word: &str, doctor: &str) {
    let said = said_of(word);
    assert!(
        doctor.contains(&said),
        "{word}: {said:?} is not in {doctor}"
    );
}

/// That the page has no rows of outages but these, one that has a test of its own, and
/// two that are no source's.
pub(crate) fn has_no_other(words: &[&str]) {
    let others = ["disabled", "vault", "gone"];
    let mut rows = rows();
    for word in words.iter().chain(&others) {
        rows.remove(*word);
    }
    assert!(rows.is_empty(), "never played: {:?}", rows.keys());
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

/// Each error that has advice of its own.
fn advice() -> Vec<String> {
    let places = [
        Unreachable::Resolve,
        Unreachable::Address,
        Unreachable::Connect,
        Unreachable::Certificate,
        Unreachable::Tls,
    ];
    let entra = [700_016, 90_002, 700_213, 700_024, 50_001, 7_000_215, 1];
    let identity = [
        IdentityError::NoEndpoint,
        IdentityError::NotAssigned,
        IdentityError::Ambiguous,
        IdentityError::Throttled,
        IdentityError::Environment { variable: "V" },
        IdentityError::CredentialFile,
        IdentityError::LoginRefused,
        IdentityError::WrongToken,
        IdentityError::Malformed,
        IdentityError::Resource,
        IdentityError::Platform { what: "x" },
    ];
    let identity = identity
        .into_iter()
        .chain(entra.map(|code| IdentityError::Entra { code }))
        .map(|error| SourceError::Identity(error).advice());
    let places = places.map(|fault| SourceError::Unreachable(fault).advice());
    let kinds = kinds().into_iter().map(|error| error.advice());
    kinds.chain(places).chain(identity).collect()
}

#[test]
fn advice_names_only_keys_of_a_source_that_there_are() {
    let keys: Vec<&str> = keyward_gateway::config::KEYS
        .iter()
        .filter(|key| key.section == "[sources.NAME]")
        .map(|key| key.name)
        .collect();
    assert!(keys.contains(&"refresh"));
    // A right in OpenBao.
    let others = ["read"];
    let mut named = 0;
    for advice in advice() {
        assert!(advice.ends_with('.'), "{advice}");
        for word in advice.split('`').skip(1).step_by(2) {
            if !word.contains(' ') && !others.contains(&word) {
                assert!(keys.contains(&word), "{word}: {advice}");
                named += 1;
            }
        }
    }
    assert!(named > 15, "{named}");
}
