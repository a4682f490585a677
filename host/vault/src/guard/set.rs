//! What is looked for, and what finds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use super::matcher::{CORE_BYTES, Extent, Matcher};
use crate::audit::UseEntry;
use crate::live::{Live, LiveSecret, Version};
use crate::secret::Secret;
use crate::token::AccessToken;

/// Each group of a set costs a pass over a body; with more of them, they are made
/// fewer.
const MAX_GROUPS: usize = 4;
/// How many bytes of forms a byte of a value makes, rounded up to a power of two.
const FORMS_OF_A_BYTE: usize = 64;

/// One thing that was sent to a backend.
pub(super) struct Value {
    key: (Uuid, u64),
    what: What,
    /// How much of it is looked for.
    extent: Extent,
    /// The use that sent it first, as it was recorded then.
    pub(super) entry: UseEntry,
    /// Whether the grant has encoded answers decoded, at its last use.
    pub(super) decode: AtomicBool,
}

enum What {
    /// A version of a secret.
    Version(Arc<LiveSecret>, Arc<Version>),
    /// A token that was obtained with a secret.
    Token(Arc<AccessToken>),
    /// What was made with a secret.
    Made(Secret),
}

impl Value {
    /// A version of a secret.
    pub(super) fn version(
        secret: &Arc<LiveSecret>,
        version: &Arc<Version>,
        decode: bool,
        entry: UseEntry,
    ) -> Self {
        Self {
            key: (secret.info.id, version.number),
            what: What::Version(Arc::clone(secret), Arc::clone(version)),
            extent: Extent::Whole,
            entry,
            decode: AtomicBool::new(decode),
        }
    }

    /// Something that was made with a version.
    pub(super) fn made(secret: &LiveSecret, version: u64, value: Secret, entry: UseEntry) -> Self {
        Self {
            key: (secret.info.id, version),
            what: What::Made(value),
            extent: Extent::Whole,
            entry,
            decode: AtomicBool::new(false),
        }
    }

    /// A token. There may be one for each client, so only in the answers to those
    /// requests that carried it (`is_own`) is more of it looked for than its core.
    pub(super) fn token(
        token: &Arc<AccessToken>,
        is_own: bool,
        decode: bool,
        entry: UseEntry,
    ) -> Self {
        Self {
            key: token_key(token),
            what: What::Token(Arc::clone(token)),
            extent: match is_own {
                true => Extent::Own,
                false => Extent::Core,
            },
            entry,
            decode: AtomicBool::new(decode),
        }
    }

    /// What tells it apart.
    pub(super) fn key(&self) -> (Uuid, u64) {
        self.key
    }

    pub(super) fn is_token(&self) -> bool {
        matches!(self.what, What::Token(_))
    }

    /// What is searched for: what was made of the secret or obtained with it, or else its
    /// own texts.
    fn searched(&self) -> impl Iterator<Item = (&Secret, Extent)> {
        let (one, version) = match &self.what {
            What::Version(_, version) => (None, Some(version)),
            What::Token(token) => (Some(token.value()), None),
            What::Made(value) => (Some(value), None),
        };
        let own = version.into_iter().flat_map(|one| one.searched_values());
        let all = one.into_iter().chain(own);
        all.map(|value| (value, self.extent))
    }

    /// What finds it alone, where that is kept: of a token in the answers to the requests
    /// that carry it.
    fn kept_matcher(&self) -> Option<Arc<Matcher>> {
        match (&self.what, self.extent) {
            (What::Token(token), Extent::Own) => Some(token.matcher(|| {
                let alone = [(0, token.value(), Extent::Own)];
                Arc::new(Matcher::new(alone))
            })),
            _ => None,
        }
    }

    /// About how many bytes of forms find it.
    pub(super) fn pattern_bytes(&self) -> usize {
        let bytes = self.searched().map(|(value, extent)| match extent {
            Extent::Core => value.length().min(CORE_BYTES),
            Extent::Whole | Extent::Own => value.length(),
        });
        bytes.sum::<usize>().saturating_mul(FORMS_OF_A_BYTE)
    }

