//! What every source does: fetch a value, check itself step by step, tell of
//! changes; and what some can do more: keep keys that never leave them.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use keyward_names::SourceName;
use keyward_vault::{JwsAlgorithm, MacAlgorithm, PublicKey, Secret, SourceVersion, Validity};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::error::SourceError;

/// A named place that secrets come from: `[sources.NAME]` of a configuration.
///
/// One that is asked for several keys at a time answers each by itself; how many at
/// a time is for the caller to bound. Futures may be dropped at any time: what was
/// under way is given up, and the next call starts anew.
pub trait Source: Send + Sync + 'static {
    /// What the operator called it.
    fn name(&self) -> &SourceName;

    /// Which kind of source, as it is written in a configuration: `key-vault`.
    fn kind(&self) -> &'static str;

    /// Asks once for the value of `key`, without retries of its own other than those
    /// that a protocol demands (such as asking again with a renewed token).
    ///
    /// Bounds its own time and how much it reads. Errors: see [`SourceError`]; a key
    /// that this source can't have is [`SourceError::Key`].
    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>>;

    /// Walks through all that a fetch does and says for each step how it went, with
    /// what to do about the first that failed. Without a key it ends before a secret
    /// is read. Never fails as a whole, and tells nothing of a value.
    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>>;

    /// Whether `key` can be a key of this source at all; asks nobody.
    ///
    /// Errors: [`SourceError::Key`].
    fn check_key(&self, key: &str) -> Result<(), SourceError>;

    /// Tells of changes without being asked, where the source can: all of its keys
    /// are then worth fetching again. `None` where it can't.
    fn watch(&self) -> Option<Changes> {
        None
    }

    /// Opens and closes master keys, where the source can.
    fn key_wrapper(&self) -> Option<&dyn KeyWrapper> {
        None
    }

    /// Keys that never leave the source, where it has such.
    fn remote_keys(&self) -> Option<&dyn RemoteKeys> {
        None
    }
}

/// What a source answered.
pub struct Fetched {
    /// The value, as the source holds it: text, or base64 of a PFX if
    /// [`content_type`](Self::content_type) says so.
    pub value: Secret,
    /// Which version this is, in the source's own words.
    pub version: SourceVersion,
    /// When the source says that it may be used. Sources such as Key Vault hand
    /// values over outside of it, too: the vault decides.
    pub validity: Validity,
    /// False if the source says that it is not to be used.
    pub enabled: bool,
    /// What the source says that the value is, if it says so.
    pub content_type: Option<ContentType>,
}

impl Fetched {
    /// What may be told of it: not its value, and not its length.
    pub(crate) fn told(&self) -> String {
        let mut text = format!("version {}", self.version);
        let (now, refused) = (Timestamp::now(), "uses of it are refused");
        match self.validity.not_after {
            Some(end) if end <= now => text += &format!(", over since {end}: {refused}"),
            Some(end) => text += &format!(", until {end}"),
            None => {}
        }
        if let Some(start) = self.validity.not_before.filter(|start| *start > now) {
            text += &format!(", from {start} on: until then {refused}");
        }
        text += match self.content_type {
            Some(ContentType::Pkcs12) => ", a certificate (PFX)",
            Some(ContentType::Pem) => ", a certificate (PEM)",
            _ => "",
        };
        text
    }
}

/// What a value is, as far as a source says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentType {
    /// `application/x-pkcs12`: a certificate with its key (RFC 7292), in base64.
    Pkcs12,
    /// `application/x-pem-file`: a certificate with its key (RFC 7468).
    Pem,
}

impl ContentType {
    /// From a media type; `None` for those that say nothing of use here.
    pub fn from_media_type(text: &str) -> Option<Self> {
        let bare = text.split(';').next().unwrap_or_default().trim();
        match () {
            () if bare.eq_ignore_ascii_case("application/x-pkcs12") => Some(Self::Pkcs12),
            () if bare.eq_ignore_ascii_case("application/x-pem-file") => Some(Self::Pem),
            () => None,
        }
    }
}

/// One step of [`Source::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckStep {
    /// What was tried, in a few words: `the vault's name has an address`.
    pub step: Cow<'static, str>,
    /// How it went.
    pub outcome: StepOutcome,
}

/// How a step of [`Source::check`] went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// As it should; with something worth knowing, such as a number of bytes, or
    /// empty. Never a value, a token or a server's words.
    Passed {
        /// What is worth knowing.
        detail: String,
    },
    /// Not: this is what to repair.
    Failed {
        /// Why; it brings its own advice.
        error: SourceError,
    },
    /// Not tried, because of an earlier step or because no key was given.
    Skipped,
}

