//! What goes from the command to the gateway.

use std::collections::BTreeSet;
use std::io::{self, Read};

use keyward::names::{GrantId, SecretName, SourceName, Subject, Tag, ValueName};
use serde::{Deserialize, Serialize};

use super::texts::{
    FilterText, KeyText, KindText, NewKeyText, OriginText, ValidityText, ValueText,
};
use super::verbs::Verb;

/// The longest request line, in bytes with its line end.
pub const MAX_REQUEST_LINE: usize = 64 * 1024;
/// The longest value of any kind, with a line end.
pub(super) const MAX_VALUE: u64 = (1 << 20) + 2;
/// The longest reason, in characters, as the audit trail keeps it.
pub const MAX_REASON: usize = 256;

/// A request's line: what, why, and how many bytes of which values follow it.
///
/// What it does not know is an error, so that an older gateway does not half
/// understand a newer command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// What is asked for.
    pub request: Request,
    /// Why, in the words of whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The length in bytes of each value that follows the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<u64>,
}

impl Envelope {
    /// Reads a line, without its end.
    ///
    /// Errors: it is not a request that this gateway knows. The error repeats no
    /// more of the line than a word.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        // The parser would take arrays for objects, too, whose members have no
        // names that could be unknown.
        let objects: Objects = serde_json::from_slice(line)?;
        if !line.trim_ascii_start().starts_with(b"{") || !objects.request.is_object() {
            return Err(serde::de::Error::custom("a request is an object"));
        }
        serde_json::from_slice(line)
    }
}

/// The parts of an envelope that are to be objects.
#[derive(Deserialize)]
struct Objects {
    request: serde_json::Value,
}

/// What is asked for, of a running gateway or of an opened vault.
///
/// Times are RFC 3339. Files are named by absolute paths, and opened by whoever
/// carries the request out: a gateway opens them as its own user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", deny_unknown_fields, rename_all_fields = "kebab-case")]
#[expect(
    missing_docs,
    reason = "the verbs are documented at Verb, fields at what they become"
)]
pub enum Request {
    #[serde(rename = "ping")]
    Ping {},
    #[serde(rename = "status")]
    Status {},

    /// At most `limit` (1000 unless set, and at most that) after the name `after`;
    /// or the one of that `name`.
    #[serde(rename = "secret.list")]
    SecretList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<SecretName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<SecretName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    /// Brings the value, unless it is to be generated.
    #[serde(rename = "secret.set")]
    SecretSet {
        name: SecretName,
        kind: KindText,
        #[serde(default, skip_serializing_if = "ValidityText::is_unbounded")]
        validity: ValidityText,
        #[serde(default, skip_serializing_if = "is_false")]
        generate: bool,
        /// Where its values come from, if not from here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<OriginText>,
        /// Whether it brings the certificate of a key that stays in its source.
        #[serde(default, skip_serializing_if = "is_false")]
        chain: bool,
    },
    /// Those of these names, or of this source, or all. The sources are asked now.
    #[serde(rename = "secret.refresh")]
    SecretRefresh {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<SecretName>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<SourceName>,
    },
    /// From where the values of a secret come from here on; from nowhere else than
    /// here without `from`.
    #[serde(rename = "secret.origin")]
    SecretOrigin {
        name: SecretName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<OriginText>,
    },
    #[serde(rename = "source.list")]
    SourceList {},
    /// With the key of a secret as far as its value; without, as far as the source.
    #[serde(rename = "source.check")]
    SourceCheck {
        source: SourceName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    #[serde(rename = "database.check")]
    DatabaseCheck {},
    /// Brings the value, unless it is to be generated.
    #[serde(rename = "secret.rotate")]
    SecretRotate {
        name: SecretName,
        #[serde(default, skip_serializing_if = "ValidityText::is_unbounded")]
        validity: ValidityText,
        #[serde(default, skip_serializing_if = "is_false")]
        generate: bool,
        /// How many bytes a value has that is generated; as many as usual unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u64>,
        /// For how many seconds the version that it replaces stays accepted where
        /// codes are verified; none: as the secret's rotation says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retire_previous_after: Option<u64>,
        /// From now on a new value is made each so many seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<u64>,
    },
    /// What is not there stays as it is; 0 stands for until the next rotation, and
    /// for never.
    #[serde(rename = "secret.rotation")]
    SecretRotation {
        name: SecretName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retire_previous_after: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<u64>,
    },
    #[serde(rename = "secret.roll-back")]
    SecretRollBack {
        name: SecretName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    },
    #[serde(rename = "secret.disable")]
    SecretDisable { name: SecretName },
    #[serde(rename = "secret.enable")]
    SecretEnable { name: SecretName },
    #[serde(rename = "secret.retire")]
    SecretRetire { name: SecretName, version: u64 },
    #[serde(rename = "secret.remove")]
    SecretRemove { name: SecretName },
    /// Of the version in use unless one is named.
    #[serde(rename = "secret.validity")]
    SecretValidity {
        name: SecretName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
        #[serde(default, skip_serializing_if = "ValidityText::is_unbounded")]
        validity: ValidityText,
    },

    /// `keys` is the secret that holds the clients, here and below; without it,
    /// the only one of kind `client-keys`.
    #[serde(rename = "client.list")]
    ClientList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
    },
    /// Brings the key.
    #[serde(rename = "client.add")]
    ClientAdd {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },
    /// Brings the key.
    #[serde(rename = "client.rotate")]
    ClientRotate {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },
    #[serde(rename = "client.retire")]
    ClientRetire {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },
    #[serde(rename = "client.disable")]
    ClientDisable {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },
    #[serde(rename = "client.enable")]
    ClientEnable {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },
    #[serde(rename = "client.remove")]
    ClientRemove {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keys: Option<SecretName>,
        subject: Subject,
    },

