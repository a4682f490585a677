//! `validate-jwt`: the host checks signature, times, issuer and audience as its operator
//! wrote them down; what the document asks for is asked on top of it.

use std::sync::Arc;

use keyward_document_program::statements::Element;
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::{Failure, JwtFailure, JwtVerifier, VerifiedJwt};

use super::claims::{self, Fault, Required, Times};
use crate::evaluate::tokens;
use crate::run::destination::parameters;
use crate::run::error::Stop;
use crate::run::{Flow, Given, Runner};

/// Why a token is refused: a reason for programs, and words for people that never hold
/// anything of the token.
type Refusal = (&'static str, &'static str);

const NOT_PRESENT: Refusal = ("TokenNotPresent", "JWT not present.");
const INVALID: Refusal = ("JwtInvalid", "JWT is not valid.");

/// What a failure says, the host's or a document's.
fn refusal(failure: JwtFailure) -> Refusal {
    match failure {
        JwtFailure::Missing => NOT_PRESENT,
        JwtFailure::Signature | JwtFailure::Algorithm => {
            ("TokenSignatureInvalid", "JWT signature is not valid.")
        }
        JwtFailure::Expired => refusal_of(Fault::Expired),
        JwtFailure::NotYetValid => refusal_of(Fault::TooEarly),
        JwtFailure::Issuer => refusal_of(Fault::Issuer),
        JwtFailure::Audience => refusal_of(Fault::Audience),
        // Those of the machinery are no refusals, and are never asked about here.
        JwtFailure::Malformed
        | JwtFailure::Denied
        | JwtFailure::Exhausted
        | JwtFailure::Unavailable => INVALID,
    }
}

fn refusal_of(fault: Fault) -> Refusal {
    match fault {
        Fault::Expired => ("TokenExpired", "JWT is expired."),
        Fault::TooEarly => ("JwtInvalid", "JWT is not valid yet."),
        Fault::Audience => ("TokenAudienceNotAllowed", "JWT audience is not allowed."),
        Fault::Issuer => ("TokenIssuerNotAllowed", "JWT issuer is not allowed."),
        Fault::NoClaim => ("TokenClaimNotFound", "A required claim is not in the JWT."),
        Fault::ClaimValue => (
            "TokenClaimValueNotAllowed",
            "A claim of the JWT does not have a required value.",
        ),
    }
}

/// Of two failures of different keys the one that tells more: a key that was right and
/// found something else wrong knows better than one that was not.
fn weight(failure: JwtFailure) -> u8 {
    match failure {
        JwtFailure::Missing | JwtFailure::Malformed => 0,
        JwtFailure::Algorithm => 1,
        JwtFailure::Signature => 2,
        JwtFailure::Issuer | JwtFailure::Audience => 3,
        JwtFailure::NotYetValid | JwtFailure::Expired => 4,
        // Nothing is known of the token then.
        JwtFailure::Denied | JwtFailure::Exhausted | JwtFailure::Unavailable => 5,
    }
}

/// The token in a header's value. `Bearer` may stand before it; where a scheme is
/// required, it has to.
fn in_header<'v>(value: &'v str, scheme: Option<&str>) -> Option<&'v str> {
    let value = value.trim();
    let (first, rest) = value.split_once(' ').unwrap_or(("", value));
    let rest = rest.trim();
    match scheme {
        Some(scheme) => first.eq_ignore_ascii_case(scheme).then_some(rest),
        None if first.eq_ignore_ascii_case("bearer") => Some(rest),
        None => Some(value),
    }
    .filter(|token| !token.is_empty())
}

