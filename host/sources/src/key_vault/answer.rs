//! What a vault answers (Microsoft, "Azure Key Vault REST API reference").

use std::time::Duration;

use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use keyward_egress::source::SourceAnswer;
use keyward_vault::{ImportError, Secret, Validity};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::key::{SecretKey, parse_id};
use crate::SourceVersion;
use crate::error::SourceError;
use crate::source::{ContentType, Fetched};

/// The longest value that is taken, in bytes.
const MAX_VALUE: usize = 64 * 1024;
/// The longest wait that a vault may ask for.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Explanation,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Explanation {
    code: Option<String>,
    message: Option<String>,
    innererror: Option<Inner>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner {
    code: Option<String>,
}

const fn malformed(what: &'static str) -> SourceError {
    SourceError::Malformed { what }
}

/// The secret that `key` names.
///
/// Errors: the answer is not a secret, or another one.
pub(super) fn secret(body: &[u8], key: SecretKey<'_>) -> Result<Fetched, SourceError> {
    let bundle: models::Secret = serde_json::from_slice(body).map_err(|_| malformed("secret"))?;
    let value = bundle.value.ok_or(malformed("secret"))?;
    let value = Zeroizing::new(value.into_bytes());
    let id = bundle.id.unwrap_or_default();
    let (name, version) = parse_id(&id, "secrets").ok_or(malformed("secret's id"))?;
    let is_pinned = |pin: &str| pin.eq_ignore_ascii_case(version);
    if !name.eq_ignore_ascii_case(key.name) || !key.version.is_none_or(is_pinned) {
        return Err(malformed("secret's id, which is another one's"));
    }
    let value = Secret::read_from(value.as_slice(), MAX_VALUE).map_err(|error| match error {
        ImportError::Empty => SourceError::Empty,
        _ => SourceError::TooLarge { max: MAX_VALUE },
    })?;
    let moment = |date: Option<OffsetDateTime>| {
        date.map(|date| Timestamp::from_second(date.unix_timestamp()))
            .transpose()
            .map_err(|_| malformed("secret's dates"))
    };
    let attributes = bundle.attributes.unwrap_or_default();
    Ok(Fetched {
        value,
        version: SourceVersion::parse(&version.to_ascii_lowercase())?,
        validity: Validity {
            not_before: moment(attributes.not_before)?,
            not_after: moment(attributes.expires)?,
        },
        enabled: attributes.enabled.unwrap_or(true),
        content_type: bundle
            .content_type
            .as_deref()
            .and_then(ContentType::from_media_type),
    })
}

/// Why a vault refused. Its status is not 200, and a challenge was judged before.
pub(super) fn refusal(answer: &SourceAnswer) -> SourceError {
    refusal_of(answer.status, &answer.headers, &answer.body)
}

fn refusal_of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> SourceError {
    let said: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let inner = said.error.innererror.and_then(|inner| inner.code);
    let code = said.error.code.unwrap_or_default();
    let is = |known: &str| {
        code.eq_ignore_ascii_case(known)
            || inner
                .as_deref()
                .is_some_and(|code| code.eq_ignore_ascii_case(known))
    };
    let message = said.error.message.unwrap_or_default();
    let says = |known: &str| message.to_ascii_lowercase().contains(known);
    match status {
        StatusCode::FORBIDDEN if is("SecretDisabled") || says("disabled secret") => {
            SourceError::Disabled
        }
        StatusCode::FORBIDDEN => SourceError::Denied {
            firewall: is("ForbiddenByFirewall")
                || is("ForbiddenByConnection")
                || says("client address"),
        },
        StatusCode::NOT_FOUND => SourceError::NotFound,
        StatusCode::TOO_MANY_REQUESTS => SourceError::Throttled {
            retry_after: retry_after(headers, Timestamp::now()),
        },
        StatusCode::UNAUTHORIZED => SourceError::Unauthenticated,
        StatusCode::REQUEST_TIMEOUT => SourceError::TimedOut,
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT => malformed("request, says the vault"),
        status if status.is_server_error() => SourceError::Failing {
            status: status.as_u16(),
        },
        _ => malformed("status"),
    }
}

