//! oidc-provider, started on loopback over TLS. It ends when it is dropped.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use http::{Method, Request, StatusCode};
use keyward::egress::Roots;
use keyward::egress::source::{SourceClient, SourceProfile};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::authority::Authority;

/// A running provider, which knows these clients and one more, `backend`, that asks it
/// what tokens are.
pub(crate) struct Provider {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub(crate) url: String,
    pub(crate) authority: Authority,
    client: SourceClient,
    folder: TempDir,
}

const BACKEND: (&str, &str) = ("backend", "what-the-backend-shows-0123456789");

impl Provider {
    /// Whether the user said that this machine can't have others' servers.
    pub(crate) fn is_left_out() -> bool {
        keyward_tests::is_left_out("oidc-provider")
    }

    /// Starts one with the clients that `clients` says, whose tokens live for
    /// `lifetime` seconds.
    pub(crate) fn start(lifetime: u64, clients: impl FnOnce(&Authority) -> Vec<Value>) -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = here.join("../target/tools/npm-oauth/package.json");
        assert!(
            packages.is_file(),
            "there is no oidc-provider to have tokens from: run `cargo xtask setup`, or set \
             KEYWARD_WITHOUT_SERVERS=1 to leave out what needs it"
        );
        let authority = Authority::new();
        let server = authority.certify("localhost");
        let clients = with_backend(clients(&authority));
        let settings = json!({
            "packages": packages,
            "key": server.key,
            "certificate": server.certificate,
            "authority": authority.pem(),
            "lifetime": lifetime,
            "jwks": { "keys": [jwk()] },
            "clients": clients,
        });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.json");
        fs::write(&file, settings.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut process = Command::new("node")
            .arg(here.join("oauth/provider.mjs"))
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        // It ends if it can't start, and its output with it.
        let port = said(&mut output, "ready ");
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        let port = port.unwrap_or_else(|| panic!("{log}"));
        let url = format!("https://localhost:{port}");
        let profile = SourceProfile::new()
            .with_origin(&url)
            .unwrap()
            .with_roots(Roots::Pem(authority.pem().into_bytes()));
        Self {
            process,
            input,
            output,
            client: SourceClient::new(profile).unwrap(),
            url,
            authority,
            folder,
        }
    }

    /// From now on it knows these clients, in place of those before.
    pub(crate) fn change(&mut self, clients: Vec<Value>) {
        let clients = Value::from(with_backend(clients));
        writeln!(self.input, "{clients}").unwrap();
        said(&mut self.output, "changed").unwrap();
    }

    /// What the provider says of a token: what a backend would ask it.
    pub(crate) async fn introspect(&self, token: &str) -> Value {
        self.ask("token/introspection", token).await
    }

    /// What it has said of refusals.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    async fn ask(&self, path: &str, token: &str) -> Value {
        let (id, secret) = BACKEND;
        let form = format!("client_id={id}&client_secret={secret}&token={token}");
        let body = self.post(path, form).await;
        serde_json::from_slice(&body).unwrap()
    }

    async fn post(&self, path: &str, form: String) -> Zeroizing<Vec<u8>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{path}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Zeroizing::new(form.into_bytes()))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{log}");
        answer.body
    }
}

/// The clients, and the one that asks what tokens are.
fn with_backend(mut clients: Vec<Value>) -> Vec<Value> {
    clients.push(json!({
        "client_id": BACKEND.0,
        "client_secret": BACKEND.1,
        "token_endpoint_auth_method": "client_secret_post",
    }));
    clients
}

/// What follows a word at the start of the next line that begins with it; `None` when
/// there are no more.
fn said(output: &mut BufReader<ChildStdout>, word: &str) -> Option<String> {
    let mut lines = output.lines().map_while(Result::ok);
    lines.find_map(|line| Some(line.strip_prefix(word)?.to_owned()))
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A key of the provider's own, to sign with.
fn jwk() -> Value {
    use aws_lc_rs::encoding::AsBigEndian as _;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use data_encoding::BASE64URL_NOPAD;
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = pair.public_key().as_ref();
    let private = pair.private_key().as_be_bytes().unwrap();
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "its-own",
        "x": BASE64URL_NOPAD.encode(&public[1..33]),
        "y": BASE64URL_NOPAD.encode(&public[33..65]),
        "d": BASE64URL_NOPAD.encode(private.as_ref()),
    })
}