impl CheckStep {
    /// A step that went as it should.
    pub fn passed(step: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            step: step.into(),
            outcome: StepOutcome::Passed { detail },
        }
    }

    /// A step that did not.
    pub fn failed(step: impl Into<Cow<'static, str>>, error: SourceError) -> Self {
        Self {
            step: step.into(),
            outcome: StepOutcome::Failed { error },
        }
    }

    /// A step that was not tried.
    pub fn skipped(step: impl Into<Cow<'static, str>>) -> Self {
        Self {
            step: step.into(),
            outcome: StepOutcome::Skipped,
        }
    }
}

/// News that something in a source may have changed. Several become one.
pub struct Changes(watch::Receiver<u64>);

/// The other end of [`Changes`].
pub struct Announcer(watch::Sender<u64>);

impl Announcer {
    /// An announcer that nobody listens to yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Says that something may have changed. Never waits.
    pub fn announce(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Listens from now on.
    pub fn listen(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new()
    }
}

impl Changes {
    /// Waits for news; false if there will be none any more. May be dropped and
    /// called again without missing any.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// Opens and closes master keys where a source can: Key Vault's `wrapKey` and
/// `unwrapKey`, OpenBao's transit.
pub trait KeyWrapper: Send + Sync {
    /// Closes a master key with the source's key `key`.
    fn wrap<'a>(
        &'a self,
        key: &'a str,
        plain: &'a Zeroizing<[u8; 32]>,
    ) -> BoxFuture<'a, Result<WrappedKey, SourceError>>;

    /// Opens what [`wrap`](Self::wrap) made; `key` is [`WrappedKey::key`].
    ///
    /// Errors: also [`SourceError::Malformed`] if what comes back has not 32 bytes.
    fn unwrap<'a>(
        &'a self,
        key: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<Zeroizing<[u8; 32]>, SourceError>>;
}

/// A master key that only its source can open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key that opens it: with its version, where the source needs that.
    pub key: String,
    /// At most 4096 bytes, which mean something to the source only.
    pub bytes: Vec<u8>,
}

/// The public half of a key that never leaves its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePublicKey {
    /// Which version of the key.
    pub version: u64,
    /// SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), as DER.
    pub spki: Vec<u8>,
}

/// How the two numbers of a signature with ECDSA are written. Others have one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureForm {
    /// Each of fixed length (RFC 7518, section 3.4).
    Jws,
    /// In DER (RFC 3279, section 2.2.3), as TLS has them.
    Asn1,
}

/// What a source sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSealed {
    /// Which version of the key did; not 0.
    pub version: u64,
    /// Nonce, ciphertext and tag, as the source has them.
    pub sealed: Vec<u8>,
}

/// Keys that never leave the source: OpenBao's transit.
///
/// What is asked of a key is asked once: an implementation doesn't ask again after a
/// refusal, nor after silence.
pub trait RemoteKeys: Send + Sync {
    /// The code of a message under the newest version of `key`: 32, 48 or 64 bytes.
    /// It is made to be shown and no secret of ours.
    fn hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>>;

    /// Whether `code` is the code of a message under a version of `key` that the
    /// source still accepts.
    fn verify_hmac<'a>(
        &'a self,
        key: &'a str,
        algorithm: MacAlgorithm,
        message: &'a [u8],
        code: &'a [u8],
    ) -> BoxFuture<'a, Result<bool, SourceError>>;

    /// The public half of the newest version of `key`, as of the last half minute.
    ///
    /// Errors: also [`SourceError::Malformed`] if the key has none.
    fn public_key<'a>(
        &'a self,
        key: &'a str,
    ) -> BoxFuture<'a, Result<RemotePublicKey, SourceError>>;

    /// Which version of `key` has this public half.
    ///
    /// Errors: also [`SourceError::OtherKey`] if none has, of those that the source has
    /// now.
    fn version_of<'a>(
        &'a self,
        key: &'a str,
        public: &'a PublicKey,
    ) -> BoxFuture<'a, Result<u64, SourceError>>;

    /// The signature of a message under that version of `key`, in that form: of at most
    /// 1024 bytes. Nothing here says that it is right: it is for the caller to verify.
    fn sign<'a>(
        &'a self,
        key: &'a str,
        version: u64,
        terms: (JwsAlgorithm, SignatureForm),
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, SourceError>>;

    /// Seals a text with the newest version of `key`, and authenticates `associated`
    /// with it.
    fn seal<'a>(
        &'a self,
        key: &'a str,
        text: &'a [u8],
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<RemoteSealed, SourceError>>;

    /// Opens what [`seal`](Self::seal) sealed. `None`: it was not sealed so, or under a
    /// version that the source no longer accepts.
    fn open<'a>(
        &'a self,
        key: &'a str,
        sealed: &'a RemoteSealed,
        associated: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Zeroizing<Vec<u8>>>, SourceError>>;
}
