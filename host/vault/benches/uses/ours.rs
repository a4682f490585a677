//! The uses, through the vault.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Request, StatusCode};
use keyward_names::{Alias, ComponentDigest, PolicyName, RouteName, SecretName};
use keyward_vault::{
    Actor, Ask, ChosenAccess, Claims, Covers, Durability, Grants, KeyEncoding, Kind, Ledger, Note,
    Notes, Permissions, PolicyIdentity, Secret, Target, Use, Vault, VaultFiles, new_exchange_id,
    uses,
};

use crate::bare::TOKEN;

const AUTHORITY: &str = "billing1.blob.core.windows.net";
const ENDPOINT: &str = "https identity.example";
const PATH: &str = "/invoices/2026-01.pdf";

const GRANTS: &str = r#"
[[grant]]
id = "token"
policy = "p"
secret = "oauth"
use = "token"
endpoint = { route = "identity", path = "/token" }
to = [{ route = "billing", methods = ["GET"], paths = ["/invoices/{file}"] }]

[[grant]]
id = "jws"
policy = "p"
secret = "certificate"
use = "jws-sign"
algorithm = "ES256"
issuer = "https://gateway.example"
audience = "https://backend.example"
returns = "jws"

[[grant]]
id = "sigv4"
policy = "p"
secret = "aws"
use = "sign-request"
scheme = "sigv4"
region = "eu-west-1"
service = "execute-api"
to = [{ route = "billing", methods = ["GET"], paths = ["/invoices/{file}"] }]

[[grant]]
id = "sas"
policy = "p"
secret = "storage"
use = "sas"
scope = "resource"
service = "blob"
resource = "invoices"
permissions = ["read"]
to = [{ route = "billing", methods = ["GET"], paths = ["/invoices/{file}"] }]

[[grant]]
id = "template"
policy = "p"
secret = "api"
use = "attach"
header = "authorization"
template = "ApiKey {secret}"
to = [{ route = "billing", methods = ["GET"], paths = ["/invoices/{file}"] }]

[[grant]]
id = "seal"
policy = "p"
secret = "data"
use = "seal"
"#;

pub(crate) struct Ours {
    vault: Vault,
    policy: PolicyIdentity,
    route: RouteName,
    _directory: tempfile::TempDir,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(directory.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        let actor = Actor {
            name: "bench".to_owned(),
            reason: None,
        };
        let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
        let pem = made.cert.pem() + &made.signing_key.serialize_pem();
        let key = data_encoding::BASE64.encode(&[7; 64]);
        let storage = format!(
            "DefaultEndpointsProtocol=https;AccountName=billing1;AccountKey={key};\
             EndpointSuffix=core.windows.net"
        );
        let aws = "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
                   aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n";
        let client = r#"{"client_id": "app-1", "client_secret": "0123456789abcdef~Q"}"#;
        for (name, kind, text) in [
            ("oauth", Kind::OauthClient, client),
            ("certificate", Kind::Certificate, &pem),
            ("aws", Kind::AwsKey, aws),
            ("storage", Kind::StorageAccount, &storage),
        ] {
            let value = Secret::read_from(text.as_bytes(), kind.max_bytes()).unwrap();
            let name = SecretName::parse(name).unwrap();
            vault.add(&name, kind, value, &actor).unwrap();
        }
        let data = Kind::DataKey {
            encoding: KeyEncoding::Hex,
        };
        let name = |text: &str| SecretName::parse(text).unwrap();
        let value = data.generate().unwrap();
        vault.add(&name("data"), data, value, &actor).unwrap();
        let value = Secret::generate(43);
        vault
            .add(&name("api"), Kind::ApiKey, value, &actor)
            .unwrap();
        let grants = Grants::parse("grants.toml", GRANTS).unwrap_or_else(|error| panic!("{error}"));
        vault.set_grants(grants, &actor).unwrap();
        let aliases = ["oauth", "certificate", "aws", "storage", "api", "data"];
        let asks = aliases.iter().flat_map(|alias| {
            Use::ALL.map(|use_| Ask {
                alias: Alias::parse(alias).unwrap(),
                use_,
            })
        });
        let policy = PolicyIdentity {
            name: PolicyName::parse("p").unwrap(),
            component: ComponentDigest::from_bytes([1; 32]),
            asks: asks.collect(),
        };
        let ours = Self {
            vault,
            policy,
            route: RouteName::parse("billing").unwrap(),
            _directory: directory,
        };
        // Fetched once, and at hand from then on.
        ours.token();
        ours
    }