impl<'p> Runner<'p, '_> {
    pub(crate) fn validate_jwt(&mut self, element: &'p Element) -> Result<Flow, Stop> {
        let token = match self.verified(element)? {
            Ok(token) => token,
            Err((reason, words)) => {
                let status = self.status_of(element, A::FailedValidationHttpcode, 401)?;
                let message = self.text(element, A::FailedValidationErrorMessage)?;
                return Err(match message {
                    Some(message) => self.failed(element, status, reason, &*message),
                    None => self.failed(element, status, reason, words),
                });
            }
        };
        if let Some(name) = self.text(element, A::OutputTokenVariableName)? {
            let value = tokens::jwt(&mut self.budget, &token)
                .map_err(|exception| self.throws(element, exception))?;
            self.set_variable(element, &name, value)?;
        }
        Ok(Flow::On)
    }

    /// A token that was found to be right, or why it is refused.
    fn verified(&mut self, element: &'p Element) -> Result<Result<Arc<str>, Refusal>, Stop> {
        let token = match self.presented(element)? {
            Ok(token) => token,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let verified = match self.verify(element, &token)? {
            Ok(verified) => verified,
            Err(failure) => return Ok(Err(refusal(failure))),
        };
        Ok(match self.check_claims(element, &verified)? {
            Ok(()) => Ok(token),
            Err(fault) => Err(refusal_of(fault)),
        })
    }

    fn presented(&mut self, element: &Element) -> Result<Result<Arc<str>, Refusal>, Stop> {
        if let Some(name) = self.text(element, A::HeaderName)? {
            let request = self.exchange.request();
            let mut values = request.header_values(&name);
            let (value, another) = (values.next(), values.next());
            if another.is_some() {
                // The backend may read the one that nobody has checked.
                return Ok(Err(INVALID));
            }
            let scheme = match name.eq_ignore_ascii_case("authorization") {
                true => self.text(element, A::RequireScheme)?,
                false => None,
            };
            let value = value.and_then(|value| String::from_utf8(value).ok());
            let token = value
                .as_deref()
                .and_then(|value| in_header(value, scheme.as_deref()));
            return Ok(token.map(Arc::from).ok_or(NOT_PRESENT));
        }
        let token = match self.text(element, A::QueryParameterName)? {
            Some(name) => {
                let query = self.line.query(self.exchange).unwrap_or_default();
                let mut values = parameters(&query).filter(|(there, _)| *there == *name);
                let value = values.next();
                if values.next().is_some() {
                    return Ok(Err(INVALID));
                }
                value.map(|(_, value)| Arc::from(value))
            }
            None => self.text(element, A::TokenValue)?,
        };
        let token = token.filter(|token| !token.trim().is_empty());
        Ok(token.ok_or(NOT_PRESENT))
    }

    /// Has the host check the token with one key after the other.
    fn verify(
        &mut self,
        element: &'p Element,
        token: &str,
    ) -> Result<Result<VerifiedJwt, JwtFailure>, Stop> {
        let mut verifiers = Vec::new();
        let program = self.program;
        let statements = &program.statements;
        for config in statements.children_named(element, E::OpenidConfig) {
            let url = self.required(config, A::Url)?;
            let issuers = &statements.surroundings().issuers;
            let Some(issuer) = issuers.iter().find(|issuer| issuer.url == *url) else {
                let message = "no issuer of the gateway that the document may ask has this URL";
                return Err(self.broken(element, 500, "IssuerNotFound", message, message));
            };
            verifiers.push(self.exchange.jwt_issuer(&issuer.name));
        }
        for keys in statements.children_named(element, E::IssuerSigningKeys) {
            for key in statements.children_named(keys, E::Key) {
                match key.text.map(|text| self.given(key, text)).transpose()? {
                    Some(Given::Secret(alias)) => {
                        verifiers.push(self.exchange.jwt_verifier(alias));
                    }
                    Some(Given::Value(_)) | None => {
                        let message = "a signing key has to be a secret of the vault";
                        return Err(self.broken(element, 500, "NotSupported", message, message));
                    }
                }
            }
        }
        let mut worst = None;
        for verifier in verifiers {
            match verified_by(verifier, token) {
                Ok(verified) => return Ok(Ok(verified)),
                Err(failure) if worst.is_none_or(|worst| weight(failure) > weight(worst)) => {
                    worst = Some(failure);
                }
                Err(_) => {}
            }
        }
        let Some(worst) = worst else {
            let message = "there is neither an openid-config nor a key";
            return Err(self.failed(element, 401, "TokenSignatureKeyNotFound", message));
        };
        if worst.failure().is_some() {
            let message = format!("the token can't be checked: {worst}");
            let reason = "TokenSignatureKeyNotFound";
            return Err(self.broken(element, 500, reason, &message, &message));
        }
        Ok(Err(worst))
    }

    fn check_claims(
        &mut self,
        element: &'p Element,
        verified: &VerifiedJwt,
    ) -> Result<Result<(), Fault>, Stop> {
        let statements = &self.program.statements;
        let own = verified.claims();
        let times = Times {
            now: self.exchange.now() / 1000,
            skew: self.int(element, A::ClockSkew)?.unwrap_or(0).max(0),
            has_to_end: self
                .bool(element, A::RequireExpirationTime)?
                .unwrap_or(true),
        };
        let audiences = self.texts_in(element, E::Audiences, E::Audience)?;
        let issuers = self.texts_in(element, E::Issuers, E::Issuer)?;
        let mut required = Vec::new();
        for all in statements.children_named(element, E::RequiredClaims) {
            for claim in statements.children_named(all, E::Claim) {
                required.push(self.required_claim(claim)?);
            }
        }
        let check = || {
            times.check(own)?;
            claims::check_issuer(own, &issuers)?;
            claims::check_audience(own, &audiences)?;
            required.iter().try_for_each(|required| required.check(own))
        };
        Ok(check())
    }

    fn required_claim(&mut self, claim: &Element) -> Result<Required<Arc<str>>, Stop> {
        let all = match self.text(claim, A::Match)?.as_deref() {
            None | Some("all") => true,
            Some("any") => false,
            Some(_) => return Err(self.unfit(claim, "match", "all or any")),
        };
        let mut values = Vec::new();
        let program = self.program;
        for value in program.statements.children_named(claim, E::Value) {
            values.push(self.content(value)?.unwrap_or_default());
        }
        Ok(Required {
            name: self.required(claim, A::Name)?,
            all,
            separator: self.text(claim, A::Separator)?.unwrap_or_default(),
            values,
        })
    }

    fn texts_in(&mut self, element: &Element, outer: E, inner: E) -> Result<Vec<Arc<str>>, Stop> {
        let statements = &self.program.statements;
        let mut texts = Vec::new();
        for outer in statements.children_named(element, outer) {
            for inner in statements.children_named(outer, inner) {
                // What is `null` allows nothing, and does not vanish.
                texts.push(self.content(inner)?.unwrap_or_default());
            }
        }
        Ok(texts)
    }
}

