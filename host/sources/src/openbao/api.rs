//! One request to the server and what its answer means.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use keyward_egress::source::SourceClient;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::messages;
use crate::error::SourceError;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// That the request was made on purpose, which a server may insist on.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// The most that a server can ask to wait.
const MAX_RETRY_AFTER: u64 = 3600;

pub(super) struct Api {
    client: SourceClient,
    base: String,
    namespace: Option<HeaderValue>,
}

/// An answer, of whatever status. It can't be printed.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Api {
    pub(super) fn new(client: SourceClient, base: String, namespace: Option<HeaderValue>) -> Self {
        Self {
            client,
            base,
            namespace,
        }
    }

    /// Sends a request for what lies under `/v1/`.
    ///
    /// Errors: no answer came.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&HeaderValue>,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Answer, SourceError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.base))
            .header(REQUEST, HeaderValue::from_static("true"));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(namespace) = &self.namespace {
            request = request.header(NAMESPACE, namespace.clone());
        }
        if let Some(token) = token {
            request = request.header(TOKEN, token.clone());
        }
        let what = "take this request";
        let request = request
            .body(body)
            .map_err(|_| SourceError::Unsupported { what })?;
        let answer = self.client.send(request).await?;
        Ok(Answer {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    }
}

impl Answer {
    /// Whether the token is not good, or not good enough: the server doesn't say
    /// which.
    pub(super) fn is_denied(&self) -> bool {
        matches!(
            self.status,
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED
        )
    }

    /// Whether one of the server's errors has these words.
    pub(super) fn says(&self, words: &str) -> bool {
        messages::says(&self.body, words)
    }

    pub(super) fn is_not_found(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, SourceError> {
        messages::read(&self.body)
    }

    /// Itself, if it says that it worked.
    ///
    /// Errors: what else it says.
    pub(super) fn accepted(self) -> Result<Self, SourceError> {
        match self.failure() {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }

    /// What the status means, if not that it worked
    /// (<https://openbao.org/api-docs/#http-status-codes>).
    pub(super) fn failure(&self) -> Option<SourceError> {
        Some(match self.status.as_u16() {
            200..=299 => return None,
            // To the active instance, which it names. It has the token's trust by
            // being asked, and not because another one says so.
            300..=399 | 472 | 473 => SourceError::Standby,
            400 if self.says("key not found") => SourceError::NotFound,
            400 => SourceError::Malformed {
                what: "the server refused the request",
            },
            401 | 403 => SourceError::Denied { firewall: false },
            404 => SourceError::NotFound,
            413 => SourceError::TooLarge { max: 0 },
            429 => SourceError::Throttled {
                retry_after: self.retry_after(),
            },
            503 if messages::says(&self.body, "sealed") => SourceError::Sealed,
            503 if messages::says(&self.body, "standby") => SourceError::Standby,
            status @ 500.. => SourceError::Failing { status },
            _ => SourceError::Malformed { what: "status" },
        })
    }

    /// Seconds; a date (RFC 9110, 10.2.3) is not written by OpenBao.
    fn retry_after(&self) -> Option<Duration> {
        let seconds: u64 = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Option<SourceError> {
        let headers = [(RETRY_AFTER, HeaderValue::from_static("7"))];
        Answer {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers: headers.into_iter().collect(),
            body: Zeroizing::new(body.as_bytes().to_vec()),
        }
        .failure()
    }

    #[test]
    fn each_status_means_one_thing_to_do() {
        let words = |text: &str| format!(r#"{{"errors":["{text}"]}}"#);
        for (status, body, expected) in [
            (200, String::new(), None),
            (204, String::new(), None),
            (307, String::new(), Some(SourceError::Standby)),
            (
                400,
                words("encryption key not found"),
                Some(SourceError::NotFound),
            ),
            (
                403,
                words("permission denied"),
                Some(SourceError::Denied { firewall: false }),
            ),
            (404, words(""), Some(SourceError::NotFound)),
            (
                429,
                words("rate limit quota exceeded"),
                Some(SourceError::Throttled {
                    retry_after: Some(Duration::from_secs(7)),
                }),
            ),
            (473, String::new(), Some(SourceError::Standby)),
            (
                500,
                words("sealed"),
                Some(SourceError::Failing { status: 500 }),
            ),
            (503, words("Vault is sealed"), Some(SourceError::Sealed)),
            (
                503,
                "<html>".to_owned(),
                Some(SourceError::Failing { status: 503 }),
            ),
        ] {
            assert_eq!(failure(status, &body), expected, "{status} {body}");
        }
    }
}
