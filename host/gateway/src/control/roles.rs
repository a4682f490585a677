//! Who may do what: roles, and the users and groups that have them.
//!
//! The kernel says which user is at the other end of the control socket, and the
//! system's user database says which groups that user is in, at each request: who
//! leaves a group loses its roles at once. Root and the user who runs the gateway
//! have every role: both could read the vault's key anyway.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::str::FromStr;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};

/// What a user may do. Roles are independent: none contains another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees names and states.
    Viewer,
    /// Sets, rotates and disables secrets; keeps the vault.
    Operator,
    /// Puts grants in force and revokes them.
    Approver,
    /// Reads the audit trail.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Auditor];

    /// The role as it is written in `[control.roles]`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }

    const fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A set of roles, and whether it is root's or the gateway's own user's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);
    /// Every role that can be given.
    pub const ALL: Self = Self(0b1111);
    /// What root and the user who runs the gateway have: every role, and what no
    /// role gives.
    pub const OWNER: Self = Self(0b1_1111);

    /// The set with a role more.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | role.bit())
    }

    /// Whether a role is in it.
    pub const fn has(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether it is root's or the gateway's own user's.
    pub const fn is_owner(self) -> bool {
        self.0 == Self::OWNER.0
    }

    /// Whether no role is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles in it.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Words for people: `viewer, auditor`.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_words(self.iter(), ", "))
    }
}

/// Roles one after another.
pub(super) fn in_words(roles: impl IntoIterator<Item = Role>, between: &str) -> String {
    let words: Vec<&str> = roles.into_iter().map(Role::as_str).collect();
    words.join(between)
}

/// A user or a group that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A user, by number.
    User(u32),
    /// All users of a group, by its number.
    Group(u32),
}

/// Why a text names neither a user nor a group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// It is written in no form that there is.
    #[error("it is none of `user:NAME`, `uid:NUMBER`, `group:NAME`, `gid:NUMBER`")]
    Form,
    /// The system knows no such user.
    #[error("this system has no user `{0}`")]
    NoSuchUser(String),
    /// The system knows no such group.
    #[error("this system has no group `{0}`")]
    NoSuchGroup(String),
    /// The system's user database can't be asked.
    #[error("the system's users can't be looked up: {0}")]
    Unavailable(String),
}

/// `user:alice`, `uid:1000`, `group:audit`, `gid:50`. Names are looked up in the
/// system's user database.
impl FromStr for Member {
    type Err = MemberError;

    fn from_str(text: &str) -> Result<Self, MemberError> {
        let (form, what) = text.split_once(':').ok_or(MemberError::Form)?;
        if what.is_empty() || what.contains(|c: char| c == '\0' || c.is_whitespace()) {
            return Err(MemberError::Form);
        }
        // Digits only: no sign.
        let number = || {
            let digits = what.bytes().all(|byte| byte.is_ascii_digit());
            // All ones means "nobody in particular" to the kernel.
            let number = what.parse().ok().filter(|number| *number != u32::MAX);
            number.filter(|_| digits).ok_or(MemberError::Form)
        };
        let failed = |error: nix::Error| MemberError::Unavailable(error.desc().to_owned());
        match form {
            "uid" => number().map(Self::User),
            "gid" => number().map(Self::Group),
            "user" => match User::from_name(what).map_err(failed)? {
                Some(user) => Ok(Self::User(user.uid.as_raw())),
                None => Err(MemberError::NoSuchUser(what.to_owned())),
            },
            "group" => match Group::from_name(what).map_err(failed)? {
                Some(group) => Ok(Self::Group(group.gid.as_raw())),
                None => Err(MemberError::NoSuchGroup(what.to_owned())),
            },
            _ => Err(MemberError::Form),
        }
    }
}

/// Who has which roles: `[control.roles]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTable {
    /// Has every role, as root has.
    owner: u32,
    users: BTreeMap<u32, Roles>,
    groups: BTreeMap<u32, Roles>,
}

impl RoleTable {
    /// Roles for root and this process's user only.
    pub fn new() -> Self {
        Self::with_owner(rustix::process::geteuid().as_raw())
    }

