//! What a record of the trail says: a closed schema.
//!
//! A record holds numbers, enums, digests, ids and names. A name here is a parsed
//! name, so it can't be text that a client sent; the two texts that people write,
//! an actor and a reason, come from operators and pass [`OperatorText`]. There is
//! no field for a value, a tag, a header, a query or a message, and there will
//! be none.
//!
//! The bytes of a record are in [`super::encoding`], described in `AUDIT.md`.

use keyward_names::{Alias, ComponentDigest, ExchangeId, GrantId, PolicyName, RouteName};
use keyward_names::{SecretName, SourceName, StatementName, Subject, ValueName};
use uuid::Uuid;

use super::tree::Hash;
use crate::Use;

/// The most different uses in one record; a ledger makes another record for more.
pub(crate) const MAX_USES: usize = 64;
/// The most grant ids that one record lists as added, and as removed.
pub(crate) const MAX_LISTED_GRANTS: usize = 256;
/// The longest actor or reason, in characters.
const MAX_TEXT_CHARS: usize = 256;
/// The longest verb, in characters.
const MAX_VERB_CHARS: usize = 64;

/// Which opening of the trail wrote a record: 16 random bytes.
pub(crate) type BootId = [u8; 16];

/// A record: when, by which boot, at which epoch of the vault, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Milliseconds since 1970-01-01T00:00:00Z, when the record was committed.
    pub(crate) time: u64,
    pub(crate) boot: BootId,
    /// The vault's epoch as the trail knew it.
    pub(crate) vault_epoch: u64,
    pub(crate) body: Body,
}

/// Which vault file there was: its epoch, and its MAC, since a backup has the epoch
/// of the file that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VaultMark {
    pub(crate) epoch: u64,
    pub(crate) mac: Hash,
}

impl Record {
    /// The vault file after this record's act, if it says.
    pub(crate) fn vault_mark(&self) -> Option<VaultMark> {
        match &self.body {
            Body::Administrative(act) => act.vault_mark(),
            _ => None,
        }
    }

    /// Whether this is what a trail ends with when it is closed in order.
    pub(crate) fn is_close(&self) -> bool {
        matches!(&self.body, Body::Administrative(act) if act.act == Act::Closed)
    }
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Exchange(ExchangePart),
    Administrative(Box<Administrative>),
    Counted(CountedSpan),
}

/// Refused uses of many exchanges, counted together, so that nobody can fill the
/// disk by being refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CountedSpan {
    /// The digest of the grants in force.
    pub(crate) grants: Hash,
    /// 1 to [`MAX_USES`], none of them allowed.
    pub(crate) uses: Vec<CountedUse>,
    /// When the first of them was refused, in milliseconds since 1970.
    pub(crate) first: u64,
    /// When the last of them was refused; not before the first.
    pub(crate) last: u64,
}

/// What one exchange used since its last part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExchangePart {
    pub(crate) exchange: ExchangeId,
    /// 0 for the exchange's first record.
    pub(crate) part: u32,
    /// The digest of the grants in force.
    pub(crate) grants: Hash,
    /// 1 to [`MAX_USES`].
    pub(crate) uses: Vec<CountedUse>,
}

/// A use, and how often it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CountedUse {
    pub(crate) used: Used,
    /// At least 1.
    pub(crate) count: u64,
}

/// One use of a secret, or the refusal of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Used {
    pub(crate) policy: PolicyName,
    pub(crate) component: ComponentDigest,
    pub(crate) use_: Use,
    /// The name by which the policy asked, if it is a name at all.
    pub(crate) alias: Option<Alias>,
    /// The grant that allowed the use, or that came closest.
    pub(crate) grant: Option<GrantId>,
    /// The secret's id and version, where a grant led to one.
    pub(crate) secret: Option<(Uuid, u64)>,
    /// The destination, for what is attached to a request.
    pub(crate) route: Option<RouteName>,
    pub(crate) outcome: Outcome,
    /// The grant's statement, for a query that is one of the grant's.
    pub(crate) statement: Option<StatementName>,
}

/// A use as the choke point records it: the use, under the grants then in force.
///
/// Recording one copies a few reference counts and 64 bytes; nothing is
/// formatted or encoded before the barrier.
#[derive(Clone, Debug)]
pub(crate) struct UseEntry {
    /// The digest of the grants that were asked.
    pub(crate) grants: Hash,
    pub(crate) used: Used,
}

