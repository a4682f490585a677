//! A vault in a temporary directory, and what tests do with it.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use keyward_names::{Alias, ComponentDigest, PolicyName, RouteName, SecretName};
use keyward_vault::*;

pub(crate) const API_KEY: &str = "sk_live_51HxKeyward+Test/Value==";
pub(crate) const MAC_KEY: &str = "8f01e233b47516c758f92a9b0c6dde4f11a273d49536e708b95afb2c9d6ecf40";
pub(crate) const OTHER_MAC_KEY: &str =
    "00112233445566778899aabbccddeeff8f01e233b47516c758f92a9b0c6dde4f";
pub(crate) const CLIENT_KEYS: &str = "shop = shop-key-number-0001\n\
                               shop = shop-key-number-0002\n\
                               depot = depot-key-number-001\n";

pub(crate) const HMAC: Kind = Kind::HmacKey {
    algorithm: MacAlgorithm::Sha256,
    encoding: KeyEncoding::Hex,
};

/// A value that is accepted as a secret of a kind.
pub(crate) fn sample(kind: Kind) -> String {
    let key = data_encoding::HEXLOWER.decode(MAC_KEY.as_bytes()).unwrap();
    let encoded = |encoding| match encoding {
        KeyEncoding::Raw => MAC_KEY[..32].to_owned(),
        KeyEncoding::Hex => MAC_KEY.to_owned(),
        KeyEncoding::Base64 => data_encoding::BASE64.encode(&key),
    };
    match kind {
        Kind::ApiKey => API_KEY.to_owned(),
        Kind::ClientKeys => CLIENT_KEYS.to_owned(),
        Kind::Basic => "alice:correct-horse-1".to_owned(),
        Kind::HmacKey { encoding, .. } | Kind::DataKey { encoding } => encoded(encoding),
        Kind::OauthClient => {
            r#"{"client_id": "app-1", "client_secret": "0123456789abcdef~Q"}"#.to_owned()
        }
        Kind::Certificate => certificate(),
        Kind::StorageAccount => format!(
            "DefaultEndpointsProtocol=https;AccountName=billing1;AccountKey={};\
             EndpointSuffix=core.windows.net",
            data_encoding::BASE64.encode(&[key.clone(), key].concat())
        ),
        Kind::Database => {
            "postgres://app:p%40ssword-1@db.example:5433/orders?sslmode=verify-full".to_owned()
        }
        Kind::AwsKey => "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
                         aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n"
            .to_owned(),
        Kind::ServiceBus => "Endpoint=sb://billing1.servicebus.windows.net/;\
                             SharedAccessKeyName=send;\
                             SharedAccessKey=q9vT0pYw3sXbE5nK8rJ2uLz7mHc4dGf1aVi6oQtBxWk=;\
                             EntityPath=orders"
            .to_owned(),
        Kind::ConnectionString => {
            "cache.example:6380,password=correct-horse-1,ssl=True,abortConnect=False".to_owned()
        }
    }
}

/// A self-signed certificate without its key.
pub(crate) fn chain() -> String {
    let made = rcgen::generate_simple_self_signed(vec!["gateway.example".to_owned()]).unwrap();
    made.cert.pem()
}

/// A self-signed certificate and its key.
pub(crate) fn certificate() -> String {
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    made.cert.pem() + &made.signing_key.serialize_pem()
}

/// A temporary key of AWS, with its session token.
pub(crate) const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3Q+Zm9v/A1b2C3d4==";

pub(crate) fn temporary_aws_key() -> String {
    format!(
        "[default]\naws_access_key_id = ASIAIOSFODNN7EXAMPLE\n\
         aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n\
         aws_session_token = {SESSION}\n"
    )
}

pub(crate) struct TestVault {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) files: VaultFiles,
    pub(crate) verifier_key: String,
}

impl TestVault {
    pub(crate) fn create() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = files_in(directory.path());
        let verifier_key = Vault::create(&files).unwrap().verifier_key;
        Self {
            directory,
            files,
            verifier_key,
        }
    }

    pub(crate) fn open(&self) -> Vault {
        Vault::open(&self.files, Durability::Strict).unwrap()
    }

    /// Open, with one secret of each kind: `api`, `mac`, `clients`.
    pub(crate) fn with_secrets() -> (Self, Vault) {
        let test = Self::create();
        let vault = test.open();
        for (text, kind, value) in [
            ("api", Kind::ApiKey, API_KEY),
            ("mac", HMAC, MAC_KEY),
            ("clients", Kind::ClientKeys, CLIENT_KEYS),
        ] {
            vault
                .add(&name(text), kind, secret(value), &actor())
                .unwrap();
        }
        (test, vault)
    }
}

