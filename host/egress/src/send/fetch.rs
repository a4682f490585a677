//! Fetching a token from its endpoint. Nothing of what that answers goes on: the vault
//! makes a token of it, or nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Request, Uri};
use keyward_vault::{AccessToken, ClientAssertion, TokenFailure, TokenFetch, Vault};
use tokio::time::{sleep, timeout};

use super::attach::CHECK_HOLDS;
use super::destination::Destination;
use super::elsewhere::RemoteSigner;
use super::exchange::{Another, exchange, in_time};
use crate::answer;
use crate::error::{EgressError, Stage};
use crate::identity::remote::Signing;
use crate::identity::{Right, showing};
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
///
/// Errors: [`EgressError::Token`]; [`EgressError::SecretUnavailable`], the client's key
/// stays in its source, which did not sign: then it is not tried again.
pub(super) async fn fetch(
    (vault, signer): (&Arc<Vault>, Option<Arc<dyn RemoteSigner>>),
    endpoint: &Destination,
    fetch: TokenFetch,
) -> Result<Arc<AccessToken>, EgressError> {
    let fetch = Arc::new(fetch);
    let tries = async {
        for pause in PAUSES {
            sleep(pause).await;
            let right = right(vault, &signer, endpoint, &fetch);
            let once = showing(right, once(vault, signer.as_deref(), endpoint, &fetch));
            let once = timeout(ONE_TRY, once).await;
            match once.unwrap_or(Err(UNAVAILABLE)) {
                Err(UNAVAILABLE) => {}
                other => return other,
            }
        }
        Err(UNAVAILABLE)
    };
    let result = timeout(ALL_TRIES, tries).await;
    let result = result.unwrap_or(Err(UNAVAILABLE));
    // That nothing was signed is on record.
    if matches!(result, Err(EgressError::Token(_))) {
        fetch.failed();
    }
    result
}

const UNAVAILABLE: EgressError = EgressError::Token(TokenFailure::Unavailable);
const REFUSED: EgressError = EgressError::Token(TokenFailure::Refused);

/// By what right the client's certificate is shown to the endpoint: that of the fetch,
/// as it is when the key is to sign.
fn right(
    vault: &Arc<Vault>,
    signer: &Option<Arc<dyn RemoteSigner>>,
    endpoint: &Destination,
    fetch: &Arc<TokenFetch>,
) -> Right {
    let (vault, asked) = (Arc::clone(vault), Arc::clone(fetch));
    let (address, route) = (Arc::clone(&endpoint.address), Arc::clone(&endpoint.route));
    let signing = fetch.handshakes().map(|handshakes| {
        let to_sign = move |scheme, handshake: &[u8]| handshakes.to_sign(scheme, handshake).ok();
        Arc::new(Signing {
            to_sign: Box::new(to_sign),
            signer: signer.clone(),
            room: Arc::clone(&endpoint.identities.room),
        })
    });
    Right {
        may: Arc::new(move || asked.is_allowed(&vault, &address, route.authority())),
        signing,
    }
}

/// Has the client's assertion signed by the source of its key, where it is not here.
async fn signed(
    vault: &Vault,
    signer: Option<&dyn RemoteSigner>,
    endpoint: &Destination,
    fetch: &TokenFetch,
    uri: &str,
) -> Result<Option<ClientAssertion>, EgressError> {
    let authority = endpoint.route.authority();
    let call = fetch.to_sign(vault, &endpoint.address, authority, uri);
    let Some(call) = call.map_err(|_| REFUSED)? else {
        return Ok(None);
    };
    let answer = match signer {
        Some(signer) => timeout(CHECK_HOLDS, signer.sign(&call))
            .await
            .ok()
            .flatten(),
        None => None,
    };
    let Some(answer) = answer else {
        call.failed();
        return Err(EgressError::SecretUnavailable);
    };
    let signed = fetch.signed(call, answer);
    signed.map(Some).map_err(|_| EgressError::SecretUnavailable)
}

async fn once(
    vault: &Vault,
    signer: Option<&dyn RemoteSigner>,
    endpoint: &Destination,
    fetch: &TokenFetch,
) -> Result<Arc<AccessToken>, EgressError> {
    // A certificate is shown on connections of its own.
    let pool = match fetch.identity() {
        Some(identity) => endpoint.identities.pool(&identity),
        None => Some(Arc::clone(endpoint.pool(true))),
    };
    let pool = &pool.ok_or(REFUSED)?;
    let route = &*endpoint.route;
    let path = fetch.path().parse::<Uri>().ok();
    let uri = path.and_then(|path| route.address(&path).ok());
    let uri = uri.ok_or(REFUSED)?;
    let signed = signed(vault, signer, endpoint, fetch, &uri.to_string()).await?;
    let connection = pool.connection().await;
    let connection = connection.map_err(|stage| {
        // What was withdrawn while it was being opened is not tried again.
        match fetch.is_allowed(vault, &endpoint.address, route.authority()) {
            true if stage == Stage::NotSigned => EgressError::SecretUnavailable,
            true => UNAVAILABLE,
            false => REFUSED,
        }
    })?;

    let checked_at = Instant::now();
    let (headers, body) = fetch
        .write(
            vault,
            &endpoint.address,
            route.authority(),
            &uri.to_string(),
            signed,
        )
        .map_err(|_| REFUSED)?;
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
        EgressError::Invalid => REFUSED,
        EgressError::SecretUnavailable => EgressError::SecretUnavailable,
        _ => UNAVAILABLE,
    })?;
    let (head, incoming) = answer.into_parts();
    // Dropped with its connection, so that what follows is nobody's answer.
    if !answer::is_clear(&head) || is_encoded(&head.headers) {
        return Err(EgressError::Token(TokenFailure::Unusable));
    }
    let body = source::read_body(incoming, MAX_ANSWER, ONE_TRY).await;
    let body = body.map_err(|error| match error {
        source::SourceTransportError::TooLarge { .. } => EgressError::Token(TokenFailure::Unusable),
        _ => UNAVAILABLE,
    })?;
    lease.give_back();
    let answered = fetch.answered(vault, head.status, &head.headers, &body);
    answered.map_err(EgressError::Token)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}