    #[serde(rename = "value.list")]
    ValueList {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tag: Option<Tag>,
    },
    #[serde(rename = "value.show")]
    ValueShow { name: ValueName },
    #[serde(rename = "value.set")]
    ValueSet {
        name: ValueName,
        value: ValueText,
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        tags: BTreeSet<Tag>,
    },
    #[serde(rename = "value.remove")]
    ValueRemove { name: ValueName },

    #[serde(rename = "grants.list")]
    GrantsList {},
    #[serde(rename = "grants.reload")]
    GrantsReload {},
    #[serde(rename = "grants.revoke")]
    GrantsRevoke { grant: GrantId },
    #[serde(rename = "grants.reinstate")]
    GrantsReinstate { grant: GrantId },

    #[serde(rename = "config.reload")]
    ConfigReload {},

    #[serde(rename = "audit.checkpoint")]
    AuditCheckpoint {},
    /// The records from entry `from` on that the filter takes, at most `limit`
    /// (100 unless set, and at most 1000).
    #[serde(rename = "audit.query")]
    AuditQuery {
        #[serde(default)]
        filter: Box<FilterText>,
        #[serde(default)]
        from: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
    },
    #[serde(rename = "audit.who")]
    AuditWho {
        secret: SecretName,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<String>,
    },
    #[serde(rename = "audit.prove")]
    AuditProve { entry: u64 },
    /// With this verifier key, or the gateway's own.
    #[serde(rename = "audit.verify")]
    AuditVerify {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// From checkpoint `old` to `new`, or to the trail's newest.
    #[serde(rename = "audit.consistency")]
    AuditConsistency {
        old: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    #[serde(rename = "audit.prune")]
    AuditPrune { before: String },

    #[serde(rename = "vault.status")]
    VaultStatus {},
    #[serde(rename = "vault.slots")]
    VaultSlots {},
    /// Brings the passphrase, if the key is one.
    #[serde(rename = "vault.slot-add")]
    VaultSlotAdd { key: NewKeyText },
    #[serde(rename = "vault.slot-remove")]
    VaultSlotRemove { slot: u64 },
    #[serde(rename = "vault.rewrap")]
    VaultRewrap {},
    /// Brings the passphrase of each key that is one, in their order.
    #[serde(rename = "vault.rekey")]
    VaultRekey { keys: Vec<KeyText> },
    /// Brings the passphrase, if the key is one. The answer's bytes are the
    /// sealed copy.
    #[serde(rename = "vault.backup")]
    VaultBackup { key: NewKeyText },
}

impl Request {
    /// What kind of request it is.
    pub fn verb(&self) -> Verb {
        match self {
            Self::Ping {} => Verb::Ping,
            Self::Status {} => Verb::Status,
            Self::SecretList { .. } => Verb::SecretList,
            Self::SecretSet { .. } => Verb::SecretSet,
            Self::SecretRotate { .. } => Verb::SecretRotate,
            Self::SecretRotation { .. } => Verb::SecretRotation,
            Self::SecretRollBack { .. } => Verb::SecretRollBack,
            Self::SecretDisable { .. } => Verb::SecretDisable,
            Self::SecretEnable { .. } => Verb::SecretEnable,
            Self::SecretRetire { .. } => Verb::SecretRetire,
            Self::SecretRemove { .. } => Verb::SecretRemove,
            Self::SecretValidity { .. } => Verb::SecretValidity,
            Self::SecretRefresh { .. } => Verb::SecretRefresh,
            Self::SecretOrigin { .. } => Verb::SecretOrigin,
            Self::SourceList {} => Verb::SourceList,
            Self::SourceCheck { .. } => Verb::SourceCheck,
            Self::DatabaseCheck {} => Verb::DatabaseCheck,
            Self::ClientList { .. } => Verb::ClientList,
            Self::ClientAdd { .. } => Verb::ClientAdd,
            Self::ClientRotate { .. } => Verb::ClientRotate,
            Self::ClientRetire { .. } => Verb::ClientRetire,
            Self::ClientDisable { .. } => Verb::ClientDisable,
            Self::ClientEnable { .. } => Verb::ClientEnable,
            Self::ClientRemove { .. } => Verb::ClientRemove,
            Self::ValueList { .. } => Verb::ValueList,
            Self::ValueShow { .. } => Verb::ValueShow,
            Self::ValueSet { .. } => Verb::ValueSet,
            Self::ValueRemove { .. } => Verb::ValueRemove,
            Self::GrantsList {} => Verb::GrantsList,
            Self::GrantsReload {} => Verb::GrantsReload,
            Self::ConfigReload {} => Verb::ConfigReload,
            Self::GrantsRevoke { .. } => Verb::GrantsRevoke,
            Self::GrantsReinstate { .. } => Verb::GrantsReinstate,
            Self::AuditCheckpoint {} => Verb::AuditCheckpoint,
            Self::AuditQuery { .. } => Verb::AuditQuery,
            Self::AuditWho { .. } => Verb::AuditWho,
            Self::AuditProve { .. } => Verb::AuditProve,
            Self::AuditVerify { .. } => Verb::AuditVerify,
            Self::AuditConsistency { .. } => Verb::AuditConsistency,
            Self::AuditPrune { .. } => Verb::AuditPrune,
            Self::VaultStatus {} => Verb::VaultStatus,
            Self::VaultSlots {} => Verb::VaultSlots,
            Self::VaultSlotAdd { .. } => Verb::VaultSlotAdd,
            Self::VaultSlotRemove { .. } => Verb::VaultSlotRemove,
            Self::VaultRewrap {} => Verb::VaultRewrap,
            Self::VaultRekey { .. } => Verb::VaultRekey,
            Self::VaultBackup { .. } => Verb::VaultBackup,
        }
    }

    /// How many values it brings.
    pub fn values(&self) -> usize {
        match self {
            Self::SecretSet {
                generate,
                from,
                chain,
                ..
            } => usize::from(*chain || (!generate && from.is_none())),
            Self::SecretRotate { generate, .. } => usize::from(!generate),
            Self::ClientAdd { .. } | Self::ClientRotate { .. } => 1,
            Self::VaultSlotAdd { key } | Self::VaultBackup { key } => {
                usize::from(matches!(key, NewKeyText::Passphrase { .. }))
            }
            Self::VaultRekey { keys } => {
                let passphrases = keys.iter().filter(|key| **key == KeyText::Passphrase {});
                passphrases.count()
            }
            _ => 0,
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The verb of a line that is no request otherwise, for a denial to name.
pub(super) fn verb_of(line: &[u8]) -> Option<Verb> {
    #[derive(Deserialize)]
    struct Head {
        request: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        verb: String,
    }
    let head: Head = serde_json::from_slice(line).ok()?;
    head.request.verb.parse().ok()
}

/// Reads a line, without its end and without a byte of what follows it: that may
/// be a secret, which is to be read into one place only.
///
/// Errors: the source ends or fails, or the line is longer than
/// [`MAX_REQUEST_LINE`].
pub fn read_request_line(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        source.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(line);
        }
        if line.len() >= MAX_REQUEST_LINE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        line.extend_from_slice(&byte);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::collections::BTreeSet;

    use super::*;

    /// A request of each verb, as it goes over the wire.
    const EACH: &[&str] = &[
        r#"{"verb":"ping"}"#,
        r#"{"verb":"status"}"#,
        r#"{"verb":"secret.list"}"#,
        r#"{"verb":"secret.set","name":"a","kind":{"kind":"api-key"},"validity":{"not-after":"2027-01-01T00:00:00Z"}}"#,
        r#"{"verb":"secret.rotate","name":"a","generate":true,"length":64}"#,
        r#"{"verb":"secret.rotation","name":"a","every":86400}"#,
        r#"{"verb":"secret.roll-back","name":"a","to":1}"#,
        r#"{"verb":"secret.disable","name":"a"}"#,
        r#"{"verb":"secret.enable","name":"a"}"#,
        r#"{"verb":"secret.retire","name":"a","version":1}"#,
        r#"{"verb":"secret.remove","name":"a"}"#,
        r#"{"verb":"secret.validity","name":"a","validity":{"not-before":"2027-01-01T00:00:00Z"}}"#,
        r#"{"verb":"secret.refresh","names":["a"],"source":"azure"}"#,
        r#"{"verb":"secret.origin","name":"a","from":{"reference":"azure:a","cache":"sealed"}}"#,
        r#"{"verb":"source.list"}"#,
        r#"{"verb":"source.check","source":"azure","key":"a"}"#,
        r#"{"verb":"database.check"}"#,
        r#"{"verb":"client.list","keys":"clients"}"#,
        r#"{"verb":"client.add","subject":"acme"}"#,
        r#"{"verb":"client.rotate","subject":"acme"}"#,
        r#"{"verb":"client.retire","subject":"acme"}"#,
        r#"{"verb":"client.disable","subject":"acme"}"#,
        r#"{"verb":"client.enable","subject":"acme"}"#,
        r#"{"verb":"client.remove","subject":"acme"}"#,
        r#"{"verb":"value.list","tag":"web"}"#,
        r#"{"verb":"value.show","name":"Backend-Url"}"#,
        r#"{"verb":"value.set","name":"Backend-Url","value":{"plain":"x"},"tags":["web"]}"#,
        r#"{"verb":"value.remove","name":"Backend-Url"}"#,
        r#"{"verb":"grants.list"}"#,
        r#"{"verb":"grants.reload"}"#,
        r#"{"verb":"grants.revoke","grant":"g"}"#,
        r#"{"verb":"grants.reinstate","grant":"g"}"#,
        r#"{"verb":"config.reload"}"#,
        r#"{"verb":"audit.checkpoint"}"#,
        r#"{"verb":"audit.query","filter":{"use":"attach","refused-only":true},"from":7,"limit":10}"#,
        r#"{"verb":"audit.who","secret":"a","since":"2027-01-01T00:00:00Z"}"#,
        r#"{"verb":"audit.prove","entry":7}"#,
        r#"{"verb":"audit.verify"}"#,
        r#"{"verb":"audit.consistency","old":"a checkpoint"}"#,
        r#"{"verb":"audit.prune","before":"2027-01-01T00:00:00Z"}"#,
        r#"{"verb":"vault.status"}"#,
        r#"{"verb":"vault.slots"}"#,
        r#"{"verb":"vault.slot-add","key":{"passphrase":{}}}"#,
        r#"{"verb":"vault.slot-remove","slot":2}"#,
        r#"{"verb":"vault.rewrap"}"#,
        r#"{"verb":"vault.rekey","keys":[{"key-file":"/k"},{"passphrase":{}}]}"#,
        r#"{"verb":"vault.backup","key":{"key-file":"/k"}}"#,
    ];

    #[test]
    fn each_verb_has_a_request_of_its_own_that_reads_back() {
        let mut seen = BTreeSet::new();
        for text in EACH {
            let line = format!(r#"{{"request":{text}}}"#);
            let request = Envelope::parse(line.as_bytes())
                .map_err(|error| format!("{text}: {error}"))
                .unwrap()
                .request;
            assert!(text.contains(&format!("\"{}\"", request.verb())), "{text}");
            assert_eq!(verb_of(line.as_bytes()), Some(request.verb()));
            let written = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&written).unwrap(), request);
            seen.insert(request.verb());
            let odd = line.replacen('{', r#"{"odd":1,"#, 1);
            assert!(Envelope::parse(odd.as_bytes()).is_err());
            let odd = text.replacen('{', r#"{"odd":1,"#, 1);
            assert!(serde_json::from_str::<Request>(&odd).is_err(), "{odd}");
        }
        assert_eq!(seen, BTreeSet::from_iter(Verb::ALL.iter().copied()));
    }

    #[test]
    fn arrays_are_not_taken_for_objects() {
        for line in [
            r#"{"request":["secret.disable","a"]}"#,
            r#"[{"verb":"ping"},null,[]]"#,
            r#" [{"verb":"ping"}]"#,
            r#"{"request":"ping"}"#,
        ] {
            assert!(Envelope::parse(line.as_bytes()).is_err(), "{line}");
        }
        assert!(Envelope::parse(br#" { "request" : {"verb":"ping"} } "#).is_ok());
    }

    #[test]
    fn a_passphrase_is_a_value_and_a_key_file_is_not() {
        let values = |text: &str| serde_json::from_str::<Request>(text).unwrap().values();
        assert_eq!(values(EACH[3]), 1);
        assert_eq!(values(EACH[4]), 0);
        let keys = r#"{"verb":"vault.rekey","keys":[{"passphrase":{}},{"key-file":"/k"},{"passphrase":{}}]}"#;
        assert_eq!(values(keys), 2);
    }
}