    /// Whether it may still be good for something: the vault holds it, or, of a token,
    /// its life goes on, whatever became of the secret that it was obtained with.
    pub(super) fn is_held(&self, live: &Live) -> bool {
        let (secret, version) = match &self.what {
            What::Version(secret, version) => (secret, version),
            What::Token(token) => return token.is_alive(live.parts.clock.now()),
            What::Made(_) => return true,
        };
        let held = live.parts.secrets.get(&secret.info.name);
        held.is_some_and(|held| {
            let mut versions = held.info.versions.iter();
            held.info.id == secret.info.id && versions.any(|held| held.number == version.number)
        })
    }
}

/// What tells a token apart from other values.
pub(super) fn token_key(token: &AccessToken) -> (Uuid, u64) {
    (token.id(), 0)
}

/// Some values and what finds them.
#[derive(Clone, Default)]
pub(super) struct Set {
    pub(super) groups: Vec<Group>,
}

/// Values that are found in one pass.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) matcher: Arc<Matcher>,
    pub(super) values: Arc<[Arc<Value>]>,
}

impl Group {
    pub(super) fn has(&self, key: (Uuid, u64)) -> bool {
        self.values.iter().any(|value| value.key() == key)
    }

    pub(super) fn of(values: Vec<Arc<Value>>) -> Self {
        // A request has mostly one token, and a token many requests.
        if let [one] = &values[..]
            && let Some(matcher) = one.kept_matcher()
        {
            let values = values.into();
            return Self { matcher, values };
        }
        let searched = values.iter().enumerate().flat_map(|(index, value)| {
            value
                .searched()
                .map(move |(one, extent)| (index, one, extent))
        });
        Self {
            matcher: Arc::new(Matcher::new(searched)),
            values: values.into(),
        }
    }
}

impl Set {
    /// Of these, in one group.
    pub(super) fn of(values: Vec<Arc<Value>>) -> Self {
        Self {
            groups: vec![Group::of(values)],
        }
    }

    /// Whether encoded answers may be decoded for the search.
    pub(super) fn decodes(&self) -> bool {
        let mut values = self.values();
        values.all(|value| value.decode.load(Ordering::Relaxed))
    }

    pub(super) fn has(&self, key: (Uuid, u64)) -> bool {
        self.groups.iter().any(|group| group.has(key))
    }

    fn values(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.groups.iter().flat_map(|group| group.values.iter())
    }

    /// With these too, where `all` is what it then is of. The first group, which has the
    /// most, is seldom built anew: for each value that comes only once in a while.
    pub(super) fn with(&self, new: Vec<Arc<Value>>, all: Vec<Arc<Value>>) -> Self {
        if self.groups.len() < MAX_GROUPS {
            let mut groups = self.groups.clone();
            if !new.is_empty() {
                groups.push(Group::of(new));
            }
            return Self { groups };
        }
        let Some((first, later)) = self.groups.split_first() else {
            return Self::of(all);
        };
        let later = later.iter().flat_map(|group| group.values.iter());
        let later: Vec<_> = later.cloned().chain(new).collect();
        if later.len() * 4 > first.values.len() {
            return Self::of(all);
        }
        Self {
            groups: vec![first.clone(), Group::of(later)],
        }
    }
}

#[cfg(any(test, feature = "bench"))]
impl Set {
    /// Of values that stand in no vault, in one group.
    pub(super) fn of_values(values: &[&[u8]]) -> Self {
        use keyward_names::{ComponentDigest, GrantId, PolicyName};

        use crate::audit::{Outcome, Used};

        let value = |(index, value): (usize, &&[u8])| {
            let (secret, version) = LiveSecret::of_value(index, value);
            let grant = GrantId::parse(&format!("grant-{index}"));
            let entry = UseEntry {
                grants: [0; 32],
                used: Used {
                    policy: PolicyName::parse("policy").expect("a word is a name"),
                    component: ComponentDigest::from_bytes([0; 32]),
                    use_: crate::Use::Attach,
                    alias: None,
                    grant: grant.ok(),
                    secret: Some((secret.info.id, version.number)),
                    route: None,
                    outcome: Outcome::Allowed,
                    statement: None,
                },
            };
            Arc::new(Value::version(&secret, &version, false, entry))
        };
        Self::of(values.iter().enumerate().map(value).collect())
    }
}
