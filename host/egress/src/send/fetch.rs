//! Fetching a token from its endpoint. Nothing of what that answers goes on: the vault
//! makes a token of it, or nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, Uri};
use keyward_vault::{AccessToken, TokenFailure, TokenFetch, Vault};
use tokio::time::{sleep, timeout};

use super::attach::CHECK_HOLDS;
use super::destination::Destination;
use super::exchange::{Another, exchange, in_time};
use crate::answer;
use crate::error::EgressError;
use crate::identity::{MayShow, showing};
use crate::request_body::RequestBody;
use crate::source;

/// How long one try may take, from the look-up of the name to the last byte of the
/// answer, and all of them together.
const ONE_TRY: Duration = Duration::from_secs(5);
const ALL_TRIES: Duration = Duration::from_secs(10);
/// How long each try waits after the one before.
const PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
];
/// The longest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// A token from its endpoint. It is tried again, with a pause, where the endpoint can't
/// be reached, does not answer in time, or says that it can't now.
pub(super) async fn fetch(
    vault: &Arc<Vault>,
    endpoint: &Destination,
    fetch: TokenFetch,
) -> Result<Arc<AccessToken>, TokenFailure> {
    let fetch = Arc::new(fetch);
    let tries = async {
        for pause in PAUSES {
            sleep(pause).await;
            let may = may_show(vault, endpoint, &fetch);
            let once = showing(may, once(vault, endpoint, &fetch));
            let once = timeout(ONE_TRY, once).await;
            match once.unwrap_or(Err(TokenFailure::Unavailable)) {
                Err(TokenFailure::Unavailable) => {}
                other => return other,
            }
        }
        Err(TokenFailure::Unavailable)
    };
    let result = timeout(ALL_TRIES, tries).await;
    let result = result.unwrap_or(Err(TokenFailure::Unavailable));
    if result.is_err() {
        fetch.failed();
    }
    result
}

/// By what right the client's certificate is shown to the endpoint: that of the fetch,
/// as it is when the key is to sign.
fn may_show(vault: &Arc<Vault>, endpoint: &Destination, fetch: &Arc<TokenFetch>) -> MayShow {
    let (vault, fetch) = (Arc::clone(vault), Arc::clone(fetch));
    let (address, route) = (Arc::clone(&endpoint.address), Arc::clone(&endpoint.route));
    Arc::new(move || fetch.is_allowed(&vault, &address, route.authority()))
}

async fn once(
    vault: &Vault,
    endpoint: &Destination,
    fetch: &TokenFetch,
) -> Result<Arc<AccessToken>, TokenFailure> {
    // A certificate is shown on connections of its own.
    let pool = match fetch.identity() {
        Some(identity) => endpoint.identities.pool(&identity),
        None => Some(Arc::clone(endpoint.pool(true))),
    };
    let pool = &pool.ok_or(TokenFailure::Refused)?;
    let route = &*endpoint.route;
    let path = fetch.path().parse::<Uri>().ok();
    let uri = path.and_then(|path| route.address(&path).ok());
    let uri = uri.ok_or(TokenFailure::Refused)?;
    let connection = pool.connection().await;
    let connection = connection.map_err(|_| {
        // What was withdrawn while it was being opened is not tried again.
        match fetch.is_allowed(vault, &endpoint.address, route.authority()) {
            true => TokenFailure::Unavailable,
            false => TokenFailure::Refused,
        }
    })?;

    let checked_at = Instant::now();
    let (headers, body) = fetch
        .write(
            vault,
            &endpoint.address,
            route.authority(),
            &uri.to_string(),
        )
        .map_err(|_| TokenFailure::Refused)?;
    let mut request = Request::new(RequestBody::Whole(Some(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let again = Another {
        deadline: Some(checked_at + CHECK_HOLDS),
        retries: 0,
        may_reconnect: true,
    };
    let answer = exchange(connection, pool, request, again);
    let answer = in_time(answer, None, route.timeouts()).await;
    let (answer, lease) = answer.map_err(|error| match error {
        EgressError::Invalid => TokenFailure::Refused,
        _ => TokenFailure::Unavailable,
    })?;
    let (head, incoming) = answer.into_parts();
    // Dropped with its connection, so that what follows is nobody's answer.
    if !answer::is_clear(&head) || is_encoded(&head.headers) {
        return Err(TokenFailure::Unusable);
    }
    let body = source::read_body(incoming, MAX_ANSWER, ONE_TRY).await;
    let body = body.map_err(|error| match error {
        source::SourceTransportError::TooLarge { .. } => TokenFailure::Unusable,
        _ => TokenFailure::Unavailable,
    })?;
    lease.give_back();
    fetch.answered(vault, head.status, &head.headers, &body)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
