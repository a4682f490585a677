//! After ten thousand uses, and a second after the last, no part of a value stands
//! in the gateway's memory outside its secret pages.
//!
//! The gateway is a process of its own: the values are otherwise only here, in the
//! backends and the client, and on disk as the vault has them. All its memory is
//! read from outside, and searched for every sixteen bytes in a row of every value,
//! as they are, in hexadecimal, in base64, and as HMAC pads them. The values go out
//! over HTTP/1, plain and in TLS, and over HTTP/2.
//!
//! What can't be searched for here: keys that only the gateway knows. Those of the
//! vault stand in the secret pages for as long as it is open.

mod backends;
pub(crate) mod gateway;

use std::collections::BTreeSet;
use std::time::Duration;

use data_encoding::HEXLOWER;
use keyward_tests::Canary;
use keyward_tests::memory::Search;

use backends::Backends;
use gateway::{Gateway, run};

/// Each request makes five uses: identify, attach, sign the request, make a code,
/// check a code.
const REQUESTS: usize = 2_400;

/// How long an idle gateway may take until nothing is left: its idle connections
/// live for ten seconds, and reading its memory takes some.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is planted.
struct Values {
    api_key: Canary,
    signing_key: Canary,
    mac_key: Canary,
    client_key: Canary,
}

impl Values {
    fn new() -> Self {
        Self {
            api_key: Canary::new(),
            signing_key: Canary::new(),
            mac_key: Canary::new(),
            client_key: Canary::new(),
        }
    }

    fn all(&self) -> [(&'static str, &[u8]); 4] {
        [
            ("api key", self.api_key.text().as_bytes()),
            ("signing key", self.signing_key.text().as_bytes()),
            ("MAC key", self.mac_key.text().as_bytes()),
            ("client key", self.client_key.text().as_bytes()),
        ]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_stands_in_memory_when_it_is_not_used() {
    let backends = Backends::start().await;
    let (values, rotated) = (Values::new(), Canary::new());
    let gateway = Gateway::start(&backends, &values, "nothing");
    gateway.serve_clients(&values.client_key, REQUESTS).await;
    let rotate = ["secret", "rotate", "billing-key"];
    run(gateway.folder.path(), &rotate, rotated.text());
    gateway.serve_clients(&values.client_key, 120).await;
    assert_eq!(backends.received(&values.api_key), [REQUESTS / 3; 3]);
    assert_eq!(backends.received(&rotated), [40; 3]);

    let mut search = values.all().to_vec();
    search.push(("rotated API key", rotated.text().as_bytes()));
    let key = std::fs::read_to_string(gateway.folder.path().join("vault.key")).unwrap();
    let digits = key.trim_end().as_bytes().last_chunk::<64>().unwrap();
    let key = HEXLOWER.decode(digits).unwrap();
    search.push(("the vault's key", &key));
    let search = Search::new(search);

    // Control: what is on an idle connection is found, until that is closed.
    let open = backends.open();
    assert!(
        open.iter().all(|open| *open > 0),
        "connections are kept for a while: {open:?}"
    );
    let (found, _) = search.in_memory(&gateway.memory());
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains("rotated API key, raw"), "{found:?}");

    backends.until_closed().await;
    let left = search.until_clean(gateway.pid(), PATIENCE);
    assert!(left.is_empty(), "{left:?}");

    // It is still the gateway that uses them.
    gateway.serve_clients(&values.client_key, 24).await;
    assert_eq!(backends.received(&rotated), [48; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_a_value_in_a_policy_s_settings_is_found() {
    let backends = Backends::start().await;
    let values = Values::new();
    let gateway = Gateway::start(&backends, &values, values.api_key.text());
    gateway.serve_clients(&values.client_key, 120).await;
    backends.until_closed().await;
    let (found, _) = Search::new(values.all()).in_memory(&gateway.memory());
    let mut names = found.iter().map(|(name, _)| name.as_str());
    assert!(names.any(|name| name == "api key, raw"), "{found:?}");
}
