//! How long what is had for a client's token is used: not for longer than that token.
//!
//! It is read without any trust: whoever wrote it can only shorten the time.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::SubjectToken;

/// How long, in seconds, where the client's token doesn't say when it ends.
const UNSAID: u64 = 300;

#[derive(Deserialize)]
struct Ends {
    exp: f64,
}

impl SubjectToken {
    /// For how many seconds what is had for it may be used from `now` on; 0 if it has
    /// ended. What is no JWT, or has no `exp`, counts as one that ends in 300 s.
    pub(super) fn lasts(&self, now: i64) -> u64 {
        let Some(exp) = ends(self.as_str()) else {
            return UNSAID;
        };
        // Far apart, both are the greatest number.
        let exp = exp.clamp(0.0, 9e15) as u64;
        exp.saturating_sub(u64::try_from(now).unwrap_or(0))
    }
}

/// The claim `exp` of a JWT (RFC 7519, 4.1.4), in seconds since 1970.
fn ends(token: &str) -> Option<f64> {
    let mut parts = token.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = Zeroizing::new(BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?);
    let ends: Ends = serde_json::from_slice(&claims).ok()?;
    ends.exp.is_finite().then_some(ends.exp)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_a_clients_token_says_of_its_end_is_read() {
        let jwt = |claims: &str| format!("eyJ9.{}.c2ln", BASE64URL_NOPAD.encode(claims.as_bytes()));
        let four = jwt(r#"{"exp":1060}"#) + ".x";
        for (token, lasts) in [
            (jwt(r#"{"exp":1060}"#), 60),
            (jwt(r#"{"sub":"a","exp":1060.9}"#), 60),
            (jwt(r#"{"exp":1000}"#), 0),
            (jwt(r#"{"exp":-5}"#), 0),
            (jwt(r#"{"exp":1e300}"#), 9_000_000_000_000_000 - 1000),
            (jwt(r#"{"exp":"1060"}"#), UNSAID),
            (jwt(r#"{"exp":1060,"exp":2060}"#), UNSAID),
            (jwt(r#"{"sub":"a"}"#), UNSAID),
            (jwt("[]"), UNSAID),
            ("a.%%.b".to_owned(), UNSAID),
            ("opaque".to_owned(), UNSAID),
            (four, UNSAID),
        ] {
            let subject = SubjectToken::new(token.clone()).unwrap();
            assert_eq!(subject.lasts(1000), lasts, "{token}");
        }
    }
}