/// `Retry-After`: seconds or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let moment = rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(moment.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use http::HeaderValue;

    use super::*;

    const VERSION: &str = "0123456789abcdef0123456789abcdef";

    fn key(version: Option<&'static str>) -> SecretKey<'static> {
        SecretKey {
            name: "stripe",
            version,
        }
    }

    fn bundle(rest: &str) -> Vec<u8> {
        format!(
            r#"{{"value":"sk","id":"https://v.vault.azure.net/secrets/stripe/{VERSION}"{rest}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn a_secret_brings_its_version_its_dates_and_what_it_is() {
        let body = bundle(
            r#","contentType":"application/x-pkcs12","attributes":{"enabled":false,"nbf":10,"exp":20},"kid":"k","managed":true"#,
        );
        let fetched = secret(&body, key(None)).unwrap();
        assert_eq!(fetched.version.as_str(), VERSION);
        assert_eq!(fetched.validity.not_before.unwrap().as_second(), 10);
        assert_eq!(fetched.validity.not_after.unwrap().as_second(), 20);
        assert!(!fetched.enabled);
        assert_eq!(fetched.content_type, Some(ContentType::Pkcs12));
        let plain = secret(&bundle(""), key(Some(VERSION))).unwrap();
        assert!(plain.enabled && !plain.validity.is_bounded());
        assert_eq!(plain.content_type, None);
    }

    #[test]
    fn an_answer_that_is_not_the_secret_is_refused() {
        let error = |body: &[u8], key| secret(body, key).err().unwrap();
        for body in [
            "",
            "{}",
            "[]",
            "null",
            r#"{"value":1,"id":"x"}"#,
            r#"{"value":"a"}"#,
        ] {
            let refused = error(body.as_bytes(), key(None));
            assert!(matches!(refused, SourceError::Malformed { .. }), "{body}");
        }
        let other = SecretKey {
            name: "other",
            version: None,
        };
        assert!(matches!(
            error(&bundle(""), other),
            SourceError::Malformed { .. }
        ));
        let old = key(Some("00000000000000000000000000000000"));
        assert!(matches!(
            error(&bundle(""), old),
            SourceError::Malformed { .. }
        ));
        let empty = format!(r#"{{"value":"","id":"https://v/secrets/stripe/{VERSION}"}}"#);
        assert_eq!(error(empty.as_bytes(), key(None)), SourceError::Empty);
        let long = "x".repeat(MAX_VALUE + 1);
        let long = format!(r#"{{"value":"{long}","id":"https://v/secrets/stripe/{VERSION}"}}"#);
        assert_eq!(
            error(long.as_bytes(), key(None)),
            SourceError::TooLarge { max: MAX_VALUE }
        );
    }

    #[test]
    fn each_documented_refusal_is_told_apart() {
        let disabled = r#"{"error":{"code":"Forbidden","message":"Operation get is not allowed on a disabled secret.","innererror":{"code":"SecretDisabled"}}}"#;
        let rbac = r#"{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.","innererror":{"code":"ForbiddenByRbac"}}}"#;
        let firewall = r#"{"error":{"code":"Forbidden","message":"Client address is not authorized and caller is not a trusted service.","innererror":{"code":"ForbiddenByFirewall"}}}"#;
        let private = r#"{"error":{"code":"Forbidden","message":"Public network access is disabled","innererror":{"code":"ForbiddenByConnection"}}}"#;
        for (status, body, error) in [
            (403, disabled, SourceError::Disabled),
            (403, rbac, SourceError::Denied { firewall: false }),
            (403, "", SourceError::Denied { firewall: false }),
            (403, firewall, SourceError::Denied { firewall: true }),
            (403, private, SourceError::Denied { firewall: true }),
            (404, "<html>", SourceError::NotFound),
            (401, "", SourceError::Unauthenticated),
            (429, "", SourceError::Throttled { retry_after: None }),
            (500, "", SourceError::Failing { status: 500 }),
            (503, "", SourceError::Failing { status: 503 }),
            (418, "", malformed("status")),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let judged = refusal_of(status, &HeaderMap::new(), body.as_bytes());
            assert_eq!(judged, error, "{status} {body}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_has_a_limit() {
        let now = Timestamp::from_second(784_111_777).unwrap();
        let wait = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("99999999"), Some(3600));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
    }
}
