//! Reading what a token endpoint answers: JSON from someone who may be hostile.
//!
//! A token is one that comes with status 200, as `application/json`, in an object in
//! which no key stands twice, with the type `Bearer` and no error beside it
//! (RFC 6749, 5.1). Everything else is none. Nothing of an answer is kept but the token
//! and how long it lives.

use std::borrow::Cow;
use std::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::TokenFailure;
use crate::secret::Secret;

/// The longest token, in bytes: what servers take for a head.
const MAX_TOKEN_BYTES: usize = 8 << 10;
/// The shortest, in bytes: shorter ones can't be searched for in answers.
const MIN_TOKEN_BYTES: usize = 16;
/// The most keys of an answer.
const MAX_KEYS: usize = 64;

/// How long a token lives, as its endpoint says: in seconds; `None` if it doesn't say.
pub(crate) type Stated = Option<u64>;

/// The token of an answer, and how long it lives. `is_echo` says of a text
/// whether it holds what was sent to the endpoint, which is never a token.
///
/// The status is looked at last, so that what is read of an answer doesn't depend on
/// it.
pub(crate) fn read_answer(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    is_echo: impl Fn(&[u8]) -> bool,
) -> Result<(Secret, Stated), TokenFailure> {
    let read = match is_json(headers) {
        true => read_object(body, &is_echo),
        false => None,
    };
    match status {
        StatusCode::OK => {
            let read = read.ok_or(TokenFailure::Unusable)?;
            match (read.token, read.is_bearer, read.has_error) {
                (_, _, true) => Err(TokenFailure::Refused),
                (Some(token), true, false) => {
                    let lifetime = read.lifetime.ok_or(TokenFailure::Unusable)?;
                    Ok((token, lifetime))
                }
                _ => Err(TokenFailure::Unusable),
            }
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Err(TokenFailure::Unavailable)
        }
        status if status.is_server_error() => Err(TokenFailure::Unavailable),
        status if status.is_client_error() => Err(TokenFailure::Refused),
        _ => Err(TokenFailure::Unusable),
    }
}

/// Whether a body is said to be JSON, once.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = one.as_bytes().split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    })
}

/// What matters of an answer.
#[derive(Default)]
struct Read {
    token: Option<Secret>,
    is_bearer: bool,
    /// `None` if what is said of it makes no sense.
    lifetime: Option<Stated>,
    has_error: bool,
}

fn read_object(body: &[u8], is_echo: &dyn Fn(&[u8]) -> bool) -> Option<Read> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = json.deserialize_map(ObjectVisitor(is_echo)).ok()?;
    json.end().ok()?;
    Some(read)
}

struct ObjectVisitor<'a>(&'a dyn Fn(&[u8]) -> bool);

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut read = Read {
            lifetime: Some(None),
            ..Read::default()
        };
        let mut seen: Vec<String> = Vec::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            if seen.len() >= MAX_KEYS || seen.iter().any(|one| *one == *key) {
                return Err(A::Error::custom(
                    "a key stands twice, or there are too many",
                ));
            }
            match &*key {
                "access_token" => {
                    read.token = map.next_value_seed(TokenText(self.0))?;
                }
                "token_type" => read.is_bearer = map.next_value_seed(IsBearer)?,
                "expires_in" => read.lifetime = map.next_value_seed(Seconds)?.map(Some),
                "error" => {
                    map.next_value::<IgnoredAny>()?;
                    read.has_error = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            seen.push(key.into_owned());
        }
        Ok(read)
    }
}

/// A seed that is its own visitor, of values of few types.
macro_rules! seed {
    ($seed:ty, $value:ty) => {
        impl<'de> serde::de::DeserializeSeed<'de> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<$value, D::Error> {
                from.deserialize_any(self)
            }
        }
    };
}

/// A token, if the text is one: other types fail.
struct TokenText<'a>(&'a dyn Fn(&[u8]) -> bool);

seed!(TokenText<'_>, Option<Secret>);

impl<'de> Visitor<'de> for TokenText<'_> {
    type Value = Option<Secret>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token")
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<Secret>, E> {
        let bytes = text.as_bytes();
        let is_token = (MIN_TOKEN_BYTES..=MAX_TOKEN_BYTES).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic)
            && !(self.0)(bytes);
        Ok(is_token.then(|| Secret::copy_of(bytes)))
    }
}

struct IsBearer;

seed!(IsBearer, bool);

impl<'de> Visitor<'de> for IsBearer {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token's type")
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(text.eq_ignore_ascii_case("Bearer"))
    }
}

/// A whole number of seconds above 0, which some servers write as a text.
struct Seconds;

seed!(Seconds, Option<u64>);

impl<'de> Visitor<'de> for Seconds {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_u64<E>(self, seconds: u64) -> Result<Option<u64>, E> {
        Ok((seconds > 0).then_some(seconds))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<u64>, E> {
        // Positive numbers come as unsigned ones.
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Option<u64>, E> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = text.parse().ok().filter(|_| is_number);
        Ok(seconds.filter(|seconds| *seconds > 0))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const TOKEN: &str = "0123456789abcdefghij";

    fn read(status: u16, content_type: &str, body: &str) -> Result<Stated, TokenFailure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let is_echo = |text: &[u8]| text == b"the-client's-own-secret";
        let (token, lifetime) = read_answer(status, &headers, body.as_bytes(), is_echo)?;
        assert_eq!(&token.expose()[..], TOKEN.as_bytes());
        Ok(lifetime)
    }