fn verified_by(
    verifier: Result<JwtVerifier<'_>, Failure>,
    token: &str,
) -> Result<VerifiedJwt, JwtFailure> {
    match verifier {
        Ok(verifier) => verifier.verify(token),
        Err(Failure::Denied) => Err(JwtFailure::Denied),
        Err(Failure::Exhausted) => Err(JwtFailure::Exhausted),
        Err(_) => Err(JwtFailure::Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_is_taken_off_and_one_that_is_required_has_to_be_there() {
        for (value, scheme, expected) in [
            ("Bearer abc", None, Some("abc")),
            ("bearer   abc ", None, Some("abc")),
            ("abc", None, Some("abc")),
            ("abc", Some("Bearer"), None),
            ("Basic abc", Some("Bearer"), None),
            ("BEARER abc", Some("Bearer"), Some("abc")),
            ("DPoP abc", Some("DPoP"), Some("abc")),
            ("Bearer ", Some("Bearer"), None),
            ("", None, None),
        ] {
            assert_eq!(in_header(value, scheme), expected, "{value:?} {scheme:?}");
        }
    }

    #[test]
    fn a_key_that_fits_knows_better_than_one_that_does_not() {
        assert!(weight(JwtFailure::Expired) > weight(JwtFailure::Signature));
        assert!(weight(JwtFailure::Audience) > weight(JwtFailure::Algorithm));
        assert!(weight(JwtFailure::Unavailable) > weight(JwtFailure::Expired));
    }
}
