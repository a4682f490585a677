//! The claims that count for whether a token is valid (RFC 7519, section 4.1).

use serde_json::{Map, Value};

use super::compact::Parsed;
use super::{TokenAlgorithm, TokenFault, VerifiedToken, json};

/// What the claims of a token have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// What `iss` is; `None` for any, and for none.
    pub issuer: Option<String>,
    /// Of these, `aud` has one. If empty, the token has no `aud`.
    pub audiences: Vec<String>,
    /// By how many seconds clocks may differ.
    pub clock_skew_seconds: u64,
}

/// The latest time that a claim may name, in seconds since 1970: what a double holds
/// exactly.
const LATEST: f64 = 9_007_199_254_740_992.0;

impl Parsed<'_> {
    /// The token, if its claims are right. Its signature was.
    pub(super) fn verified(
        self,
        algorithm: TokenAlgorithm,
        rules: &TokenRules,
        now: u64,
    ) -> Result<VerifiedToken, TokenFault> {
        let claims = json::object(&self.claims).ok_or(TokenFault::Malformed)?;
        rules.check(&claims, now)?;
        Ok(VerifiedToken {
            claims: String::from_utf8(self.claims).map_err(|_| TokenFault::Malformed)?,
            algorithm,
            key_id: self.header.key_id,
            type_: self.header.type_,
        })
    }
}

impl TokenRules {
    fn check(&self, claims: &Map<String, Value>, now: u64) -> Result<(), TokenFault> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds and skews are far below what a double holds exactly"
        )]
        let (now, skew) = (now as f64 / 1000.0, self.clock_skew_seconds as f64);
        let expires = time(claims, "exp")?.ok_or(TokenFault::Expired)?;
        if now >= expires + skew {
            return Err(TokenFault::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|begins| now < begins - skew) {
            return Err(TokenFault::NotYetValid);
        }
        time(claims, "iat")?;
        if let Some(issuer) = &self.issuer
            && claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(TokenFault::Issuer);
        }
        match self.is_for_one_of_us(claims)? {
            true => Ok(()),
            false => Err(TokenFault::Audience),
        }
    }

    fn is_for_one_of_us(&self, claims: &Map<String, Value>) -> Result<bool, TokenFault> {
        let ours = |text: &str| self.audiences.iter().any(|ours| ours == text);
        Ok(match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Value::String(audience)) => ours(audience),
            Some(Value::Array(audiences)) => {
                let mut texts = Vec::with_capacity(audiences.len());
                for audience in audiences {
                    texts.push(audience.as_str().ok_or(TokenFault::Malformed)?);
                }
                texts.into_iter().any(ours)
            }
            Some(_) => return Err(TokenFault::Malformed),
        })
    }
}

/// A claim that is a time (a `NumericDate`), in seconds since 1970.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, TokenFault> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_f64().ok_or(TokenFault::Malformed)?;
    match (0.0..=LATEST).contains(&seconds) {
        true => Ok(Some(seconds)),
        false => Err(TokenFault::Malformed),
    }
}
