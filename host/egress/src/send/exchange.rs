//! The last step out: the request is written, and the head of its answer waited for.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::connection::{Connection, Lease, Unsent};
use crate::error::{EgressError, Stage};
use crate::pool::Pool;
use crate::request_body::{Progress, RequestBody};
use crate::timeouts::Timeouts;

/// When a request may be sent on another connection.
pub(crate) struct Another {
    /// After which the check of what was written no longer counts.
    pub(super) deadline: Option<Instant>,
    /// How often, if the connection closed after a byte of the request was written.
    pub(super) retries: u32,
    /// Whether, if it closed before.
    pub(super) may_reconnect: bool,
}

impl Another {
    /// Where no byte of it was written, and else never.
    pub(crate) fn if_untouched() -> Self {
        Self {
            deadline: None,
            retries: 0,
            may_reconnect: true,
        }
    }
}

/// Writes the request. A connection that had been waiting may turn out to be
/// closed before it takes a byte; then the next one is tried.
pub(crate) async fn exchange(
    mut connection: Connection,
    pool: &Arc<Pool>,
    mut request: Request<RequestBody>,
    mut again: Another,
) -> Result<(Response<Incoming>, Lease), EgressError> {
    loop {
        let reused = connection.is_reused() && again.may_reconnect;
        let copy = (again.retries > 0).then(|| repeatable(&request)).flatten();
        request = match (connection.send(request).await, copy) {
            (Ok(answer), _) => return Ok(answer),
            (Err(Unsent::Untouched(request)), _) if reused => *request,
            (Err(Unsent::Untouched(_)), _) => {
                return Err(EgressError::Unreachable(Stage::Closed));
            }
            (Err(Unsent::Closed), Some(copy)) => {
                again.retries -= 1;
                copy
            }
            (Err(Unsent::Closed | Unsent::Malformed), _) => return Err(EgressError::Protocol),
        };
        connection = match again.deadline {
            None => Box::pin(pool.connection()).await,
            Some(deadline) => {
                let next =
                    tokio::time::timeout_at(deadline.into(), Box::pin(pool.connection())).await;
                // A connection that was there at once comes after the deadline too.
                next.ok()
                    .filter(|_| Instant::now() < deadline)
                    .unwrap_or(Err(Stage::Closed))
            }
        }
        .map_err(EgressError::from)?;
    }
}

/// The same request once more, if it can be sent twice and mean what it means sent
/// once (RFC 9110, 9.2.2). Only for requests without a credential.
fn repeatable(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !matches!(request.body(), RequestBody::Whole(None)) {
        return None;
    }
    let mut copy = Request::new(RequestBody::Whole(None));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Waits for the head of an answer. Time counts from the last part of the request's
/// body: a long upload is not a slow backend.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, EgressError>>,
    progress: Option<Arc<Progress>>,
    timeouts: &Timeouts,
) -> Result<T, EgressError> {
    let start = tokio::time::Instant::now();
    let due = || match &progress {
        // The backend would take more, and the client does not give it.
        Some(progress) if progress.is_waiting() => (
            progress.last().max(start) + timeouts.request_body,
            EgressError::RequestTimedOut,
        ),
        Some(progress) => (
            progress.last().max(start) + timeouts.response,
            EgressError::TimedOut,
        ),
        None => (start + timeouts.response, EgressError::TimedOut),
    };
    let mut answer = std::pin::pin!(answer);
    loop {
        // The shorter one: which of them counts may change while it waits.
        let soonest = due()
            .0
            .min(tokio::time::Instant::now() + timeouts.request_body);
        match tokio::time::timeout_at(soonest, &mut answer).await {
            Ok(Err(_))
                if progress
                    .as_ref()
                    .is_some_and(|progress| progress.is_broken()) =>
            {
                return Err(EgressError::RequestBody);
            }
            Ok(answer) => return answer,
            Err(_) => {
                let (deadline, error) = due();
                if deadline <= tokio::time::Instant::now() {
                    return Err(error);
                }
            }
        }
    }
}