macro_rules! coded {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The number that stands for it in a record. It never changes.
            pub const fn code(self) -> u64 {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// The word that stands for it in the JSON view.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            pub(crate) const fn from_code(code: u64) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

coded! {
    /// How a use ended, as far as the host decides it.
    pub enum Outcome {
        /// It was allowed.
        Allowed = 0, "allowed";
        /// No grant gives this policy this use under this alias.
        NotGranted = 1, "not-granted";
        /// A grant does, but the policy's manifest doesn't ask for it.
        NotAsked = 2, "not-asked";
        /// The grant is for another component than the one that runs.
        OtherComponent = 3, "other-component";
        /// The grant's time is over.
        Expired = 4, "expired";
        /// The vault has no such secret.
        NoSecret = 5, "no-secret";
        /// The secret's kind doesn't allow the use.
        KindDoesNotFit = 6, "kind-does-not-fit";
        /// The request goes to a route that the grant doesn't name.
        OtherRoute = 7, "other-route";
        /// The request has a method that the grant doesn't name.
        OtherMethod = 8, "other-method";
        /// The request has a path that the grant doesn't name.
        OtherPath = 9, "other-path";
        /// The request's authority is not the route's.
        OtherAuthority = 10, "other-authority";
        /// The grant was withdrawn between the permit and the use.
        Revoked = 11, "revoked";
        /// The budget of uses is spent.
        BudgetSpent = 12, "budget-spent";
        /// The body is too large to be signed.
        BodyTooLarge = 13, "body-too-large";
        /// The secret is disabled.
        Disabled = 14, "disabled";
        /// The secret's version is not valid yet, or no longer.
        NotValid = 15, "not-valid";
        /// The value is too short to be searched for in the answer, and the grant lets
        /// more of it pass than its status.
        TooShort = 16, "too-short";
        /// The secret comes from a source that gives no value that may be used now.
        Unavailable = 17, "unavailable";
        /// What the policy chose is not what its grant allows.
        OtherChoice = 18, "other-choice";
        /// The client presented no key, or one that is nobody's.
        Unidentified = 20, "unidentified";
        /// The backend's answer carried the value, and was stopped.
        Reflected = 21, "reflected";
        /// The operation failed after it was allowed.
        Failed = 22, "failed";
    }
}

coded! {
    /// An act that is not a policy's.
    pub enum Act {
        /// A vault was created, and with it the trail.
        VaultCreated = 1, "vault-created";
        /// The vault was opened.
        Opened = 2, "opened";
        /// The trail was closed in order. Written by the trail itself.
        Closed = 3, "closed";
        /// A secret was added.
        SecretAdded = 4, "secret-added";
        /// A secret got a new version.
        SecretRotated = 5, "secret-rotated";
        /// A secret was disabled.
        SecretDisabled = 6, "secret-disabled";
        /// A secret was removed.
        SecretRemoved = 7, "secret-removed";
        /// A set of grants came into force.
        GrantsLoaded = 8, "grants-loaded";
        /// Grants were withdrawn at run time.
        GrantsRevoked = 9, "grants-revoked";
        /// The checkpoints that follow are signed by another key.
        CheckpointKeyChanged = 11, "checkpoint-key-changed";
        /// The trail was not closed in order; says how many entries without a
        /// checkpoint were taken over and how many bytes were dropped. Written
        /// by the trail itself.
        Recovered = 12, "recovered";
        /// The system's clock was set back. Written by the trail itself.
        ClockSetBack = 13, "clock-set-back";
        /// Records of exchanges that ended without waiting for them were dropped
        /// because too many were waiting for the disk; says how many. Written by
        /// the trail itself.
        RecordsShed = 14, "records-shed";
        /// An older vault was accepted on purpose.
        RollbackAccepted = 15, "rollback-accepted";
        /// A disabled secret was enabled again.
        SecretEnabled = 16, "secret-enabled";
        /// An earlier version of a secret was put in use again.
        SecretRolledBack = 17, "secret-rolled-back";
        /// A version of a secret that was not in use was destroyed.
        VersionRetired = 18, "version-retired";
        /// The time in which a version is valid was changed.
        ValiditySet = 19, "validity-set";
        /// A client was added to a secret of client keys.
        ClientAdded = 20, "client-added";
        /// A client got a new key.
        ClientRotated = 21, "client-rotated";
        /// A client's older key was destroyed.
        ClientRetired = 22, "client-retired";
        /// A client was disabled.
        ClientDisabled = 23, "client-disabled";
        /// A disabled client was enabled again.
        ClientEnabled = 24, "client-enabled";
        /// A client was removed.
        ClientRemoved = 25, "client-removed";
        /// A named value was added or changed.
        ValueSet = 26, "value-set";
        /// A named value was removed.
        ValueRemoved = 27, "value-removed";
        /// Another key that opens the vault was added.
        SlotAdded = 28, "slot-added";
        /// A key no longer opens the vault.
        SlotRemoved = 29, "slot-removed";
        /// The key that wraps the keys of secrets was changed.
        WrapKeyChanged = 30, "wrap-key-changed";
        /// The vault's root key was changed.
        VaultKeyChanged = 31, "vault-key-changed";
        /// A backup was made.
        BackedUp = 32, "backed-up";
        /// The vault was restored from a backup.
        Restored = 33, "restored";
        /// A request to administer was refused: the actor has no role for it.
        AccessDenied = 34, "access-denied";
        /// Grants that had been withdrawn at run time are in force again.
        GrantsReinstated = 35, "grants-reinstated";
        /// The oldest entries are being removed; says below which number.
        EntriesPruned = 36, "entries-pruned";
        /// The gateway's configuration was reloaded: other routes, policies or
        /// pipelines may be in force.
        ConfigurationReloaded = 37, "configuration-reloaded";
        /// A source gave a secret another value, which is its next version.
        SecretReceived = 38, "secret-received";
        /// A secret can't be used for now: its source doesn't answer, or says so.
        SecretUnavailable = 39, "secret-unavailable";
        /// A secret can be used again: its source gave the value that it had, or
        /// another time in which it may be used.
        SecretAvailable = 40, "secret-available";
        /// A secret's values come from that source from here on.
        OriginSet = 41, "origin-set";
        /// A secret's values come from that source no more.
        OriginRemoved = 42, "origin-removed";
        /// A source said, for some time, that what is sealed of its secrets is what it
        /// has.
        OriginConfirmed = 43, "origin-confirmed";
        /// A source answered with a challenge that names other parties than are pinned:
        /// it got no token. The reason says what is wrong with it.
        ChallengeRefused = 44, "challenge-refused";
        /// How one version of a secret follows another was changed.
        RotationSet = 48, "rotation-set";
        /// A database's login was tried by whoever administers it.
        LoginTried = 52, "login-tried";
    }
}

impl Outcome {
    /// Whether the use was refused: neither allowed, nor stopped after that.
    pub const fn is_refusal(self) -> bool {
        matches!(self.code(), 1..=20)
    }
}

/// Text that an operator wrote: at most 256 characters, all of them letters or
/// digits of any script or printable ASCII. What isn't becomes `?`, so that a
/// record can't break a line, a terminal or a reading direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperatorText(String);

impl OperatorText {
    pub(crate) fn new(text: &str) -> Self {
        let allowed = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
        Self(
            text.chars()
                .take(MAX_TEXT_CHARS)
                .map(|c| if allowed(c) { c } else { '?' })
                .collect(),
        )
    }

    /// Text that already is as [`OperatorText::new`] would leave it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let clean = Self::new(text);
        (clean.0 == text).then_some(clean)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What was asked for, such as `secret.rotate`: 1 to 64 of `a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verb(String);

impl Verb {
    /// The verb; what can't be in one has become `_`.
    fn new(text: &str) -> Self {
        let clean = |c: char| match c {
            'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '_',
        };
        let text: String = text.chars().take(MAX_VERB_CHARS).map(clean).collect();
        Self(if text.is_empty() { "_".into() } else { text })
    }

    /// Text that already is as [`Verb::new`] would leave it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let clean = Self::new(text);
        (clean.0 == text).then_some(clean)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret, where an administrative act concerns one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretRef {
    pub(crate) id: Uuid,
    pub(crate) name: SecretName,
    pub(crate) version: u64,
}

/// How a set of grants differs from the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrantsChange {
    /// The digest of the set now in force.
    pub(crate) digest: Hash,
    /// At most [`MAX_LISTED_GRANTS`].
    pub(crate) added: Vec<GrantId>,
    /// At most [`MAX_LISTED_GRANTS`].
    pub(crate) removed: Vec<GrantId>,
    /// How many added and removed ones are not listed.
    pub(crate) unlisted: u64,
}

/// The record of an administrative act: who did what, and why.
///
/// Made by [`Administrative::new`] and what the act concerns:
///
/// ```
/// use keyward_vault::{Act, Administrative};
///
/// let act = Administrative::new(Act::GrantsLoaded, "uid 1000", Some("quarterly review"))
///     .grants([0; 32], &["billing-attach".parse()?], &[]);
/// # drop(act);
/// # Ok::<(), keyward_names::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrative {
    pub(crate) act: Act,
    pub(crate) actor: OperatorText,
    pub(crate) reason: Option<OperatorText>,
    pub(crate) secret: Option<SecretRef>,
    pub(crate) grants: Option<GrantsChange>,
    /// The epoch that the act brought the vault to.
    pub(crate) epoch: Option<u64>,
    /// The hash of the vault's manifest after the act.
    pub(crate) manifest: Option<Hash>,
    /// The public key that signs from here on.
    pub(crate) key: Option<[u8; 32]>,
    /// The time before the clock was set back, in milliseconds.
    pub(crate) previous_time: Option<u64>,
    /// How many records or entries.
    pub(crate) count: Option<u64>,
    /// How many bytes.
    pub(crate) bytes: Option<u64>,
    /// What was asked for.
    pub(crate) verb: Option<Verb>,
    /// The named value.
    pub(crate) value: Option<ValueName>,
    /// The client.
    pub(crate) client: Option<Subject>,
    /// The id of the slot of a key that opens the vault.
    pub(crate) slot: Option<u64>,
    /// The digest of the configuration that is in force from here on.
    pub(crate) configuration: Option<Hash>,
    /// The source that it concerns.
    pub(crate) source: Option<SourceName>,
}

impl Administrative {
    /// An act by an actor (`uid 1000`), with a reason if there is one. Both texts
    /// are cut to 256 characters, and characters that could disturb a reader
    /// become `?`.
    pub fn new(act: Act, actor: &str, reason: Option<&str>) -> Self {
        Self {
            act,
            actor: OperatorText::new(actor),
            reason: reason.map(OperatorText::new),
            secret: None,
            grants: None,
            epoch: None,
            manifest: None,
            key: None,
            previous_time: None,
            count: None,
            bytes: None,
            verb: None,
            value: None,
            client: None,
            slot: None,
            configuration: None,
            source: None,
        }
    }

    /// The vault file after the act, if it says. Of a backup the act says the
    /// backup's.
    pub(crate) fn vault_mark(&self) -> Option<VaultMark> {
        let (epoch, mac) = (self.epoch?, self.manifest?);
        (self.act != Act::BackedUp).then_some(VaultMark { epoch, mac })
    }

    /// An act of the trail itself.
    pub(crate) fn by_the_trail(act: Act) -> Self {
        Self::new(act, "keyward", None)
    }

    /// The secret that it concerns.
    #[must_use]
    pub fn secret(mut self, id: Uuid, name: &SecretName, version: u64) -> Self {
        self.secret = Some(SecretRef {
            id,
            name: name.clone(),
            version,
        });
        self
    }

    /// The vault's epoch and the hash of its manifest after the act.
    #[must_use]
    pub fn vault(mut self, epoch: u64, manifest: [u8; 32]) -> Self {
        self.epoch = Some(epoch);
        self.manifest = Some(manifest);
        self
    }

    /// The set of grants now in force, and how it differs from the one before. Of
    /// each list, 256 ids are recorded, and the number of the others.
    #[must_use]
    pub fn grants(mut self, digest: [u8; 32], added: &[GrantId], removed: &[GrantId]) -> Self {
        let listed = |ids: &[GrantId]| ids.iter().take(MAX_LISTED_GRANTS).cloned().collect();
        let unlisted = |ids: &[GrantId]| ids.len().saturating_sub(MAX_LISTED_GRANTS) as u64;
        self.grants = Some(GrantsChange {
            digest,
            added: listed(added),
            removed: listed(removed),
            unlisted: unlisted(added).saturating_add(unlisted(removed)),
        });
        self
    }

    /// The public key that signs checkpoints from here on.
    #[must_use]
    pub fn key(mut self, public_key: [u8; 32]) -> Self {
        self.key = Some(public_key);
        self
    }
    /// What was asked for, where a request was denied: `secret.rotate`. At most 64
    /// characters; those that are not of `a-z 0-9 . _ -` become `_`.
    #[must_use]
    pub fn verb(mut self, verb: &str) -> Self {
        self.verb = Some(Verb::new(verb));
        self
    }

    /// The named value that it concerns.
    #[must_use]
    pub fn value(mut self, name: &ValueName) -> Self {
        self.value = Some(name.clone());
        self
    }

    /// The client that it concerns, among those of a secret of client keys.
    #[must_use]
    pub fn client(mut self, subject: &Subject) -> Self {
        self.client = Some(subject.clone());
        self
    }

    /// The SHA-256 digest of the configuration that is in force from here on.
    #[must_use]
    pub fn configuration(mut self, digest: [u8; 32]) -> Self {
        self.configuration = Some(digest);
        self
    }

    /// The source that it concerns.
    #[must_use]
    pub fn source(mut self, name: &SourceName) -> Self {
        self.source = Some(name.clone());
        self
    }

    /// The id of the slot that it concerns: of a key that opens the vault.
    #[must_use]
    pub fn slot(mut self, id: u64) -> Self {
        self.slot = Some(id);
        self
    }
}
