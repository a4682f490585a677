//! What the pretended Azure holds, and how it is told to misbehave.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use super::keys::RsaKey;
use super::{RESOURCE, TENANT, TOKEN_LIFE};

/// A version of a secret.
#[derive(Clone, Debug)]
pub struct Stored {
    /// 32 hexadecimal digits.
    pub version: String,
    /// The value.
    pub value: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// Whether it may be read.
    pub enabled: bool,
    /// `nbf` and `exp`, in seconds since 1970.
    pub not_before: Option<i64>,
    /// See `not_before`.
    pub expires: Option<i64>,
    /// When it was made.
    pub created: i64,
}

/// A user-assigned identity.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Its application's id.
    pub client_id: String,
    /// Its principal's id.
    pub object_id: String,
    /// `/subscriptions/…`.
    pub resource_id: String,
}

/// What the vault says to a request without a token that it accepts.
#[derive(Clone, Debug)]
pub enum Challenge {
    /// As vaults do, with the pinned authority, tenant and resource.
    Honest,
    /// These values of `WWW-Authenticate`.
    Says(Vec<String>),
    /// A redirect to there.
    Redirect(String),
    /// A body of this many bytes, with an honest challenge.
    Body(usize),
}

/// A token that was handed out.
pub(super) struct Minted {
    pub(super) resource: String,
    pub(super) ends: i64,
}

/// All that is held. Tests change it through [`Azure::change`](super::Azure::change).
pub struct State {
    /// Versions of secrets by name, the newest last.
    pub secrets: BTreeMap<String, Vec<Stored>>,
    /// Public parts of certificates, as DER, by name; each is a secret, too.
    pub certificates: BTreeMap<String, Vec<u8>>,
    pub(super) keys: BTreeMap<String, Vec<RsaKey>>,
    /// What is said without a token.
    pub challenge: Challenge,
    /// Answers of the vault to the next requests with a token, before it looks at
    /// them: status, body, `Retry-After`.
    pub vault_faults: VecDeque<(u16, String, Option<String>)>,
    /// Answers of identity endpoints and the authority to the next requests.
    pub identity_faults: VecDeque<(u16, String)>,
    /// Whether the machine has an identity of its own.
    pub has_system_identity: bool,
    /// The others that are assigned.
    pub assigned: Vec<Assigned>,
    /// What identity endpoints say that a token is for; what was asked for, by
    /// default.
    pub says_resource: Option<String>,
    /// Seconds that a token lives.
    pub token_life: i64,
    /// Whether identity endpoints write numbers as JSON's; as texts, by default.
    pub plain_numbers: bool,
    pub(super) tokens: HashMap<String, Minted>,
    serial: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            secrets: BTreeMap::new(),
            certificates: BTreeMap::new(),
            keys: BTreeMap::new(),
            challenge: Challenge::Honest,
            vault_faults: VecDeque::new(),
            identity_faults: VecDeque::new(),
            has_system_identity: true,
            assigned: Vec::new(),
            says_resource: None,
            token_life: TOKEN_LIFE,
            plain_numbers: false,
            tokens: HashMap::new(),
            serial: 0,
        }
    }

    /// Forgets all that it was told, but not which ids and tokens it has given out.
    pub fn reset(&mut self) {
        let serial = self.serial;
        *self = Self::new();
        self.serial = serial;
    }

    /// Adds a version and returns what it is called.
    pub fn set(&mut self, name: &str, value: &str) -> String {
        self.set_typed(name, value, None)
    }

    /// The same, of a content type.
    pub fn set_typed(&mut self, name: &str, value: &str, content_type: Option<&str>) -> String {
        let version = self.next_id();
        self.secrets
            .entry(name.to_owned())
            .or_default()
            .push(Stored {
                version: version.clone(),
                value: value.to_owned(),
                content_type: content_type.map(str::to_owned),
                enabled: true,
                not_before: None,
                expires: None,
                created: now(),
            });
        version
    }

    /// The newest version of a secret.
    pub fn newest(&mut self, name: &str) -> &mut Stored {
        self.secrets.get_mut(name).unwrap().last_mut().unwrap()
    }

    /// Adds a version of an RSA key of 2048 bits.
    pub fn add_key(&mut self, name: &str) -> String {
        let version = self.next_id();
        let key = RsaKey::generate(version.clone());
        self.keys.entry(name.to_owned()).or_default().push(key);
        version
    }

    /// Makes all tokens that were handed out worthless.
    pub fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn next_id(&mut self) -> String {
        self.serial += 1;
        format!("{:032x}", u128::from(self.serial) << 64 | 0x00c0_ffee)
    }

    pub(super) fn mint(&mut self, resource: &str) -> String {
        self.serial += 1;
        let token = format!("eyJ0eXAiOiJKV1QifQ.stub-token-{:08}.c2ln", self.serial);
        let minted = Minted {
            resource: resource.to_owned(),
            ends: now() + self.token_life,
        };
        self.tokens.insert(token.clone(), minted);
        token
    }

    pub(super) fn accepts(&self, authorization: Option<&str>) -> bool {
        authorization
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.tokens.get(token))
            .is_some_and(|minted| minted.resource == RESOURCE && minted.ends > now())
    }

    pub(super) fn challenges(&self, authority: &str) -> Vec<String> {
        match &self.challenge {
            Challenge::Says(values) => values.clone(),
            _ => vec![format!(
                r#"Bearer authorization="{authority}/{TENANT}", resource="{RESOURCE}""#
            )],
        }
    }
}

pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
