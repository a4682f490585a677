//! Reading an answer's body into a buffer that is wiped.

use std::pin::Pin;
use std::time::Duration;

use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::source::error::SourceTransportError;

/// What a body gets at first, in bytes: most secrets take less.
const FIRST: usize = 4096;

/// All of a body of at most `limit` bytes. Each part may take `patience`.
///
/// Cancel safety: dropped, what was read is wiped.
pub(crate) async fn read(
    mut body: Incoming,
    limit: usize,
    patience: Duration,
) -> Result<Zeroizing<Vec<u8>>, SourceTransportError> {
    let too_large = SourceTransportError::TooLarge { limit };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.clamp(FIRST, limit.max(FIRST))));
    loop {
        let frame = timeout(patience, Pin::new(&mut body).frame())
            .await
            .map_err(|_| SourceTransportError::TimedOut)?;
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let frame = frame.map_err(|_| SourceTransportError::Protocol)?;
        // Nothing of what is asked for comes in trailers.
        let Ok(part) = frame.into_data() else {
            continue;
        };
        if part.len() > limit.saturating_sub(bytes.len()) {
            return Err(too_large);
        }
        append(&mut bytes, &part);
    }
}

/// A vector that grows leaves its old bytes behind; this one is replaced, and wiped.
fn append(bytes: &mut Zeroizing<Vec<u8>>, part: &[u8]) {
    let needed = bytes.len() + part.len();
    if needed > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(bytes.capacity() * 2)));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(part);
}