    /// Roles for root and a user only.
    pub fn with_owner(owner: u32) -> Self {
        Self {
            owner,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Gives a role to a user or a group.
    pub fn give(&mut self, member: Member, role: Role) {
        let roles = match member {
            Member::User(uid) => self.users.entry(uid),
            Member::Group(gid) => self.groups.entry(gid),
        };
        let roles = roles.or_default();
        *roles = roles.with(role);
    }

    /// Whether others than root and the owner have roles.
    pub fn has_others(&self) -> bool {
        !self.users.is_empty() || !self.groups.is_empty()
    }

    /// Whether a user is root or the one who runs the gateway.
    pub fn is_owner(&self, uid: u32) -> bool {
        uid == 0 || uid == self.owner
    }

    /// The roles of whoever is at the other end.
    pub fn roles_of(&self, peer: &Peer) -> Roles {
        if self.is_owner(peer.uid) {
            return Roles::OWNER;
        }
        let own = self.users.get(&peer.uid).copied().unwrap_or_default();
        let groups = peer.groups.iter().filter_map(|gid| self.groups.get(gid));
        groups.fold(own, |roles, more| roles.union(*more))
    }
}

impl Default for RoleTable {
    fn default() -> Self {
        Self::new()
    }
}

/// Who is at the other end of the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    uid: u32,
    groups: Vec<u32>,
    name: Option<String>,
}

impl Peer {
    /// A user of whom the kernel tells number and group; the system's database
    /// tells the name and the other groups. What it does not tell is not assumed.
    ///
    /// Blocks: the database may be a directory on the network.
    pub fn look_up(uid: u32, gid: u32) -> Self {
        let mut peer = Self {
            uid,
            groups: vec![gid],
            name: None,
        };
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
            return peer;
        };
        let listed = CString::new(user.name.as_str())
            .ok()
            .and_then(|name| getgrouplist(&name, user.gid).ok());
        peer.groups
            .extend(listed.into_iter().flatten().map(Gid::as_raw));
        peer.name = Some(user.name);
        peer
    }

    /// The user who runs this process.
    pub fn this_process() -> Self {
        Self::look_up(
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        )
    }

    /// The user's number.
    pub fn uid(&self) -> u32 {
        self.uid
    }
}

/// As the audit trail has it: `uid 1000 (alice)`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer {
            uid,
            groups: groups.to_vec(),
            name: None,
        }
    }

    #[test]
    fn root_and_the_owner_have_every_role_and_nobody_else_has_one() {
        let table = RoleTable::with_owner(900);
        assert_eq!(table.roles_of(&peer(0, &[0])), Roles::OWNER);
        assert_eq!(table.roles_of(&peer(900, &[900])), Roles::OWNER);
        assert_eq!(Roles::OWNER.to_string(), Roles::ALL.to_string());
        assert!(!Roles::ALL.is_owner(), "all roles do not make an owner");
        // Neither root's group nor a number that is near makes a difference.
        assert_eq!(table.roles_of(&peer(901, &[0, 900])), Roles::NONE);
        assert!(!table.has_others());
    }

    #[test]
    fn roles_of_a_user_and_of_all_its_groups_add_up() {
        let mut table = RoleTable::with_owner(900);
        table.give(Member::User(1000), Role::Viewer);
        table.give(Member::Group(50), Role::Auditor);
        table.give(Member::Group(51), Role::Approver);
        let of = |uid, groups: &[u32]| table.roles_of(&peer(uid, groups)).to_string();
        assert_eq!(of(1000, &[1000]), "viewer");
        assert_eq!(of(1000, &[1000, 50, 51]), "viewer, approver, auditor");
        assert_eq!(of(1001, &[50]), "auditor");
        // A group's number is not a user's.
        assert_eq!(of(50, &[1000]), "");
        assert!(table.has_others());
    }

    #[test]
    fn members_are_named_or_numbered() {
        assert_eq!("uid:1001".parse(), Ok(Member::User(1001)));
        assert_eq!("gid:0".parse(), Ok(Member::Group(0)));
        assert_eq!("user:root".parse(), Ok(Member::User(0)));
        assert_eq!("group:root".parse(), Ok(Member::Group(0)));
        for text in [
            "",
            "root",
            "uid:",
            "uid:+1",
            "uid:-1",
            "uid:4294967295",
            "uid:4294967296",
            "uid: 1",
            "gid:1e3",
            "role:x",
            "user:",
            "user:a b",
        ] {
            assert_eq!(text.parse::<Member>(), Err(MemberError::Form), "{text}");
        }
        let unknown = "user:no-such-user-here".parse::<Member>().unwrap_err();
        assert!(unknown.to_string().contains("no-such-user-here"));
        assert!(matches!(
            "group:no-such-group-here".parse::<Member>(),
            Err(MemberError::NoSuchGroup(_))
        ));
    }

    #[test]
    fn a_peer_is_shown_with_its_name_where_it_has_one() {
        let root = Peer::look_up(0, 0);
        assert_eq!(root.to_string(), "uid 0 (root)");
        assert!(root.groups.contains(&0));
        let unknown = Peer::look_up(3_999_999_999, 12);
        assert_eq!(unknown.to_string(), "uid 3999999999");
        assert_eq!(unknown.groups, [12]);
    }
}
