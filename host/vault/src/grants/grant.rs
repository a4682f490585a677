//! One grant, parsed: what is allowed to whom, where to and in what shape.

use http::{HeaderName, Method};
use jiff::Timestamp;
use keyward_names::{Alias, ComponentDigest, GrantId, PolicyName, RouteName, SecretName};
use uuid::Uuid;

use super::path::PathTemplate;
use super::terms::{
    JwsTerms, OauthTerms, Place, Placement, Presign, QueryTerms, Sealing, SharedAccess,
    SharedAccessScope, SharedKey, SigV4, TokenEndpoint,
};
use crate::jws::KeyId;
use crate::kind::Kind;
use crate::{Outcome, Use};

/// The operator's rule: this policy may make this use of this secret, so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What it is called in the audit trail.
    pub id: GrantId,
    /// Who may.
    pub policy: PolicyName,
    /// Only this component under that name, if one is pinned.
    pub component: Option<ComponentDigest>,
    /// Which secret.
    pub secret: SecretName,
    /// What the policy calls it.
    pub alias: Alias,
    /// Which use, and in what shape.
    pub terms: Terms,
    /// Where to. Never empty for uses that go into a request, empty for others.
    pub to: Vec<Destination>,
    /// Until when, inclusive.
    pub not_after: Option<Timestamp>,
    /// Only the secret with this id, if a lock pins one: a new secret under an old
    /// name gets no grants.
    pub pinned: Option<Uuid>,
}

impl Grant {
    /// The use that it allows.
    pub const fn use_(&self) -> Use {
        self.terms.use_()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.not_after.is_some_and(|end| now > end)
    }

    /// Whether it is for this component.
    pub fn is_for(&self, component: &ComponentDigest) -> bool {
        self.component
            .as_ref()
            .is_none_or(|pinned| pinned == component)
    }

    /// Whether it is about this secret, whose name is the grant's.
    pub(crate) fn is_about(&self, secret: &Uuid) -> bool {
        self.pinned.as_ref().is_none_or(|pinned| pinned == secret)
    }

    /// Whether one of its destinations is this one; if not, what the closest one
    /// misses, for the audit trail. `path` is the request's path without its query.
    pub(crate) fn reaches(
        &self,
        route: &RouteName,
        method: &Method,
        path: &str,
    ) -> Result<(), Outcome> {
        let mut closest = Outcome::OtherRoute;
        for destination in self.to.iter().filter(|to| to.route == *route) {
            if !destination.allows_method(method) {
                closest = closest.max(Outcome::OtherMethod);
            } else if !destination.allows_path(path) {
                closest = closest.max(Outcome::OtherPath);
            } else {
                return Ok(());
            }
        }
        Err(closest)
    }
}

/// What a grant allows, with what belongs to each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Terms {
    /// Write the value into a request (class C).
    Attach(Placement),
    /// Sign a request as RFC 9421 says (class A).
    SignRequest(RequestSignature),
    /// Sign a request to Azure Storage (class A).
    SharedKey(SharedKey),
    /// Sign a request to AWS (class A).
    SigV4(SigV4),
    /// Make message authentication codes (class A).
    MacSign,
    /// Check message authentication codes (class A).
    MacVerify,
    /// Find out which client is calling (class A).
    Identify(KeyPlace),
    /// Make a shared access signature and write it into a request (class B).
    SharedAccess(SharedAccess),
    /// Presign a request's URL for AWS (class B).
    Presign(Presign),
    /// Read the public parts of a connection string (class A).
    Describe,
    /// Run statements on a database (class A).
    Query(QueryTerms),
    /// Show a certificate in TLS (class A).
    Present,
    /// Sign tokens (class A).
    JwsSign(JwsTerms),
    /// Seal data of the policy's own (class A).
    Seal(Sealing),
    /// Open what was sealed (class A).
    Open(Sealing),
    /// Obtain a token and write it into a request (class B).
    Token(Box<OauthTerms>),
    /// Check tokens that clients present (class A).
    VerifyJwt(TokenTerms),
}

