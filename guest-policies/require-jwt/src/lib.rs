//! Lets a request pass only with a token that its issuer signed (JSON Web Tokens,
//! RFC 7519).
//!
//! The host checks signature, time, issuer and audience, by the keys that the operator
//! named; the policy decides by the claims. Clients are answered as RFC 6750, section 3,
//! says, with no more detail than it has words for. Who is calling (`sub`) is left in
//! the variable `subject` for the policies that follow.

#![forbid(unsafe_code)]

mod settings;

use keyward_policy::{Decision, Exchange, JwtFailure, Problem, Verdict, VerifiedJwt, policy};

pub use settings::{Claim, ClaimHeader, Settings};

/// The most bytes of a header that the backend is told a claim in.
const MAX_TOLD_BYTES: usize = 4096;

/// Checks the token; answers 401 where it does not hold, 403 where it is not enough.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it; also where the keys can't be had.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    let token = match settings.token(exchange) {
        Presented::One(token) => token,
        Presented::None => return settings.refuse(exchange, &Refusal::Missing),
        Presented::Several => return settings.refuse(exchange, &Refusal::Request),
    };
    let keys = match &settings.issuer {
        Some(issuer) => exchange.jwt_issuer(issuer)?,
        None => exchange.jwt_verifier(&settings.alias)?,
    };
    let token = match keys.verify(&token) {
        Ok(token) => token,
        Err(JwtFailure::Missing) => return settings.refuse(exchange, &Refusal::Missing),
        Err(failure) => match failure.failure() {
            Some(failure) => return Err(failure),
            None => return settings.refuse(exchange, &Refusal::Token(failure)),
        },
    };
    if !settings.is_of_type(&token) {
        return settings.refuse(exchange, &Refusal::Token(JwtFailure::Malformed));
    }
    if !settings.is_enough(&token) {
        return settings.refuse(exchange, &Refusal::Scope);
    }
    if let Some(subject) = token.text("sub") {
        exchange.set_variable("subject", &subject)?;
    }
    settings.tell(exchange, &token)?;
    Ok(Verdict::Proceed)
}

/// What the request carries.
enum Presented {
    None,
    One(String),
    Several,
}

/// Why a request does not pass.
enum Refusal {
    /// No token.
    Missing,
    /// Tokens, or something that is none, where one is expected.
    Request,
    /// The token is not right.
    Token(JwtFailure),
    /// It is right and not enough.
    Scope,
}

impl Settings {
    fn token(&self, exchange: &Exchange<'_>) -> Presented {
        if let Some(name) = &self.query {
            return match exchange.query(name) {
                Some(token) if !token.is_empty() => Presented::One(token),
                _ => Presented::None,
            };
        }
        let bearer = self.header.is_none() || self.is_authorization();
        let request = exchange.request();
        let mut values = request.header_values(self.header_name());
        let Some(value) = values.next() else {
            return Presented::None;
        };
        if values.next().is_some() {
            return Presented::Several;
        }
        let Ok(value) = String::from_utf8(value) else {
            return Presented::Several;
        };
        if !bearer {
            return Presented::One(value);
        }
        // RFC 9110, section 11.1: the scheme in any case, then spaces.
        match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Presented::One(token.trim_start_matches(' ').to_owned())
            }
            _ => Presented::None,
        }
    }

    fn header_name(&self) -> &str {
        self.header.as_deref().unwrap_or("authorization")
    }

    fn is_authorization(&self) -> bool {
        self.header_name().eq_ignore_ascii_case("authorization")
    }

    fn is_of_type(&self, token: &VerifiedJwt) -> bool {
        let Some(types) = &self.types else {
            return true;
        };
        // RFC 7515, section 4.1.9: a type without a slash has an `application/` before it.
        let bare = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix("application/")
                .map_or(text.clone(), str::to_owned)
        };
        let own = token.token_type().map(bare);
        own.is_some_and(|own| types.iter().any(|wanted| bare(wanted) == own))
    }

    fn is_enough(&self, token: &VerifiedJwt) -> bool {
        let has = |claim: &Claim| match &claim.any_of {
            None => token.claim(&claim.name).is_some(),
            Some(wanted) => {
                let own = values(token, &claim.name);
                own.iter().any(|own| wanted.contains(own))
            }
        };
        let scopes = token.list(&self.scope_claim);
        let roles = values(token, &self.role_claim);
        self.claims.iter().all(has)
            && self.scopes.iter().all(|scope| scopes.contains(scope))
            && (self.roles.is_empty() || roles.iter().any(|role| self.roles.contains(role)))
    }

    /// Tells the backend what it is to know, and takes the token out if it is not to.
    fn tell(
        &self,
        exchange: &Exchange<'_>,
        token: &VerifiedJwt,
    ) -> Result<(), keyward_policy::Failure> {
        let request = exchange.request();
        for told in &self.set_headers {
            let value = values(token, &told.claim).join(",");
            let is_sendable = (1..=MAX_TOLD_BYTES).contains(&value.len())
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() || byte == b' ');
            match is_sendable {
                true => request.set_header(&told.header, &value)?,
                false => request.remove_header(&told.header)?,
            }
        }
        if self.remove_token {
            request.remove_header(self.header_name())?;
        }
        Ok(())
    }

    fn refuse(&self, exchange: &Exchange<'_>, refusal: &Refusal) -> Decision {
        let (status, title, error, detail) = match refusal {
            Refusal::Missing => (401, "Unauthorized", None, "The request carries no token."),
            Refusal::Request => (
                400,
                "Bad Request",
                Some("invalid_request"),
                "The request carries more than one token, or something that is none.",
            ),
            Refusal::Token(JwtFailure::Expired) => (
                401,
                "Unauthorized",
                Some("invalid_token"),
                "The token's time is over.",
            ),
            Refusal::Token(_) => (
                401,
                "Unauthorized",
                Some("invalid_token"),
                "The token is not accepted here.",
            ),
            Refusal::Scope => (
                403,
                "Forbidden",
                Some("insufficient_scope"),
                "The token does not allow this.",
            ),
        };
        let mut parts = Vec::new();
        let mut part = |name: &str, value: &str| parts.push(format!("{name}=\"{value}\""));
        if let Some(realm) = &self.realm {
            part("realm", realm);
        }
        if let Some(error) = error {
            part("error", error);
        }
        if matches!(refusal, Refusal::Scope) && !self.scopes.is_empty() {
            part("scope", &self.scopes.join(" "));
        }
        let challenge = match parts.is_empty() {
            true => "Bearer".to_owned(),
            false => format!("Bearer {}", parts.join(", ")),
        };
        exchange.reject(
            Problem::new(status, title)
                .detail(detail)
                .header("www-authenticate", &challenge),
        )
    }
}

/// A claim's values: those of an array, or the one that it is.
fn values(token: &VerifiedJwt, name: &str) -> Vec<String> {
    match token.text(name) {
        Some(value) => vec![value],
        None => token.list(name),
    }
}

policy! {
    settings: Settings,
    inbound: decide,
}

#[cfg(test)]
mod tests;
