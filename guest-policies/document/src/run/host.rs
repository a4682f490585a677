//! What of the host documents need and other policies do not.

use keyward_policy::{Exchange, Failure, Side};

/// `https` or `http`, as the client asked.
pub(crate) fn scheme(exchange: Exchange<'_>) -> String {
    exchange
        .server_name()
        .map_or("http", |_| "https")
        .to_owned()
}

/// Puts a body in place of the one that is there.
pub(crate) fn replace_body(exchange: Exchange<'_>, side: Side, body: &[u8]) -> Result<(), Failure> {
    exchange.message(side).write_body(body)
}

/// The query as the client wrote it, without `?`.
pub(crate) fn query_text(_: Exchange<'_>) -> Option<String> {
    None
}

/// Whether there is a body, as far as that is known.
pub(crate) fn has_body(exchange: Exchange<'_>, side: Side) -> bool {
    exchange.message(side).has_header("content-length")
        || exchange.message(side).has_header("transfer-encoding")
}
