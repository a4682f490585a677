//! What the SDK acts out for native tests of policies, and what documents are held to
//! when they are compiled, is what the host does.

use keyward::vault::{HeaderRole, header_role};
use keyward_document_program::header::host_writes;
use keyward_policy::testing::Simulation;

/// Names that the host may write itself, and names that it leaves alone.
const NAMES: [&str; 31] = [
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "proxy-something-that-nobody-has-heard-of",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "accept",
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-type",
    "proxy",
    "range",
    "sec-fetch-mode",
    "signature",
    "traceparent",
    "x-api-key",
    "x-forwarded-for",
    "x-host",
    "x-http-method-override",
    "x-via",
];

#[test]
fn a_simulation_and_a_document_take_the_headers_that_the_host_takes() {
    let mut owned = 0;
    for name in NAMES {
        for written in [name.to_owned(), name.to_uppercase(), name.replace('-', "_")] {
            let header = http::HeaderName::from_bytes(written.as_bytes()).unwrap();
            let role = header_role(&header);
            let is_hosts = matches!(
                role,
                Some(HeaderRole::Connection | HeaderRole::Framing | HeaderRole::Way)
            );
            let simulation = Simulation::request("GET", "/");
            let set = simulation.exchange().request().set_header(&written, "a");
            assert_eq!(set.is_err(), is_hosts, "{written}: {role:?}");
            assert_eq!(host_writes(&written), is_hosts, "{written}: {role:?}");
            owned += usize::from(is_hosts);
        }
    }
    assert_eq!(owned, 16 * 3);
}
