//! The first step: what a request is, but for what is attached.

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use keyward_vault::{Ledger, Notes};

use super::Egress;
use super::destination::Destination;
use super::tokens::obtain;
use crate::again::{self, Again, MAX_KEPT_BYTES};
use crate::body::Body;
use crate::error::EgressError;
use crate::headers;
use crate::request_body::{RequestBody, Trailers};

/// A request that is final but for what is attached.
pub(crate) struct Prepared {
    pub(crate) head: Parts,
    pub(crate) body: RequestBody,
    pub(crate) notes: Notes,
}

impl Prepared {
    /// Addresses the request from the route, strips what is the host's to write, has the
    /// tokens that its notes need, and takes the body: into memory only if it is to be
    /// signed or may be sent twice. As much of it as takes the client's time comes before
    /// the checks.
    ///
    /// Also what is kept for one more try, should there be one.
    pub(super) async fn new(
        egress: &Egress,
        destination: &Destination,
        (mut head, body, mut notes): (Parts, Body, Notes),
        upgrade: Option<&HeaderValue>,
        ledger: &mut Ledger,
    ) -> Result<(Self, Option<Again>), EgressError> {
        let route = &*destination.route;
        let credentialed = !notes.is_empty();
        let is = |name: &Method| head.method.as_str().eq_ignore_ascii_case(name.as_str());
        if is(&Method::CONNECT) || is(&Method::TRACE) {
            return Err(EgressError::Invalid);
        }
        // What comes back after the switch is not HTTP, and nothing searches it.
        if upgrade.is_some() && notes.carry_a_value() {
            return Err(EgressError::Denied);
        }
        head.uri = route.address(&head.uri)?;
        headers::strip_request(&mut head.headers);
        if credentialed {
            headers::strip_beside_a_credential(&mut head.headers);
        }

        if notes.need_tokens() {
            Box::pin(obtain(egress, destination, &head, &mut notes, ledger)).await?;
        }
        let replay = match upgrade {
            None => notes.replay(&head.method),
            Some(_) => None,
        };
        let patience = route.timeouts().request_body;
        let body = match notes.needs_body() {
            // The host writes another one, from a template.
            _ if notes.write_body() => RequestBody::Whole(None),
            Some(limit) => Box::pin(RequestBody::whole(body, limit, patience)).await?,
            None if replay.is_some() && again::is_short(&body) => {
                Box::pin(RequestBody::whole(body, MAX_KEPT_BYTES, patience)).await?
            }
            None if credentialed => RequestBody::stream(body, Trailers::Drop),
            None => RequestBody::stream(body, Trailers::Pass),
        };
        if notes.needs_length()
            && let Some(length) = http_body::Body::size_hint(&body).exact()
        {
            head.headers.insert(CONTENT_LENGTH, length.into());
        }
        let again = replay.and_then(|replay| Again::keep(replay, &head, &body));
        Ok((Self { head, body, notes }, again))
    }
}
