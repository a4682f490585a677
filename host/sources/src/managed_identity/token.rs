//! A token, and how it is read from an endpoint's answer.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::IdentityError;
use crate::wiped::{Seconds, Wiped};

/// How long before its end a token is renewed.
const MARGIN: Duration = Duration::from_secs(300);
/// For this long at most a token is used, whatever its endpoint says.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest token, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// A bearer token. It has no `Debug`, and is wiped when dropped.
pub(crate) struct Token {
    /// `Bearer …`.
    bearer: Zeroizing<Vec<u8>>,
    /// Counts the tokens of an identity.
    pub(crate) serial: u64,
    renewed_at: Instant,
    ends: Instant,
}

/// What endpoints answer: IMDS and App Service with all of it, Microsoft Entra
/// without `resource` and `expires_on`.
#[derive(Deserialize)]
struct Answer {
    access_token: Wiped,
    token_type: Option<String>,
    resource: Option<String>,
    expires_on: Option<Seconds>,
    expires_in: Option<Seconds>,
}

impl Token {
    /// Reads a token for `resource` that was asked for at `asked`.
    ///
    /// Errors: [`IdentityError::Malformed`]; [`IdentityError::WrongToken`] if the
    /// endpoint says that it is for something else.
    pub(super) fn read(
        body: &[u8],
        resource: &str,
        asked: Instant,
        now: Timestamp,
        serial: u64,
    ) -> Result<Self, IdentityError> {
        let answer: Answer = serde_json::from_slice(body).map_err(|_| IdentityError::Malformed)?;
        let token = answer.access_token.as_bytes();
        let is_token = token.iter().all(u8::is_ascii_graphic);
        if !(1..=MAX_BYTES).contains(&token.len()) || !is_token {
            return Err(IdentityError::Malformed);
        }
        let is_bearer = |kind: &str| kind.eq_ignore_ascii_case("bearer");
        if !answer.token_type.as_deref().is_none_or(is_bearer) {
            return Err(IdentityError::Malformed);
        }
        let same = |named: &str| {
            let bare = |text: &str| text.trim_end_matches('/').to_ascii_lowercase();
            bare(named) == bare(resource)
        };
        if !answer.resource.as_deref().is_none_or(same) {
            return Err(IdentityError::WrongToken);
        }
        // An endpoint that keeps tokens says when one ends; how long it lives may
        // count from when it was made. The shorter one is right.
        let until = answer
            .expires_on
            .map(|end| end.0.saturating_sub(now.as_second()));
        let seconds = [until, answer.expires_in.map(|life| life.0)]
            .into_iter()
            .flatten()
            .min()
            .ok_or(IdentityError::Malformed)?;
        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_LIFE);
        // A short one is used for half of its life, lest each use ask for another.
        let use_for = life.saturating_sub(MARGIN).max(life / 2);
        let mut bearer = Zeroizing::new(Vec::with_capacity(token.len() + 7));
        bearer.extend_from_slice(b"Bearer ");
        bearer.extend_from_slice(token);
        Ok(Self {
            bearer,
            serial,
            renewed_at: asked + use_for,
            ends: asked + life,
        })
    }

    /// Whether it need not be renewed yet.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.renewed_at
    }

    /// Whether it may still be used.
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        now < self.ends
    }

    /// How long it may still be used.
    pub(crate) fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// The value of the header `Authorization`, in a buffer that is wiped.
    pub(crate) fn header(&self) -> Result<HeaderValue, IdentityError> {
        let bytes = Bytes::from_owner(self.bearer.clone());
        let mut value =
            HeaderValue::from_maybe_shared(bytes).map_err(|_| IdentityError::Malformed)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    const RESOURCE: &str = "https://vault.azure.net";

    fn read(body: &str) -> Result<Token, IdentityError> {
        let now = Timestamp::from_second(1_506_480_000).unwrap();
        Token::read(body.as_bytes(), RESOURCE, Instant::now(), now, 1)
    }

    fn life(body: &str) -> u64 {
        let asked = Instant::now();
        let now = Timestamp::from_second(1_506_480_000).unwrap();
        let token = Token::read(body.as_bytes(), RESOURCE, asked, now, 1).unwrap();
        (token.ends - asked).as_secs()
    }

    #[test]
    fn numbers_may_be_texts_and_the_shorter_life_counts() {
        let imds = r#"{"access_token":"eyJ0","refresh_token":"","expires_in":"3599",
            "expires_on":"1506483000","not_before":"1506480273",
            "resource":"https://vault.azure.net","token_type":"Bearer"}"#;
        assert_eq!(life(imds), 3000);
        let numbers = r#"{"access_token":"eyJ0","expires_in":1200,"expires_on":1506483000}"#;
        assert_eq!(life(numbers), 1200);
        assert_eq!(life(r#"{"access_token":"t","expires_in":3599}"#), 3599);
        let ended = r#"{"access_token":"t","expires_on":"1"}"#;
        assert_eq!(life(ended), 0, "one that has ended is used for nothing");
        let forever = r#"{"access_token":"t","expires_in":9223372036854775807}"#;
        assert_eq!(life(forever), MAX_LIFE.as_secs());
    }

    #[test]
    fn a_token_is_renewed_300_seconds_before_its_end() {
        let asked = Instant::now();
        let now = Timestamp::from_second(0).unwrap();
        let body = br#"{"access_token":"t","expires_in":3600}"#;
        let token = Token::read(body, RESOURCE, asked, now, 1).unwrap();
        assert!(token.is_fresh(asked + Duration::from_secs(3299)));
        assert!(!token.is_fresh(asked + Duration::from_secs(3300)));
        assert!(token.is_alive(asked + Duration::from_secs(3599)));
        assert!(!token.is_alive(asked + Duration::from_secs(3600)));
    }

    #[test]
    fn an_answer_that_is_not_a_token_for_the_resource_is_refused() {
        for (body, error) in [
            ("", IdentityError::Malformed),
            ("[]", IdentityError::Malformed),
            (r#"{"expires_in":1}"#, IdentityError::Malformed),
            (r#"{"access_token":"t"}"#, IdentityError::Malformed),
            (
                r#"{"access_token":"","expires_in":1}"#,
                IdentityError::Malformed,
            ),
            (
                r#"{"access_token":"a\r\nb: c","expires_in":1}"#,
                IdentityError::Malformed,
            ),
            (
                r#"{"access_token":"a b","expires_in":1}"#,
                IdentityError::Malformed,
            ),
            (
                r#"{"access_token":"t","expires_in":1,"token_type":"pop"}"#,
                IdentityError::Malformed,
            ),
            (
                r#"{"access_token":"t","expires_in":1,"resource":"https://graph.microsoft.com"}"#,
                IdentityError::WrongToken,
            ),
        ] {
            assert_eq!(read(body).err(), Some(error), "{body}");
        }
        let slash = r#"{"access_token":"t","expires_in":1,"resource":"https://vault.azure.net/"}"#;
        assert!(read(slash).is_ok());
    }

    #[test]
    fn the_header_is_marked_as_sensitive() {
        let token = read(r#"{"access_token":"eyJ0","expires_in":1}"#).unwrap();
        let header = token.header().unwrap();
        assert!(header.is_sensitive());
        assert_eq!(header.as_bytes(), b"Bearer eyJ0");
    }
}