    #[test]
    fn a_token_is_read_as_rfc_6749_has_it() {
        let json = "application/json;charset=UTF-8";
        for (rest, lifetime) in [
            (r#""token_type":"Bearer","expires_in":3600"#, Some(3600)),
            (r#""token_type":"bearer""#, None),
            (r#""token_type":"BEARER","expires_in":"299""#, Some(299)),
            (
                r#""token_type":"Bearer","expires_in":1,"scope":"a","x":{"y":[1,2,null]}"#,
                Some(1),
            ),
            (
                r#""token_type":"Bearer","expires_in":18446744073709551615"#,
                Some(u64::MAX),
            ),
        ] {
            let body = format!(r#"{{"access_token":"{TOKEN}",{rest}}}"#);
            assert_eq!(read(200, json, &body), Ok(lifetime), "{body}");
        }
        let escaped = format!(
            r#"{{"access_token":"\u0030{}","token_type":"Bearer"}}"#,
            &TOKEN[1..]
        );
        assert_eq!(read(200, json, &escaped), Ok(None));
    }

    #[test]
    fn nothing_else_is_a_token() {
        use TokenFailure::{Refused, Unavailable, Unusable};
        let whole = format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer"}}"#);
        let with =
            |rest: &str| format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer",{rest}}}"#);
        let token = |text: &str| format!(r#"{{"access_token":{text},"token_type":"Bearer"}}"#);
        let json = "application/json";
        for (status, content_type, body, failure) in [
            (201, json, whole.clone(), Unusable),
            (203, json, whole.clone(), Unusable),
            (206, json, whole.clone(), Unusable),
            (302, json, whole.clone(), Unusable),
            (400, json, whole.clone(), Refused),
            (
                401,
                json,
                r#"{"error":"invalid_client"}"#.to_owned(),
                Refused,
            ),
            (429, json, whole.clone(), Unavailable),
            (503, json, whole.clone(), Unavailable),
            (200, "text/html", whole.clone(), Unusable),
            (200, "application/jsonp", whole.clone(), Unusable),
            (200, json, with(r#""error":"server_error""#), Refused),
            (200, json, with(r#""error":null"#), Refused),
            (200, json, with(r#""expires_in":-1"#), Unusable),
            (200, json, with(r#""expires_in":0"#), Unusable),
            (200, json, with(r#""expires_in":1.5"#), Unusable),
            (200, json, with(r#""expires_in":"1h""#), Unusable),
            (200, json, with(r#""expires_in":"+5""#), Unusable),
            (200, json, with(r#""expires_in":true"#), Unusable),
            (200, json, with(r#""expires_in":null"#), Unusable),
            (
                200,
                json,
                with(r#""access_token":"0123456789abcdefghij""#),
                Unusable,
            ),
            (200, json, with(r#""x":1,"x":2"#), Unusable),
            (
                200,
                json,
                with(&format!(r#""x":{}"#, "[".repeat(10_000))),
                Unusable,
            ),
            (200, json, format!("{whole}x"), Unusable),
            (200, json, format!("[{whole}]"), Unusable),
            (200, json, format!("\u{feff}{whole}"), Unusable),
            (200, json, String::new(), Unusable),
            (200, json, "null".to_owned(), Unusable),
            (200, json, token("\"\""), Unusable),
            (200, json, token("\"short\""), Unusable),
            (200, json, token("null"), Unusable),
            (200, json, token("12345678901234567890"), Unusable),
            (200, json, token(r#"["0123456789abcdefghij"]"#), Unusable),
            (
                200,
                json,
                token(r#""0123456789\r\nset-cookie: a=b""#),
                Unusable,
            ),
            (200, json, token(r#""0123456789 abcdefghij""#), Unusable),
            (200, json, token("\"0123456789\u{fc}abcdefghij\""), Unusable),
            (
                200,
                json,
                token(&format!("\"{}\"", "a".repeat(MAX_TOKEN_BYTES + 1))),
                Unusable,
            ),
            (200, json, token("\"the-client's-own-secret\""), Unusable),
            (
                200,
                json,
                format!(r#"{{"access_token":"{TOKEN}"}}"#),
                Unusable,
            ),
            (
                200,
                json,
                format!(r#"{{"access_token":"{TOKEN}","token_type":"mac"}}"#),
                Unusable,
            ),
            (
                200,
                json,
                format!(r#"{{"access_token":"{TOKEN}","token_type":7}}"#),
                Unusable,
            ),
            (
                200,
                json,
                format!(r#"{{"error":{{"access_token":"{TOKEN}","token_type":"Bearer"}}}}"#),
                Refused,
            ),
        ] {
            let shown: String = body.chars().take(100).collect();
            assert_eq!(
                read(status, content_type, &body),
                Err(failure),
                "{status} {shown}"
            );
        }
    }
}
