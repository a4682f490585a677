//! Bodies between egress, which knows why one broke off, and the engine, which
//! must not care.

use http_body_util::BodyExt;
use keyward_egress::BodyError;
use keyward_engine::BodyFailure;

/// A body from the network, as policies may look at it.
pub fn to_engine(body: keyward_egress::Body) -> keyward_engine::Body {
    body.map_err(|_| BodyFailure).boxed_unsync()
}

/// A body that policies may have looked at, as it goes out.
pub fn to_egress(body: keyward_engine::Body) -> keyward_egress::Body {
    body.map_err(|BodyFailure| BodyError::Interrupted)
        .boxed_unsync()
}
