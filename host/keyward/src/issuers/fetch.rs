//! Fetching the keys of an issuer.

use std::time::Duration;

use http::header::ACCEPT;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use keyward_egress::{Egress, EgressError, Outgoing, Route, Scheme};
use keyward_vault::{KeySet, KeySetError, MAX_KEY_SET_BYTES, Notes, Vault, new_exchange_id};
use serde_json::Value;

use super::{Issuer, KeysAt};

/// How long a fetch may take as a whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why no keys were fetched. For the log: names and numbers, nothing of an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("there is no such route")]
    NoRoute,
    #[error("{0}")]
    Egress(#[from] EgressError),
    #[error("it took longer than {} s", PATIENCE.as_secs())]
    TimedOut,
    #[error("the answer has status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the answer breaks off, or is longer than {MAX_KEY_SET_BYTES} bytes")]
    Body,
    #[error("{0}")]
    Keys(#[from] KeySetError),
    #[error("the discovery document can't be read, or is another issuer's")]
    Discovery,
    #[error("the discovery document says that the keys are elsewhere than on the route")]
    Elsewhere,
}

pub(super) async fn keys(
    issuer: &Issuer,
    egress: &Egress,
    vault: &Vault,
) -> Result<KeySet, FetchError> {
    let fetch = async {
        let path = match &issuer.keys {
            KeysAt::Path(path) => path.clone(),
            KeysAt::Discovery(document) => {
                let document = get(issuer, egress, vault, document).await?;
                let route = egress.route(&issuer.route).ok_or(FetchError::NoRoute)?;
                keys_path(issuer, route, &document)?
            }
        };
        Ok(KeySet::parse(&get(issuer, egress, vault, &path).await?)?)
    };
    tokio::time::timeout(PATIENCE, fetch)
        .await
        .unwrap_or(Err(FetchError::TimedOut))
}

async fn get(
    issuer: &Issuer,
    egress: &Egress,
    vault: &Vault,
    path: &PathAndQuery,
) -> Result<Vec<u8>, FetchError> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = http::Uri::from(path.clone());
    let accept = HeaderValue::from_static("application/json, application/jwk-set+json");
    head.headers.insert(ACCEPT, accept);
    let outgoing = Outgoing {
        route: issuer.route.clone(),
        head,
        body: keyward_egress::empty(),
        notes: Notes::default(),
        upgrade: None,
    };
    // An exchange of its own, which uses nothing.
    let mut ledger = vault.begin(new_exchange_id());
    let answer = egress.send(outgoing, &mut ledger).await?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_KEY_SET_BYTES);
    let body = body.collect().await.map_err(|_| FetchError::Body)?;
    Ok(body.to_bytes().to_vec())
}

/// The path of the keys on the route, as the discovery document says it (OpenID Connect
/// Discovery 1.0, section 3). Its issuer has to be the one that is meant (section 4.3).
fn keys_path(issuer: &Issuer, route: &Route, document: &[u8]) -> Result<PathAndQuery, FetchError> {
    let document: Value = serde_json::from_slice(document).map_err(|_| FetchError::Discovery)?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if text("issuer").is_none() || text("issuer") != issuer.rules.issuer.as_deref() {
        return Err(FetchError::Discovery);
    }
    let uri = text("jwks_uri").ok_or(FetchError::Discovery)?;
    let scheme = match route.scheme() {
        Scheme::Https => "https",
        Scheme::Http => "http",
        // A database publishes nothing.
        Scheme::Postgres => return Err(FetchError::Elsewhere),
    };
    let prefix = format!("{scheme}://{}{}", route.authority(), route.base_path());
    let path = uri
        .strip_prefix(&prefix)
        .filter(|path| path.starts_with('/'));
    path.and_then(|path| path.parse().ok())
        .ok_or(FetchError::Elsewhere)
}
