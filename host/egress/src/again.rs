//! One more try after a 401: with a newer version of what was attached, or not at
//! all.
//!
//! A backend that was given its new key before we were refuses the old one. Where
//! the grant says `retry-on-401`, the secret is fetched again, and if there is
//! another version of it then, the request is sent once more with that. A request is
//! sent twice at most, never twice with the same version, and only if its body is
//! still at hand: there is none, or it is short enough to be kept.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use keyward_names::SecretName;
use keyward_vault::{Ledger, Replay, Vault};

use crate::body::Body;
use crate::request_body::RequestBody;
use crate::send::Prepared;

/// The longest body that is kept for a second request, in bytes. A longer one is
/// streamed, and its request is sent once.
pub(crate) const MAX_KEPT_BYTES: u64 = 64 << 10;

/// How long an answer of 401 waits for a source to be asked.
const REFRESH_TIME: Duration = Duration::from_secs(3);

/// Fetches a secret again, from wherever its values come.
///
/// Egress asks when a backend has answered 401 to a value whose grant says
/// `retry-on-401`. Any client can bring that about, any number of times: an
/// implementation must see to it that a source isn't asked more often than it bears,
/// and that those who ask at the same time share one fetch.
pub trait Refresh: Send + Sync + 'static {
    /// Returns when the vault has what the source has now, or when it is not to be
    /// had. For a secret that no source keeps, it returns at once.
    ///
    /// Egress waits for 3 s at most, and drops the future then.
    fn refresh<'a>(
        &'a self,
        secret: &'a SecretName,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// What is kept of a request until its answer has come.
pub(crate) struct Again {
    replay: Replay,
    /// As it was before anything was attached.
    head: Parts,
    body: Option<Bytes>,
}

impl Again {
    /// Nothing, if the body is streamed.
    pub(crate) fn keep(replay: Replay, head: &Parts, body: &RequestBody) -> Option<Self> {
        let RequestBody::Whole(body) = body else {
            return None;
        };
        Some(Self {
            replay,
            head: head.clone(),
            body: body.clone(),
        })
    }

    /// Whether an answer is one after which there may be another try.
    pub(crate) fn is_for(status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED
    }

    /// The request as it was, with notes of newer versions; `None` if there are none.
    ///
    /// Cancel safety: dropped, nothing has changed but what a source may have brought.
    pub(crate) async fn renew(
        self,
        vault: &Vault,
        refresh: Option<&dyn Refresh>,
        ledger: &mut Ledger,
    ) -> Option<Prepared> {
        let Self { replay, head, body } = self;
        if let Some(refresh) = refresh {
            let all = async {
                for secret in replay.secrets(&head.method) {
                    refresh.refresh(secret).await;
                }
            };
            // What came in time counts.
            let _ = tokio::time::timeout(REFRESH_TIME, all).await;
        }
        let notes = replay.renew(vault, ledger, &head.method)?;
        Some(Prepared {
            head,
            body: RequestBody::Whole(body),
            notes,
        })
    }
}

/// Whether a body is short enough to be kept, and says so before it is read.
pub(crate) fn is_short(body: &Body) -> bool {
    let length = http_body::Body::size_hint(body).exact();
    length.is_some_and(|length| length <= MAX_KEPT_BYTES)
}
