//! Bearer tokens that an authorisation server gives out for a grant (OAuth 2.0).
//!
//! A note of a grant of `token` needs a [`AccessToken`] before it can be checked and
//! written. [`Notes::take_tokens`](crate::Notes::take_tokens) finds what is at hand;
//! what isn't becomes a [`TokenWanted`], then, entered into the ledger, a
//! [`TokenCall`], and, once that is durable, a [`TokenFetch`]: the only thing that
//! writes a client's secret into a request to its token endpoint, and that makes a
//! token of the answer. Who carries the request there and back is egress, which never
//! sees a token.
//!
//! A token inherits its grant and can only narrow it: it is good for that grant as it
//! was when it was obtained, that version of that secret, and that token of a client's;
//! not for longer than the grant says; and each use of it is checked like any other.

mod answer;
mod cache;
mod fetch;
mod form;
mod subject;

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use keyward_names::GrantId;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::grants::{Grant, OauthTerms, Terms};
use crate::guard::Matcher;
use crate::live::{Live, LiveSecret};
use crate::memory::Scratch;
use crate::primitives::fill_random;
use crate::secret::Secret;

pub(crate) use answer::read_answer;
pub(crate) use cache::Tokens;
pub use fetch::{ClientAssertion, TokenCall, TokenFetch, TokenWanted};
pub(crate) use form::OauthClient;

/// The longest token of a client's, in bytes.
pub const MAX_SUBJECT_TOKEN_BYTES: usize = 16 << 10;

/// Why there is no token. A closed set: nothing of what a token endpoint answers is in
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum TokenFailure {
    /// The endpoint could not be reached, did not answer in time, or said that it
    /// can't now. To try again later may help.
    #[error("the token endpoint could not be reached or is not available")]
    Unavailable,
    /// The endpoint refused: the client, what it asked for, or the client's token.
    #[error("the token endpoint refused the request for a token")]
    Refused,
    /// The endpoint answered with something that is no token that may be used.
    #[error("the token endpoint's answer could not be used")]
    Unusable,
}

/// A token that came with a client's request: data of the client's, chosen by the
/// policy. Never printed.
#[derive(Clone)]
pub struct SubjectToken(Arc<Zeroizing<String>>);

/// A text is no token of a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client's token has 1 to 16384 characters of visible ASCII")]
pub struct NotASubjectToken;

impl SubjectToken {
    /// Takes it over.
    ///
    /// Errors: it is empty, longer than [`MAX_SUBJECT_TOKEN_BYTES`], or has other
    /// characters than visible ASCII.
    pub fn new(token: String) -> Result<Self, NotASubjectToken> {
        let token = Zeroizing::new(token);
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        match is_visible && (1..=MAX_SUBJECT_TOKEN_BYTES).contains(&token.len()) {
            true => Ok(Self(Arc::new(token))),
            false => Err(NotASubjectToken),
        }
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    fn digest(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, self.0.as_bytes()).as_ref());
        bytes
    }
}

impl PartialEq for SubjectToken {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for SubjectToken {}

/// For what a token is: who asks for the same at the same time can share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    grant: GrantId,
    secret: (Uuid, u64),
    subject: Option<[u8; 32]>,
    /// Where the endpoint's route led: another place gives out other tokens.
    address: Option<Arc<str>>,
}

impl TokenKey {
    fn of(
        grant: &Grant,
        secret: &LiveSecret,
        subject: Option<&SubjectToken>,
        address: Option<Arc<str>>,
    ) -> Self {
        Self {
            address,
            grant: grant.id.clone(),
            secret: (secret.info.id, secret.info.version),
            subject: subject.map(SubjectToken::digest),
        }
    }
}

