//! Tokens that clients present (JSON Web Tokens, RFC 7519), checked by the host.

use core::fmt;

use serde_json::Value;

use crate::{Exchange, Failure, host};

/// Keys that vouch for tokens: of the vault, or of an issuer.
pub struct JwtVerifier<'a> {
    exchange: &'a host::Exchange,
    handle: host::JwtVerifier,
}

impl JwtVerifier<'_> {
    /// Checks a token in compact form, of at most 16 KiB: its signature, and that its
    /// time, issuer and audience are right. What the operator expects counts, not what
    /// the token says about itself.
    ///
    /// # Errors
    /// See [`JwtFailure`].
    pub fn verify(&self, token: &str) -> Result<VerifiedJwt, JwtFailure> {
        host::verify_jwt(&self.handle, self.exchange, token)
    }
}

impl<'a> Exchange<'a> {
    /// Opens a key that vouches for tokens by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn jwt_verifier(&self, alias: &str) -> Result<JwtVerifier<'a>, Failure> {
        Ok(JwtVerifier {
            exchange: self.host,
            handle: host::open_jwt_verifier(self.host, alias)?,
        })
    }

    /// Opens the keys that an issuer publishes, by the name that the operator gave it.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn jwt_issuer(&self, name: &str) -> Result<JwtVerifier<'a>, Failure> {
        Ok(JwtVerifier {
            exchange: self.host,
            handle: host::open_jwt_issuer(self.host, name)?,
        })
    }
}

/// A token that was found to be right.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedJwt {
    claims: Value,
    algorithm: String,
    key_id: Option<String>,
    token_type: Option<String>,
}

impl VerifiedJwt {
    /// `None` if the claims are no object: the host answers nothing else.
    pub(crate) fn new(
        claims: &str,
        algorithm: String,
        key_id: Option<String>,
        token_type: Option<String>,
    ) -> Option<Self> {
        let claims: Value = serde_json::from_str(claims).ok()?;
        claims.is_object().then_some(Self {
            claims,
            algorithm,
            key_id,
            token_type,
        })
    }

    /// A claim, by its name; or, where that begins with `/`, by a JSON pointer
    /// (RFC 6901) into the claims: `/realm_access/roles`.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        match name.starts_with('/') {
            true => self.claims.pointer(name),
            false => self.claims.get(name),
        }
    }

    /// A claim that is a text, a number or a boolean, as a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        text_of(self.claim(name)?)
    }

    /// What a claim lists: the texts of an array, or the words of a text, as `scope` of
    /// OAuth 2.0 has them (RFC 6749, section 3.3). Empty if there is no such claim.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.claim(name) {
            Some(Value::String(words)) => words.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(values)) => values.iter().filter_map(text_of).collect(),
            _ => Vec::new(),
        }
    }

    /// All claims, as the JSON object that was signed.
    #[must_use]
    pub fn claims(&self) -> &Value {
        &self.claims
    }

    /// The algorithm of its signature, such as `RS256`.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// What its header calls the key.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What its header says that it is, such as `at+jwt` (RFC 9068).
    #[must_use]
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Why a token was not found to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JwtFailure {
    /// No grant allows it, or the operator opened no issuer of that name to the policy.
    Denied,
    /// The budget of uses is spent.
    Exhausted,
    /// The keys can't be had now.
    Unavailable,
    /// There is no token: the text is empty.
    Missing,
    /// It is not a signed token in compact form.
    Malformed,
    /// Its algorithm is not one that is expected.
    Algorithm,
    /// Its signature is not the key's.
    Signature,
    /// Its time is over, or it has no end.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is of another issuer.
    Issuer,
    /// It is for someone else.
    Audience,
}

impl JwtFailure {
    /// The failure in a few words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied: not granted, or no such issuer",
            Self::Exhausted => "the budget of uses of secrets is spent",
            Self::Unavailable => "the keys are not available now",
            Self::Missing => "there is no token",
            Self::Malformed => "it is not a token that can be checked",
            Self::Algorithm => "its algorithm is not one that is expected",
            Self::Signature => "its signature is not right",
            Self::Expired => "its time is over",
            Self::NotYetValid => "its time has not begun",
            Self::Issuer => "it is of another issuer",
            Self::Audience => "it is for someone else",
        }
    }

    /// What the policy, and not the client, is the cause of; `None` if the token is.
    #[must_use]
    pub const fn failure(self) -> Option<Failure> {
        match self {
            Self::Denied => Some(Failure::Denied),
            Self::Exhausted => Some(Failure::Exhausted),
            Self::Unavailable => Some(Failure::Unavailable),
            _ => None,
        }
    }
}

impl fmt::Display for JwtFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for JwtFailure {}
