//! The outages that are played, and what is said of each.

use std::io::ErrorKind;

use keyward::sources::{ChallengeError, IdentityError, SourceError, Unreachable};

use crate::world::{Does, GOOD};

/// One of them.
#[derive(Clone)]
pub(crate) struct Row {
    /// What the source does.
    pub(crate) does: Does,
    /// The word that reports, metrics and the page for operators have for it.
    pub(crate) word: &'static str,
    /// Words of the doctor's, of what it found and of what mends it.
    pub(crate) finding: &'static str,
    pub(crate) fix: &'static str,
}

fn row(does: Does, word: &'static str, finding: &'static str, fix: &'static str) -> Row {
    Row {
        does,
        word,
        finding,
        fix,
    }
}

/// Those that a source has in the middle of its life, and at the start of a gateway's.
pub(crate) fn outages() -> Vec<Row> {
    let fails = Does::Fails;
    vec![
        row(
            fails(SourceError::Unreachable(Unreachable::Connect)),
            "unreachable",
            "nothing accepts the connection",
            "See whether the source runs",
        ),
        row(
            Does::Hangs,
            "timed-out",
            "did not answer in time",
            "firewall drops packets",
        ),
        row(
            fails(SourceError::Throttled { retry_after: None }),
            "throttled",
            "asks for fewer requests",
            "raise `refresh`",
        ),
        row(
            fails(SourceError::Failing { status: 503 }),
            "failing",
            "failed with status 503",
            "see its own status",
        ),
        row(
            fails(SourceError::Denied { firewall: false }),
            "denied",
            "access denied",
            "Give the identity the right",
        ),
        row(
            fails(SourceError::Identity(IdentityError::NotAssigned)),
            "identity",
            "not assigned here",
            "Assign the identity",
        ),
        row(
            fails(SourceError::Challenge(ChallengeError::Tenant)),
            "challenge",
            "names another tenant",
            "No token was sent",
        ),
        row(
            fails(SourceError::NotFound),
            "not-found",
            "no such secret in the source",
            "See whether the key",
        ),
        row(
            Does::GivesAsCertificate(GOOD),
            "other-kind",
            "the secret is of kind api-key",
            "Mend the value",
        ),
        row(
            Does::Gives("short"),
            "not-of-kind",
            "no value of the secret's kind",
            "Mend the value",
        ),
        row(
            Does::Gives(""),
            "empty",
            "the value is empty",
            "Set a value in the source",
        ),
        row(
            fails(SourceError::TooLarge { max: 65_536 }),
            "too-large",
            "longer than 65536 bytes",
            "the one you mean",
        ),
        row(
            fails(SourceError::Protocol),
            "protocol",
            "broke off or is not HTTP",
            "and not of a proxy",
        ),
        row(
            fails(SourceError::Malformed { what: "version" }),
            "malformed",
            "answer is malformed: version",
            "a source of this kind",
        ),
        row(
            fails(SourceError::Sealed),
            "sealed",
            "the source is sealed",
            "bao operator unseal",
        ),
        row(
            fails(SourceError::Unauthenticated),
            "unauthenticated",
            "does not accept the token",
            "this machine's clock is right",
        ),
    ]
}

/// What an operator got wrong, or a source that is of another kind than was thought.
pub(crate) fn mistakes() -> Vec<Row> {
    let fails = Does::Fails;
    vec![
        row(
            fails(SourceError::Standby),
            "standby",
            "is a standby and does not answer",
            "name the active instance",
        ),
        row(
            fails(SourceError::Field),
            "field",
            "has no such field",
            "PATH#FIELD",
        ),
        row(
            fails(SourceError::Key { expected: "a name" }),
            "key",
            "not a key of this source: a name",
            "Correct the reference",
        ),
        row(
            fails(SourceError::File(ErrorKind::NotFound)),
            "file",
            "the file can't be read",
            "the folder is mounted",
        ),
        row(
            fails(SourceError::Unsafe { what: "its mode" }),
            "unsafe",
            "not safe to read: its mode",
            "a plain file inside of the folder",
        ),
        row(
            fails(SourceError::NotConfigured),
            "not-configured",
            "no source of that name",
            "[sources.NAME]",
        ),
        row(
            fails(SourceError::Unsupported { what: "to wrap" }),
            "unsupported",
            "can't do this: to wrap",
            "Use a source of a kind that can",
        ),
    ]
}
