//! A gateway that signs a request, attaches a key to it in two phases and makes a code
//! of its body, each with a secret of its own; and a backend that checks all three
//! with what it knows of their versions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use keyward::engine::Phase;
use keyward::names::SecretName;
use keyward::vault::Secret;
use keyward_tests::{Answer, Backend, Canary, Received, TestGateway};
use serde_json::json;

use crate::verify;

const GRANTS: &str = r#"
[[grant]]
id = "attach"
policy = "attach-api-key"
secret = "api"
alias = "backend"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]

[[grant]]
id = "sign"
policy = "sign-request"
secret = "signing"
alias = "signing-key"
use = "sign-request"
to = [{ route = "billing", paths = ["/v1/charges"] }]

[[grant]]
id = "code"
policy = "sign-body"
secret = "events"
alias = "signing-key"
use = "mac-sign"
"#;

/// The secrets, in the order in which everything here lists them.
pub(crate) const SECRETS: [&str; 3] = ["api", "signing", "events"];
const BODY: &str = "{\"amount\":5}";

/// The values of each secret, that of version 1 first.
type Known = [RwLock<Vec<String>>; 3];

/// How often each version of each secret was seen.
pub(crate) type Seen = [BTreeMap<u64, u64>; 3];

pub(crate) struct World {
    pub(crate) gateway: TestGateway,
    known: Arc<Known>,
    seen: Arc<Mutex<Seen>>,
    /// Held so that it goes on listening.
    _backend: Backend,
}

impl World {
    pub(crate) async fn start() -> Self {
        let known: Arc<Known> = Arc::new(SECRETS.map(|_| RwLock::new(vec![value()])));
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let backend = {
            let (known, seen) = (Arc::clone(&known), Arc::clone(&seen));
            Backend::answering(move |received| judge(received, &known, &seen)).await
        };
        let first = |index: usize| known[index].read().unwrap()[0].clone();
        let gateway = TestGateway::builder()
            .api_key("api", &first(0))
            .hmac_key("signing", &first(1))
            .hmac_key("events", &first(2))
            .grants(GRANTS)
            .route("billing", &backend.url())
            .inbound("sign-request", json!({}))
            .policy(
                &[Phase::Inbound, Phase::Backend],
                "attach-api-key",
                "attach-api-key",
                json!({}),
                &[],
            )
            .policy(
                &[Phase::Backend],
                "sign-body",
                "sign-body",
                json!(null),
                &[],
            )
            .build();
        Self {
            gateway,
            known,
            seen,
            _backend: backend,
        }
    }

    /// Gives each secret a new value, which the backend knows before.
    pub(crate) fn rotate(&self) {
        for (index, name) in SECRETS.into_iter().enumerate() {
            let new = value();
            let number = {
                let mut known = self.known[index].write().unwrap();
                known.push(new.clone());
                known.len()
            };
            let new = Secret::read_from(new.as_bytes(), 4096).unwrap();
            let name = SecretName::parse(name).unwrap();
            let vault = self.gateway.vault();
            let rotated = vault.rotate(&name, new, &TestGateway::actor()).unwrap();
            assert_eq!(usize::try_from(rotated.version).unwrap(), number);
        }
    }

    /// One request. It says which versions were in use before it began.
    pub(crate) async fn ask(&self) -> Answer {
        let vault = self.gateway.vault();
        let floor = SECRETS.map(|name| {
            let info = vault.info(&SecretName::parse(name).unwrap());
            info.unwrap().version.to_string()
        });
        let request = Request::post("/v1/charges?limit=2")
            .header("x-floor", floor.join(","))
            .body(Bytes::from_static(BODY.as_bytes()));
        self.gateway.send(request.unwrap()).await
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

fn value() -> String {
    Canary::new().text().to_owned()
}

/// 200 if everything was made with exactly one version of its secret, and none with an
/// older one than was in use when the request began; else what is wrong.
fn judge(received: &Received, known: &Known, seen: &Mutex<Seen>) -> Response<Full<Bytes>> {
    let answer = |status, text: String| {
        let mut answer = Response::new(Full::from(text));
        *answer.status_mut() = status;
        answer
    };
    match versions(received, known) {
        Ok(found) => {
            let mut seen = seen.lock().unwrap();
            for (seen, version) in seen.iter_mut().zip(found) {
                *seen.entry(version).or_default() += 1;
            }
            answer(StatusCode::OK, "ok".to_owned())
        }
        Err(wrong) => answer(StatusCode::CONFLICT, wrong),
    }
}

fn versions(received: &Received, known: &Known) -> Result<[u64; 3], String> {
    let floor = received.header("x-floor").unwrap_or_default();
    let floor: Vec<u64> = floor.split(',').map(|text| text.parse().unwrap()).collect();
    let mut found = [0; 3];
    for (index, name) in SECRETS.into_iter().enumerate() {
        let values = known[index].read().unwrap();
        let by: Vec<u64> = (1..)
            .zip(values.iter())
            .filter(|(_, value)| match index {
                0 => received.header("x-api-key") == Some(value.as_str()),
                1 => verify::request(received, value, BODY.as_bytes()),
                _ => verify::code(received.header("x-signature"), value, &received.body),
            })
            .map(|(number, _)| number)
            .collect();
        let [version] = by[..] else {
            return Err(format!("{name} is of the versions {by:?}"));
        };
        if version < floor[index] {
            return Err(format!(
                "{name} is of version {version}, not {}",
                floor[index]
            ));
        }
        found[index] = version;
    }
    Ok(found)
}