impl Grant {
    /// Whether a request of that method may be sent once more with another version
    /// of the secret.
    pub(crate) fn retries(&self, method: &Method) -> bool {
        match self
            .terms
            .answers()
            .map_or(RetryOn401::Never, |answers| answers.retry)
        {
            RetryOn401::Never => false,
            RetryOn401::Idempotent => method.is_idempotent(),
            RetryOn401::AnyMethod => true,
        }
    }
}

/// What a grant says about the answers of a backend that is sent a value or a bearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What of an answer is passed on.
    pub response: ResponseMode,
    /// Whether encoded answers are passed on, once a decoded copy was searched.
    pub decode: bool,
    /// What happens to the grant when what was sent comes back.
    pub reflected: WhenReflected,
    /// Which requests are sent once more after a 401.
    pub retry: RetryOn401,
}

impl Terms {
    /// What is said about answers; `None` where nothing is sent that could come back.
    pub(crate) fn answers(&self) -> Option<Answers> {
        match self {
            Self::Attach(placement) => Some(Answers {
                response: placement.response,
                decode: placement.decode,
                reflected: placement.reflected,
                retry: placement.retry,
            }),
            Self::Token(token) => Some(Answers {
                response: token.response,
                decode: token.decode,
                reflected: token.reflected,
                retry: token.retry,
            }),
            Self::SharedAccess(terms) => Some(terms.answers),
            Self::SigV4(terms) => Some(terms.answers),
            Self::Presign(terms) => Some(terms.signature.answers),
            Self::JwsSign(terms) => Some(terms.answers),
            Self::SignRequest(_)
            | Self::SharedKey(_)
            | Self::MacSign
            | Self::MacVerify
            | Self::Identify(_)
            | Self::Describe
            | Self::Query(_)
            | Self::Present
            | Self::Seal(_)
            | Self::Open(_)
            | Self::VerifyJwt(_) => None,
        }
    }

    /// The header that a value or a token is written into, if there is one.
    pub(crate) fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Attach(placement) => match &placement.place {
                Place::Header { name, .. } => Some(name),
                _ => None,
            },
            Self::Token(token) => Some(&token.header),
            _ => None,
        }
    }

    /// The token endpoint that is asked, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::Token(token) => Some(&token.endpoint),
            _ => None,
        }
    }

    /// The use that they are about.
    pub const fn use_(&self) -> Use {
        match self {
            Self::Attach(_) => Use::Attach,
            Self::SignRequest(_) | Self::SharedKey(_) | Self::SigV4(_) => Use::SignRequest,
            Self::MacSign => Use::MacSign,
            Self::MacVerify => Use::MacVerify,
            Self::Identify(_) => Use::Identify,
            Self::SharedAccess(_) => Use::Sas,
            Self::Presign(_) => Use::Presign,
            Self::Describe => Use::Describe,
            Self::Query(_) => Use::Query,
            Self::Present => Use::Present,
            Self::JwsSign(_) => Use::JwsSign,
            Self::Seal(_) => Use::Seal,
            Self::Open(_) => Use::Open,
            Self::Token(_) => Use::Token,
            Self::VerifyJwt(_) => Use::VerifyJwt,
        }
    }

    /// Whether a secret of this kind can be used so: its use fits, and the scheme is
    /// the kind's.
    pub fn fits(&self, kind: &Kind) -> bool {
        let is_right_scheme = match self {
            Self::SignRequest(_) => matches!(kind, Kind::HmacKey { .. }),
            Self::SharedKey(_) => matches!(kind, Kind::StorageAccount),
            Self::SigV4(_) => matches!(kind, Kind::AwsKey),
            Self::SharedAccess(terms) => match terms.scope {
                SharedAccessScope::Entity { .. } => matches!(kind, Kind::ServiceBus),
                _ => matches!(kind, Kind::StorageAccount),
            },
            _ => true,
        };
        is_right_scheme && self.use_().fits(kind)
    }

    /// Whether, of a key that stays in its source, the certificate has to be here.
    pub(crate) fn need_certificate(&self) -> bool {
        match self {
            Self::Present | Self::Token(_) => true,
            Self::JwsSign(terms) => terms.key_id == KeyId::CertificateThumbprint,
            _ => false,
        }
    }
}