pub(crate) fn files_in(directory: &Path) -> VaultFiles {
    VaultFiles {
        vault: directory.join("vault.keyward"),
        key: directory.join("vault.key"),
        audit: directory.join("audit"),
    }
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::read_from(text.as_bytes(), 1 << 20).unwrap()
}

pub(crate) fn actor() -> Actor {
    Actor {
        name: "uid 1000".to_owned(),
        reason: Some("a test".to_owned()),
    }
}

pub(crate) fn grants(text: &str) -> Grants {
    Grants::parse("grants.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

/// What stands in a grants file for one grant of policy `p`.
pub(crate) fn grant(id: &str, secret: &str, alias: &str, use_: Use) -> String {
    let rest = match use_ {
        Use::Attach => {
            "header = \"x-api-key\"\n\
             to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }]"
        }
        Use::SignRequest => {
            "to = [{ route = \"billing\", methods = [\"GET\", \"POST\"], paths = [\"/v1/charges\"] }]"
        }
        Use::Token => {
            "endpoint = { route = \"identity\", path = \"/token\" }\n\
             to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }]"
        }
        Use::Present => "to = [{ route = \"billing\" }]",
        Use::JwsSign => {
            "algorithm = \"ES256\"\nissuer = \"https://gateway.example\"\n\
             audience = \"https://billing.example\"\nreturns = \"jws\"\n\
             to = [{ route = \"billing\" }]"
        }
        Use::Identify => "header = \"x-client-key\"",
        Use::Sas => {
            "scope = \"resource\"\nservice = \"blob\"\nresource = \"invoices\"\n\
             permissions = [\"read\"]\n\
             to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/invoices/{blob}\"] }]"
        }
        Use::Presign => {
            "region = \"eu-west-1\"\nservice = \"s3\"\n\
             to = [{ route = \"billing\", methods = [\"GET\"], paths = [\"/v1/charges\"] }]"
        }
        Use::Query => {
            "to = [{ route = \"db\" }]\n[[grant.statement]]\nname = \"one\"\nsql = \"SELECT 1\""
        }
        Use::MacSign | Use::MacVerify | Use::Seal | Use::Open | Use::VerifyJwt | Use::Describe => {
            ""
        }
    };
    format!(
        "[[grant]]\nid = \"{id}\"\npolicy = \"p\"\nsecret = \"{secret}\"\nalias = \"{alias}\"\n\
         use = \"{use_}\"\n{rest}\n"
    )
}

/// The same for a secret of this kind, whose scheme it may name.
pub(crate) fn grant_for(kind: Kind, id: &str, secret: &str, alias: &str, use_: Use) -> String {
    let text = grant(id, secret, alias, use_);
    match (kind, use_) {
        (Kind::StorageAccount, Use::SignRequest) => {
            text + "scheme = \"shared-key\"\nservice = \"blob\"\n"
        }
        (Kind::AwsKey, Use::SignRequest) => {
            text + "scheme = \"sigv4\"\nregion = \"eu-west-1\"\nservice = \"execute-api\"\n"
        }
        (Kind::Certificate, Use::Token) => {
            text + "auth = \"private_key_jwt\"\nclient-id = \"gateway\"\n"
        }
        (Kind::ServiceBus, Use::Sas) => text
            .replace(
                "scope = \"resource\"\nservice = \"blob\"\n",
                "scope = \"entity\"\n",
            )
            .replace("permissions = [\"read\"]\n", ""),
        _ => text,
    }
}

/// Policy `p`, which asks for every use of these aliases.
pub(crate) fn policy(aliases: &[&str]) -> PolicyIdentity {
    let asks = aliases.iter().flat_map(|alias| {
        Use::ALL.map(|use_| Ask {
            alias: Alias::parse(alias).unwrap(),
            use_,
        })
    });
    PolicyIdentity {
        name: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        asks: asks.collect(),
    }
}

pub(crate) fn route(text: &str) -> RouteName {
    RouteName::parse(text).unwrap()
}

pub(crate) fn new_ledger(vault: &Vault) -> Ledger {
    vault.begin(new_exchange_id())
}

/// Runs a future on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
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
