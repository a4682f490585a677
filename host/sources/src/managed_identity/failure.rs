//! What an endpoint's refusal means, as far as it is documented. Its words are
//! searched for known ones and then forgotten.

use http::StatusCode;
use serde::Deserialize;

use super::platform::Platform;
use crate::error::IdentityError;

/// The three shapes in which endpoints explain themselves: IMDS and Microsoft Entra
/// with `error` and `error_description`, Entra with `error_codes`, App Service with
/// `message`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Explanation {
    error: Option<serde_json::Value>,
    error_description: Option<String>,
    error_codes: Vec<u32>,
    message: Option<String>,
}

/// Whether a platform documents that asking again may help (Microsoft, "Error
/// handling" and "Retry guidance" of managed identities).
pub(super) fn is_worth_another_try(platform: Platform, status: StatusCode) -> bool {
    let at_imds =
        platform == Platform::Imds && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE);
    at_imds || status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Why there is no token. `status` is not 200.
pub(super) fn judge(platform: Platform, status: StatusCode, body: &[u8]) -> IdentityError {
    let said: Explanation = serde_json::from_slice(body).unwrap_or_default();
    let code = match said.error {
        Some(serde_json::Value::String(code)) => code,
        _ => String::new(),
    };
    let words = [
        code.as_str(),
        said.error_description.as_deref().unwrap_or_default(),
        said.message.as_deref().unwrap_or_default(),
    ]
    .join(" ")
    .to_ascii_lowercase();
    let entra = said.error_codes.first().copied().or_else(|| aadsts(&words));
    if let Some(code) = entra {
        return IdentityError::Entra { code };
    }
    match status {
        StatusCode::TOO_MANY_REQUESTS => IdentityError::Throttled,
        StatusCode::BAD_REQUEST if words.contains("multiple user assigned") => {
            IdentityError::Ambiguous
        }
        StatusCode::BAD_REQUEST if words.contains("invalid_resource") => IdentityError::Resource,
        StatusCode::BAD_REQUEST if platform != Platform::Workload => IdentityError::NotAssigned,
        // App Service: the header is not the one that belongs to this app.
        StatusCode::UNAUTHORIZED if platform == Platform::AppService => {
            IdentityError::Environment {
                variable: "IDENTITY_HEADER",
            }
        }
        // What a proxy in between says for an address that it can't reach.
        StatusCode::FORBIDDEN if words.contains("unreachable") => IdentityError::NoEndpoint,
        status if status.is_client_error() && platform == Platform::Workload => {
            IdentityError::LoginRefused
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => IdentityError::LoginRefused,
        status if status.is_success() || status.is_redirection() => IdentityError::Malformed,
        status => IdentityError::Failing {
            status: status.as_u16(),
        },
    }
}

/// The number in `AADSTS700016: …`.
fn aadsts(words: &str) -> Option<u32> {
    let (_, after) = words.split_once("aadsts")?;
    let digits = after
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(after.len());
    after.get(..digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_documented_failure_is_told_apart() {
        use IdentityError as E;
        let multiple = r#"{"error":"invalid_request","error_description":"Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}"#;
        let none = r#"{"error":"invalid_request","error_description":"Identity not found"}"#;
        let resource = r#"{"error":"invalid_resource","error_description":"AADSTS50001: The application named x was not found"}"#;
        let app = r#"{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."}"#;
        let entra = r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application was not found","error_codes":[700016]}"#;
        let docker = r#"{"message":"connecting to 169.254.169.254:80: dial tcp: connect: network is unreachable."}"#;
        for (platform, status, body, error) in [
            (Platform::Imds, 400, multiple, E::Ambiguous),
            (Platform::Imds, 400, none, E::NotAssigned),
            (Platform::Imds, 400, "", E::NotAssigned),
            (Platform::Imds, 400, resource, E::Entra { code: 50001 }),
            (
                Platform::Imds,
                400,
                r#"{"error":"invalid_resource"}"#,
                E::Resource,
            ),
            (Platform::Imds, 403, docker, E::NoEndpoint),
            (Platform::Imds, 404, "", E::Failing { status: 404 }),
            (Platform::Imds, 410, "", E::Failing { status: 410 }),
            (Platform::Imds, 429, "{}", E::Throttled),
            (Platform::Imds, 502, "<html>", E::Failing { status: 502 }),
            (Platform::Imds, 302, "", E::Malformed),
            (Platform::AppService, 400, app, E::NotAssigned),
            (
                Platform::AppService,
                401,
                "",
                E::Environment {
                    variable: "IDENTITY_HEADER",
                },
            ),
            (Platform::AppService, 500, "", E::Failing { status: 500 }),
            (Platform::Workload, 400, entra, E::Entra { code: 700_016 }),
            (Platform::Workload, 401, "", E::LoginRefused),
            (Platform::Workload, 503, "", E::Failing { status: 503 }),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(
                judge(platform, status, body.as_bytes()),
                error,
                "{status} {body}"
            );
            assert!(error.advice().ends_with('.'), "{error}");
        }
    }
}