/// Which requests are sent once more, with another version of the secret, when the
/// backend answers 401 (RFC 9110, 15.5.2). A request is never sent a third time, nor
/// again with the same version, nor where its body is not at hand any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryOn401 {
    /// None.
    #[default]
    Never,
    /// Those with a method that means the same done twice (RFC 9110, 9.2.2).
    Idempotent,
    /// All: for backends that look at the credential before they do anything.
    AnyMethod,
}

/// What of an answer is passed on to a request that carried a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// All of it, once it was searched for the value.
    #[default]
    Full,
    /// Its status, and nothing else: for values that are too short to be searched
    /// for, and for backends that are not trusted at all.
    StatusOnly,
}

impl ResponseMode {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Full, Self::StatusOnly];

    /// As people write it: `full`, `status-only`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::StatusOnly => "status-only",
        }
    }
}

/// What happens to a grant whose value is found in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenReflected {
    /// The answer is stopped and the find recorded. No more, because any client of a
    /// backend that can be brought to return the value could otherwise end the
    /// grant for all.
    #[default]
    Block,
    /// Also, the third find within 24 hours revokes the grant.
    Revoke,
}

impl WhenReflected {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Block, Self::Revoke];

    /// As people write it: `block`, `revoke`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Revoke => "revoke",
        }
    }
}

/// How a request is signed: RFC 9421 with HMAC-SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSignature {
    /// The signature's label in `signature-input` and `signature`.
    pub label: String,
    /// The parameter `keyid`: visible ASCII without `"` and `\`.
    pub key_id: String,
    /// What is covered, in order.
    pub components: Vec<Component>,
    /// The longest body that is signed, in bytes. The body is held in memory.
    pub max_body_bytes: u64,
    /// How long the signature is valid: `expires` minus `created`.
    pub lifetime_seconds: u64,
}

/// A part of a request that a signature covers (RFC 9421, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// `@method`
    Method,
    /// `@target-uri`
    TargetUri,
    /// `@authority`
    Authority,
    /// `@scheme`
    Scheme,
    /// `@path`
    Path,
    /// `@query`
    Query,
    /// `content-digest`, which the host adds (RFC 9530).
    ContentDigest,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Method,
        Self::TargetUri,
        Self::Authority,
        Self::Scheme,
        Self::Path,
        Self::Query,
        Self::ContentDigest,
    ];

    /// Its name in a signature's input.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Method => "@method",
            Self::TargetUri => "@target-uri",
            Self::Authority => "@authority",
            Self::Scheme => "@scheme",
            Self::Path => "@path",
            Self::Query => "@query",
            Self::ContentDigest => "content-digest",
        }
    }
}

/// Where clients put their key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header, as its whole value.
    Header(HeaderName),
    /// In a parameter of the query: `A-Z a-z 0-9 - . _ ~`.
    Query(String),
}

/// Which tokens a MAC key vouches for (RFC 7519). The algorithm is the key's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTerms {
    /// What `iss` must be; `None` for any, and for none.
    pub issuer: Option<String>,
    /// Of these, `aud` must have one. If empty, a token that has `aud` is refused
    /// (RFC 7519, section 4.1.3).
    pub audiences: Vec<String>,
    /// By how many seconds clocks may differ.
    pub clock_skew_seconds: u64,
}

/// A destination that a grant names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The route.
    pub route: RouteName,
    /// The methods; empty for any but CONNECT and TRACE.
    pub methods: Vec<Method>,
    /// The paths; empty for any, which only class A may have.
    pub paths: Vec<PathTemplate>,
}

impl Destination {
    /// Whether a request goes there. `path` is its path without its query.
    pub fn allows(&self, route: &RouteName, method: &Method, path: &str) -> bool {
        self.route == *route && self.allows_method(method) && self.allows_path(path)
    }

    fn allows_method(&self, method: &Method) -> bool {
        if self.methods.is_empty() {
            *method != Method::CONNECT && *method != Method::TRACE
        } else {
            self.methods.contains(method)
        }
    }

    fn allows_path(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|template| template.matches(path))
    }
}
