//! What can be asked for, and who may ask: one line for each verb.

use std::fmt;
use std::str::FromStr;

use super::roles::{Role, Roles};

/// Whoever has a role at all.
const ANYONE: &[Role] = &[Role::Viewer, Role::Operator, Role::Approver, Role::Auditor];
/// Names and states, never values: each role needs them for its work.
const READERS: &[Role] = ANYONE;
const OPERATORS: &[Role] = &[Role::Operator];
const APPROVERS: &[Role] = &[Role::Approver];
const AUDITORS: &[Role] = &[Role::Auditor];
/// Root and the user who runs the gateway only. A copy of the vault opens with a
/// key that whoever asks for it chooses, so to have one is to have the values; a
/// key file is opened and made as the gateway's user; and nobody whose acts are in
/// the trail removes them.
const OWNERS: &[Role] = &[];

/// What a verb does to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Reads,
    Changes,
}
use Effect::{Changes, Reads};

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $roles:ident, $effect:ident;)*) => {
        /// What can be asked of a gateway.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $($(#[$doc])* $name,)*
        }

        impl Verb {
            /// All verbs.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The verb as it is written: `secret.rotate`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The roles of which one is enough; none where only root and the user
            /// who runs the gateway may.
            pub const fn roles(self) -> &'static [Role] {
                match self {
                    $(Self::$name => $roles,)*
                }
            }

            const fn effect(self) -> Effect {
                match self {
                    $(Self::$name => $effect,)*
                }
            }
        }
    };
}

verbs! {
    /// Is a gateway there?
    Ping = "ping", ANYONE, Reads;
    /// How is it doing?
    Status = "status", ANYONE, Reads;

    /// The secrets: names, kinds, versions, states.
    SecretList = "secret.list", READERS, Reads;
    /// A new secret.
    SecretSet = "secret.set", OPERATORS, Changes;
    /// A new version of a secret.
    SecretRotate = "secret.rotate", OPERATORS, Changes;
    /// How one version of a secret follows another.
    SecretRotation = "secret.rotation", OPERATORS, Changes;
    /// An older version of a secret, in use again.
    SecretRollBack = "secret.roll-back", OPERATORS, Changes;
    /// A secret that nobody may use for now.
    SecretDisable = "secret.disable", OPERATORS, Changes;
    /// A disabled secret that may be used again.
    SecretEnable = "secret.enable", OPERATORS, Changes;
    /// A version that is not in use, destroyed.
    SecretRetire = "secret.retire", OPERATORS, Changes;
    /// A disabled secret, destroyed with all its versions.
    SecretRemove = "secret.remove", OPERATORS, Changes;
    /// When a version may be used.
    SecretValidity = "secret.validity", OPERATORS, Changes;

    /// Secrets, fetched from their sources now.
    SecretRefresh = "secret.refresh", OPERATORS, Changes;
    /// Where a secret's values come from.
    SecretOrigin = "secret.origin", OPERATORS, Changes;

    /// The sources: whether they answer.
    SourceList = "source.list", READERS, Reads;
    /// A source, asked step by step.
    SourceCheck = "source.check", OPERATORS, Reads;

    /// The databases, each logged in at and asked whether it knows its statements.
    DatabaseCheck = "database.check", OPERATORS, Reads;

    /// The subjects of a secret of client keys.
    ClientList = "client.list", READERS, Reads;
    /// A new subject, with its first key.
    ClientAdd = "client.add", OPERATORS, Changes;
    /// A second key for a subject.
    ClientRotate = "client.rotate", OPERATORS, Changes;
    /// The older of a subject's two keys, destroyed.
    ClientRetire = "client.retire", OPERATORS, Changes;
    /// A subject whose keys count for nothing for now.
    ClientDisable = "client.disable", OPERATORS, Changes;
    /// A disabled subject that counts again.
    ClientEnable = "client.enable", OPERATORS, Changes;
    /// A subject and its keys, destroyed.
    ClientRemove = "client.remove", OPERATORS, Changes;

    /// The named values.
    ValueList = "value.list", READERS, Reads;
    /// One named value.
    ValueShow = "value.show", READERS, Reads;
    /// What a name stands for.
    ValueSet = "value.set", OPERATORS, Changes;
    /// A name that stands for nothing any more.
    ValueRemove = "value.remove", OPERATORS, Changes;

    /// The grants in force and those revoked.
    GrantsList = "grants.list", READERS, Reads;
    /// The grants, read again from their file.
    GrantsReload = "grants.reload", APPROVERS, Changes;
    /// A grant that holds no more.
    GrantsRevoke = "grants.revoke", APPROVERS, Changes;
    /// A revoked grant that holds again.
    GrantsReinstate = "grants.reinstate", APPROVERS, Changes;

    /// The configuration, read again from its files.
    ConfigReload = "config.reload", APPROVERS, Changes;

    /// The trail's newest signed checkpoint.
    AuditCheckpoint = "audit.checkpoint", AUDITORS, Reads;
    /// Records of the trail.
    AuditQuery = "audit.query", AUDITORS, Reads;
    /// Who used a secret.
    AuditWho = "audit.who", AUDITORS, Reads;
    /// The proof that a record is in the trail.
    AuditProve = "audit.prove", AUDITORS, Reads;
    /// A check of the whole trail.
    AuditVerify = "audit.verify", AUDITORS, Reads;
    /// The proof that the trail continues a checkpoint that was kept.
    AuditConsistency = "audit.consistency", AUDITORS, Reads;
    /// Old records, removed.
    AuditPrune = "audit.prune", OWNERS, Changes;

    /// The vault: sizes, epochs, memory.
    VaultStatus = "vault.status", READERS, Reads;
    /// What opens the vault.
    VaultSlots = "vault.slots", READERS, Reads;
    /// One more key that opens the vault.
    VaultSlotAdd = "vault.slot-add", OWNERS, Changes;
    /// A key that opens the vault no more.
    VaultSlotRemove = "vault.slot-remove", OWNERS, Changes;
    /// The next wrapping key.
    VaultRewrap = "vault.rewrap", OPERATORS, Changes;
    /// A new root key.
    VaultRekey = "vault.rekey", OWNERS, Changes;
    /// A sealed copy of the vault under a key of its own.
    VaultBackup = "vault.backup", OWNERS, Changes;
}

impl Verb {
    /// Whether these roles are enough.
    pub fn may(self, roles: Roles) -> bool {
        roles.is_owner() || self.roles().iter().any(|role| roles.has(*role))
    }

    /// Whether it changes what is in force or on disk, or takes data out of the
    /// node: it then wants a reason where `require-reason` is set.
    pub const fn changes(self) -> bool {
        matches!(self.effect(), Effect::Changes)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such verb")]
pub struct UnknownVerb;

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(text: &str) -> Result<Self, UnknownVerb> {
        let found = Self::ALL.iter().find(|verb| verb.as_str() == text);
        found.copied().ok_or(UnknownVerb)
    }
}
