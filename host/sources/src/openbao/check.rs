//! Each step of a fetch by itself, for whoever asks why one fails.

use http::Method;
use zeroize::Zeroizing;

use super::OpenBao;
use super::messages::{Envelope, TokenInfo};
use crate::error::SourceError;
use crate::source::CheckStep;

const REACHED: &str = "the server answers";
const ACTIVE: &str = "it is unsealed and active";
const LOGIN: &str = "it takes the login";
const TOKEN: &str = "it knows the token";
const READ: &str = "it hands the secret over";

pub(super) async fn check(source: &OpenBao, key: Option<&str>) -> Vec<CheckStep> {
    let mut steps = Vec::new();
    let todo = [REACHED, ACTIVE, LOGIN, TOKEN, READ];
    let outcome = walk(source, key, &mut steps).await;
    if let Err(error) = outcome {
        steps.push(CheckStep::failed(todo[steps.len()], error));
    }
    for step in &todo[steps.len()..] {
        steps.push(CheckStep::skipped(*step));
    }
    steps
}

/// Takes the steps in their order, and ends with the first that fails.
async fn walk(
    source: &OpenBao,
    key: Option<&str>,
    steps: &mut Vec<CheckStep>,
) -> Result<(), SourceError> {
    let nothing = Zeroizing::default;
    let health = source
        .api
        .send(Method::GET, "sys/health", None, nothing())
        .await?;
    steps.push(CheckStep::passed(REACHED, ""));

    // Here alone these say what the server is, and not what became of a request
    // (https://openbao.org/api-docs/system/health/).
    match health.status.as_u16() {
        200 => {}
        429 | 472 | 473 => return Err(SourceError::Standby),
        501 | 503 => return Err(SourceError::Sealed),
        _ => return Err(health.failure().unwrap_or(SourceError::Standby)),
    }
    steps.push(CheckStep::passed(ACTIVE, ""));

    let token = source.login.token().await?;
    steps.push(CheckStep::passed(LOGIN, ""));

    let info = source
        .api
        .send(
            Method::GET,
            "auth/token/lookup-self",
            Some(&token),
            nothing(),
        )
        .await?;
    let info = match info.is_denied() {
        false => info.accepted()?.read::<Envelope<TokenInfo>>()?.data,
        // One that was had just now may lack the right to ask about itself.
        true if source.login.can_log_in() => None,
        true => return Err(SourceError::Unauthenticated),
    };
    let lease = match info {
        Some(TokenInfo { ttl: 0, .. }) => "it does not end".to_owned(),
        Some(TokenInfo { ttl, renewable }) => {
            let how = if renewable {
                "renewable"
            } else {
                "not renewable"
            };
            format!("{ttl} s left, {how}")
        }
        None => String::new(),
    };
    steps.push(CheckStep::passed(TOKEN, lease));

    if let Some(key) = key {
        let fetched = source.fetch_value(key).await?;
        steps.push(CheckStep::passed(READ, fetched.told()));
    }
    Ok(())
}
