//! A real OpenBao: over TLS, on loopback, with what it stores in memory, initialised
//! and unsealed. It is killed when dropped.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use keyward::egress::source::{SourceClient, SourceProfile};
use keyward::egress::{Dialer, Roots};
use keyward::names::SourceName;
use keyward::sources::openbao::{OpenBao, OpenBaoAuth, OpenBaoSettings};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);

/// A running server and the right to do everything there.
pub struct OpenBaoServer {
    process: Child,
    address: String,
    certificate: Vec<u8>,
    client: SourceClient,
    root: String,
    unseal: String,
    folder: TempDir,
}

impl OpenBaoServer {
    /// Whether the user said that this machine can't have others' servers.
    pub fn is_left_out() -> bool {
        crate::is_left_out("OpenBao")
    }

    /// Starts one, with a KV engine (version 2) at `secret` and a transit engine at
    /// `transit`.
    ///
    /// # Panics
    ///
    /// If there is none, or it doesn't come up within a minute.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .pem();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let address = format!("https://localhost:{port}");
        fs::write(folder.path().join("certificate.pem"), &certificate).unwrap();
        fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
        fs::write(
            folder.path().join("server.hcl"),
            format!(
                "storage \"inmem\" {{}}\n\
                 listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  \
                 tls_cert_file = \"certificate.pem\"\n  tls_key_file = \"key.pem\"\n}}\n\
                 api_addr = \"{address}\"\n"
            ),
        )
        .unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program())
            .args(["server", "-config=server.hcl"])
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let profile = SourceProfile::new()
            .with_origin(&address)
            .unwrap()
            .with_roots(Roots::Pem(certificate.clone().into_bytes()));
        let mut server = Self {
            process,
            client: SourceClient::new(profile).unwrap(),
            address,
            certificate: certificate.into_bytes(),
            root: String::new(),
            unseal: String::new(),
            folder,
        };
        server.initialise().await;
        server
    }

    async fn initialise(&mut self) {
        let start = Instant::now();
        while self
            .try_ask(Method::GET, "sys/seal-status", None)
            .await
            .is_none()
        {
            let ended = self.process.try_wait().unwrap();
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(ended.is_none() && start.elapsed() < START, "{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let made = self.did(Method::PUT, "sys/init", Some(&shares)).await;
        self.root = made["root_token"].as_str().unwrap().to_owned();
        self.unseal = made["keys_base64"][0].as_str().unwrap().to_owned();
        self.unseal().await;
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        self.write("sys/mounts/secret", &kv).await;
        let transit = json!({ "type": "transit" });
        self.write("sys/mounts/transit", &transit).await;
        // A new KV engine is not there at once.
        while self.ask(Method::GET, "secret/config", None).await.0 != StatusCode::OK {
            assert!(start.elapsed() < START, "the KV engine is not there");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `https://localhost:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificate that vouches for it, as PEM.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// A folder that goes with it, for tokens and the like.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The token that may do everything.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Does something as the one who may, and returns the status and the answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        message: Option<&Value>,
    ) -> (StatusCode, Value) {
        let answer = self.try_ask(method, path, message).await;
        answer.expect("the server answers")
    }

    /// Writes, and returns what is answered.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub async fn write(&self, path: &str, message: &Value) -> Value {
        self.did(Method::POST, path, Some(message)).await
    }

    /// Reads.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub async fn read(&self, path: &str) -> Value {
        self.did(Method::GET, path, None).await
    }

    /// Writes, and has the answer wrapped for a minute.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub async fn wrapped(&self, path: &str, message: &Value) -> Value {
        let request = Request::post(format!("{}/v1/{path}", self.address))
            .header("x-vault-token", &self.root)
            .header("x-vault-wrap-ttl", "60")
            .body(Zeroizing::new(message.to_string().into_bytes()))
            .unwrap();
        let answer = self.client.send(request).await;
        let answer = answer.expect("the server answers");
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Puts another version of a secret into the KV engine.
    pub async fn put(&self, path: &str, fields: &Value) {
        let data = json!({ "data": fields });
        self.write(&format!("secret/data/{path}"), &data).await;
    }

    /// Closes it: it answers nobody until it is unsealed.
    pub async fn seal(&self) {
        self.did(Method::PUT, "sys/seal", None).await;
    }

    /// Opens it.
    pub async fn unseal(&self) {
        let key = json!({ "key": self.unseal });
        let answer = self.did(Method::PUT, "sys/unseal", Some(&key)).await;
        assert_eq!(answer["sealed"], json!(false));
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// Ends it, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Sets AppRole up: a role `keyward` with these policies, and further settings.
    /// Returns the role's id.
    pub async fn app_role(&self, policies: &[&str], more: Value) -> String {
        let (status, _) = self
            .ask(
                Method::POST,
                "sys/auth/approle",
                Some(&json!({ "type": "approle" })),
            )
            .await;
        assert!(status.is_success() || status == StatusCode::BAD_REQUEST);
        let mut role = json!({ "token_policies": policies });
        if let (Some(role), Value::Object(more)) = (role.as_object_mut(), more) {
            role.extend(more);
        }
        self.write("auth/approle/role/keyward", &role).await;
        let id = self.read("auth/approle/role/keyward/role-id").await;
        id["data"]["role_id"].as_str().unwrap().to_owned()
    }

    /// A secret id of that role, in a file.
    pub async fn secret_id(&self) -> PathBuf {
        let path = "auth/approle/role/keyward/secret-id";
        let made = self.write(path, &json!({})).await;
        self.file("secret-id", made["data"]["secret_id"].as_str().unwrap())
    }

    /// A file in the server's folder, put there in one piece.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let new = self.folder.path().join(format!("{name}.new"));
        fs::write(&new, format!("{text}\n")).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    /// A policy of OpenBao's: these capabilities on these paths.
    pub async fn policy(&self, name: &str, rules: &[(&str, &str)]) {
        let rules: String = rules
            .iter()
            .map(|(path, capability)| {
                format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}\n")
            })
            .collect();
        let policy = json!({ "policy": rules });
        self.write(&format!("sys/policies/acl/{name}"), &policy)
            .await;
    }

    /// How it is asked by a source that logs in so.
    pub fn settings(&self, auth: OpenBaoAuth) -> OpenBaoSettings {
        OpenBaoSettings {
            address: self.address.clone(),
            mount: "secret".to_owned(),
            transit: "transit".to_owned(),
            namespace: None,
            auth,
        }
    }

    /// A source that trusts its certificate.
    pub fn source(&self, auth: OpenBaoAuth) -> OpenBao {
        self.source_within(auth, Duration::from_secs(10))
    }

    /// The same with that much time for an exchange.
    pub fn source_within(&self, auth: OpenBaoAuth, deadline: Duration) -> OpenBao {
        let profile = SourceProfile::new()
            .with_roots(Roots::Pem(self.certificate.clone()))
            .with_deadline(deadline);
        let name = SourceName::parse("bao").unwrap();
        OpenBao::new(name, self.settings(auth), profile, &Dialer::default()).unwrap()
    }

    /// A source that may do everything.
    pub fn source_of_root(&self) -> OpenBao {
        self.source(OpenBaoAuth::TokenFile {
            file: self.file("root", &self.root),
        })
    }

    async fn did(&self, method: Method, path: &str, message: Option<&Value>) -> Value {
        let (status, answer) = self.ask(method, path, message).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    async fn try_ask(
        &self,
        method: Method,
        path: &str,
        message: Option<&Value>,
    ) -> Option<(StatusCode, Value)> {
        let body = message.map(|message| message.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/v1/{path}", self.address))
            .header("x-vault-token", &self.root)
            .body(Zeroizing::new(body.unwrap_or_default()))
            .unwrap();
        let answer = self.client.send(request).await.ok()?;
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        Some((answer.status, body))
    }
}

impl Drop for OpenBaoServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `cargo xtask setup` puts it.
fn program() -> PathBuf {
    let place = "../target/tools/servers/bin/bao";
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    assert!(
        program.is_file(),
        "there is no OpenBao to take secrets from: run `cargo xtask setup`, or set \
         KEYWARD_WITHOUT_SERVERS=1 to leave out what needs it"
    );
    program
}
