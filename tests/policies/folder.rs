//! A gateway as an operator has it: a folder with a configuration, a document, grants and
//! a vault, from which it is put together.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use keyward::Keyward;
use keyward::egress::full;
use keyward::names::{SecretName, ValueName};
use keyward::vault::{Durability, Kind, Lock, NamedValue, Secret, Vault};
use keyward_gateway::assemble::{OpenError, assemble};
use keyward_gateway::config::{Config, Values};
use keyward_gateway::documents::CompiledDocuments;
use keyward_gateway::forward;
use keyward_gateway::grants::{components, lock_path, read_grants};
use keyward_gateway::pipeline::Pipelines;
use keyward_tests::{Canary, TestGateway, policy_file};
use tempfile::TempDir;

/// A folder with a gateway.
pub(crate) struct Folder {
    folder: TempDir,
    pub(crate) key: Canary,
}

/// One that serves.
pub(crate) struct Serves {
    keyward: Keyward,
    pipelines: Pipelines,
}

/// Where a policy is, as a configuration has it.
pub(crate) fn component(name: &str) -> String {
    policy_file(name).display().to_string()
}

/// Adds an API key.
pub(crate) fn add(vault: &Vault, name: &SecretName, key: &Canary) {
    let value = Secret::read_from(key.text().as_bytes(), 4096).unwrap();
    let actor = TestGateway::actor();
    vault.add(name, Kind::ApiKey, value, &actor).unwrap();
}

impl Folder {
    /// One with `keyward.toml`, `document.xml` and `grants.toml`. Its vault has the API key
    /// `billing-key`, which is the named value `key`.
    pub(crate) fn new(configuration: &str, document: &str, grants: &str) -> Self {
        let folder = Self {
            folder: tempfile::tempdir().unwrap(),
            key: Canary::new(),
        };
        folder.write("keyward.toml", configuration);
        folder.write("document.xml", document);
        folder.write("grants.toml", grants);
        Vault::create(&folder.config().vault_files()).unwrap();
        let name = SecretName::parse("billing-key").unwrap();
        add(&folder.vault(), &name, &folder.key);
        folder.set_value("key", NamedValue::Secret(name));
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.path().join("keyward.toml")).unwrap()
    }

    pub(crate) fn vault(&self) -> Vault {
        Vault::open(&self.config().vault_files(), Durability::Strict).unwrap()
    }

    /// Says what a named value is.
    pub(crate) fn set_value(&self, name: &str, is: NamedValue) {
        let name = ValueName::parse(name).unwrap();
        let set = self
            .vault()
            .set_value(&name, is, [].into(), &TestGateway::actor());
        set.unwrap();
    }

    /// The documents, compiled, and the configuration as the named values make it.
    pub(crate) fn compiled(&self) -> (Config, CompiledDocuments) {
        let values = Values::of(&self.vault());
        let config = self.config().resolve(&values).unwrap();
        let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values)));
        let documents = documents.unwrap();
        (config, documents)
    }

    /// Pins the grants as they are.
    pub(crate) fn pin(&self) {
        let (config, documents) = self.compiled();
        let grants = read_grants(&config).unwrap();
        let components = components(&config, Some(&documents));
        let lock = Lock::pin(&grants, &self.vault().list(), &components).unwrap();
        std::fs::write(lock_path(&config).unwrap(), lock.to_toml()).unwrap();
    }

    pub(crate) fn open(&self) -> Result<Serves, OpenError> {
        let (keyward, pipelines) = assemble(&self.config(), self.vault(), &TestGateway::actor())?;
        Ok(Serves { keyward, pipelines })
    }

    pub(crate) fn refused(&self) -> OpenError {
        self.open().err().unwrap()
    }
}

impl Serves {
    pub(crate) async fn send(
        &self,
        request: http::request::Builder,
        body: &'static str,
    ) -> Response<String> {
        let request = request.header("host", "gateway.example");
        let request = request.body(full(Bytes::from(body))).unwrap();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let answer = forward(&self.keyward, &self.pipelines, client, request).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Response::from_parts(head, String::from_utf8_lossy(&body).into_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Response<String> {
        self.send(Request::get(path), "").await
    }
}