    pub(crate) fn token(&self) -> Duration {
        let mut ledger = self.ledger();
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::Token>(&self.policy, "oauth", &mut ledger);
        let mut notes = Notes::default();
        notes.push(permit.unwrap().note());
        let before = start.elapsed();
        before + self.sent(notes, ledger)
    }

    pub(crate) fn signed_token(&self) -> Duration {
        let mut ledger = self.ledger();
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::JwsSign>(&self.policy, "certificate", &mut ledger);
        let token = permit.unwrap().sign(&self.vault, &Claims::default());
        drop(black_box(token.unwrap()));
        start.elapsed()
    }

    pub(crate) fn sigv4(&self) -> Duration {
        let mut ledger = self.ledger();
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::SignRequest>(&self.policy, "aws", &mut ledger);
        let notes = only(permit.unwrap().note());
        let before = start.elapsed();
        before + self.sent(notes, ledger)
    }

    pub(crate) fn shared_access(&self) -> Duration {
        let mut ledger = self.ledger();
        let chosen = ChosenAccess {
            covers: Covers::Item,
            permissions: Permissions::of(["read"]).unwrap(),
            lifetime_seconds: None,
        };
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::Sas>(&self.policy, "storage", &mut ledger);
        let notes = only(permit.unwrap().note_with(chosen).unwrap());
        let before = start.elapsed();
        before + self.sent(notes, ledger)
    }

    pub(crate) fn template(&self) -> Duration {
        let mut ledger = self.ledger();
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::Attach>(&self.policy, "api", &mut ledger);
        let notes = only(permit.unwrap().note());
        let before = start.elapsed();
        before + self.sent(notes, ledger)
    }

    pub(crate) fn seal(&self) -> Duration {
        let mut ledger = self.ledger();
        let start = Instant::now();
        let permit = self
            .vault
            .permit::<uses::Seal>(&self.policy, "data", &mut ledger);
        let sealed = permit.unwrap().seal(&[5; 64], b"field");
        drop(black_box(sealed.unwrap()));
        start.elapsed()
    }

    fn ledger(&self) -> Ledger {
        self.vault.begin(new_exchange_id())
    }

    /// From notes to a request that is ready to leave, without the wait between.
    fn sent(&self, mut notes: Notes, mut ledger: Ledger) -> Duration {
        let request = Request::get(format!("https://{AUTHORITY}{PATH}"));
        let mut head = request.body(()).unwrap().into_parts().0;
        let path_and_query = PATH.parse().unwrap();
        let target = Target {
            route: &self.route,
            method: &Method::GET,
            address: "",
            authority: AUTHORITY,
            path_and_query: &path_and_query,
        };
        let start = Instant::now();
        let endpoint = |_: &RouteName| Some(Arc::from(ENDPOINT));
        if notes.need_tokens()
            && let Some(wanted) = notes.take_tokens(&self.vault, &mut ledger, &target, endpoint)
        {
            let index = wanted.index();
            let call = wanted
                .record(&self.vault, &mut ledger, ENDPOINT, "identity.example")
                .unwrap();
            let durable = block_on(ledger.barrier()).unwrap();
            let fetch = call.release(&durable).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json".parse().unwrap());
            let answer =
                format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":3600}}"#);
            let token = fetch
                .answered(&self.vault, StatusCode::OK, &headers, answer.as_bytes())
                .unwrap();
            notes.give(index, token);
        }
        let checked = notes.check(&self.vault, &mut ledger, &target).unwrap();
        let before = start.elapsed();
        let durable = block_on(ledger.barrier()).unwrap();
        let start = Instant::now();
        let written = checked.write(&durable, &mut head, Some(b"")).unwrap();
        let took = before + start.elapsed();
        drop(black_box((written, head)));
        took
    }
}

fn only(note: Note) -> Notes {
    let mut notes = Notes::default();
    notes.push(note);
    notes
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