/// A token. It can't be looked at.
pub struct AccessToken {
    /// What tells it apart, while the process lives.
    id: Uuid,
    key: TokenKey,
    /// The grant for which it was obtained, as it was then.
    grant: Arc<Grant>,
    value: Secret,
    /// Until when it may be used.
    expires: Timestamp,
    /// Until when no other one need be had: somewhat earlier.
    fresh: Timestamp,
    /// Until when whoever has it may use it, for all that is known: not earlier than
    /// it may be used here.
    lives: Timestamp,
    /// What finds it in the answers to requests that carry it, once there was one.
    matcher: OnceLock<Arc<Matcher>>,
}

/// For how long a token is good, in seconds.
#[derive(Clone, Copy)]
struct Lifetime {
    /// Here.
    used: u64,
    /// For whoever has it.
    lived: u64,
}

crate::secret::assert_not_implemented!(AccessToken: std::fmt::Debug, Clone, serde::Serialize);
crate::secret::assert_not_implemented!(SubjectToken: std::fmt::Debug, serde::Serialize);

/// The earliest that another token is had before one expires, in milliseconds; of a
/// short life a fifth.
const MAX_MARGIN: i64 = 30_000;

impl AccessToken {
    /// What an endpoint gave out at `now`.
    fn new(
        key: TokenKey,
        grant: Arc<Grant>,
        value: Secret,
        life: Lifetime,
        now: Timestamp,
    ) -> Self {
        let milliseconds =
            |seconds: u64| i64::try_from(seconds).map_or(i64::MAX, |n| n.saturating_mul(1000));
        let lifetime = milliseconds(life.used);
        let margin = MAX_MARGIN.min(lifetime / 5);
        let after = |milliseconds: i64| {
            let time = now.as_millisecond().saturating_add(milliseconds);
            Timestamp::from_millisecond(time).unwrap_or(Timestamp::MAX)
        };
        let mut id = [0; 16];
        fill_random(&mut id);
        Self {
            id: Uuid::from_bytes(id),
            key,
            grant,
            value,
            expires: after(lifetime),
            fresh: after(lifetime - margin),
            lives: after(milliseconds(life.lived).max(lifetime)),
            matcher: OnceLock::new(),
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    pub(crate) fn value(&self) -> &Secret {
        &self.value
    }

    /// What finds it in an answer; made by the first who needs it.
    pub(crate) fn matcher(&self, make: impl FnOnce() -> Arc<Matcher>) -> Arc<Matcher> {
        Arc::clone(self.matcher.get_or_init(make))
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    /// Whether it may still be good for whoever has it.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        now < self.lives
    }

    /// Whether it was obtained for this grant as it is now, and that version of its
    /// secret.
    pub(crate) fn is_for(&self, grant: &Grant, secret: &LiveSecret) -> bool {
        self.key.secret == (secret.info.id, secret.info.version)
            && self.grant.id == grant.id
            && self.grant.policy == grant.policy
            && self.grant.terms == grant.terms
    }

    /// Whether its endpoint may have given it out: the grant in force now has been so
    /// together with a route that led there.
    pub(crate) fn is_of(&self, live: &Live, grant: &Grant) -> bool {
        let endpoint = grant.terms.endpoint().zip(self.key.address.as_deref());
        endpoint
            .is_none_or(|(endpoint, address)| live.parts.reach.has(grant, &endpoint.route, address))
    }

    /// The header value with the token in its template's slot. It stands in secret
    /// pages and is wiped when the last copy of the header is dropped. `None` if no
    /// header can hold it, which was seen to when it was made.
    pub(crate) fn header(&self, terms: &OauthTerms) -> Option<HeaderValue> {
        let value = self.value.expose();
        let parts = [terms.prefix.as_bytes(), &value, terms.suffix.as_bytes()];
        let mut text = Scratch::new(parts.iter().map(|part| part.len()).sum());
        let mut free = &mut text[..];
        for part in parts {
            let (to, rest) = free.split_at_mut(part.len());
            to.copy_from_slice(part);
            free = rest;
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The terms of a grant of `token`.
fn terms_of(grant: &Grant) -> Option<&OauthTerms> {
    match &grant.terms {
        Terms::Token(terms) => Some(terms),
        _ => None,
    }
}
