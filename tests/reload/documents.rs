//! Documents of a gateway that serves: what changed on disk counts from the next reload
//! on, and where anything is wrong with it, what was there before goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use keyward::names::{PolicyName, SecretName, ValueName};
use keyward::vault::{Durability, Kind, Lock, NamedValue, Secret, Vault};
use keyward_gateway::config::{Config, Values};
use keyward_gateway::documents::CompiledDocuments;
use keyward_gateway::grants::{components, lock_path, read_grants};
use keyward_tests::{Backend, policy_file};

use crate::world::{Serves, actor, client, reload, serve};

const GRANT: &str = r#"
[[grant]]
id = "document"
policy = "document"
secret = "billing-key"
alias = "ALIAS"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/charges"] }]
"#;

/// A document that attaches a secret, marks its answers, and includes a fragment.
fn document(mark: &str) -> String {
    format!(
        r#"<policies><inbound><base/><include-fragment fragment-id="mark"/>
    <set-header name="x-api-key"><value>{{{{key}}}}</value></set-header></inbound>
  <backend><base/></backend>
  <outbound><base/><set-header name="x-document"><value>{mark}</value></set-header></outbound>
  <on-error><base/></on-error></policies>"#
    )
}

/// A fragment that marks requests.
fn fragment(mark: &str) -> String {
    format!(
        r#"<fragment><set-header name="x-fragment"><value>{mark}</value></set-header></fragment>"#
    )
}

/// A document of an operation, which marks answers with another name.
fn operation(mark: &str) -> String {
    format!(
        r#"<policies><inbound><base/></inbound><backend><base/></backend>
  <outbound><base/><set-header name="x-operation"><value>{mark}</value></set-header></outbound>
  <on-error><base/></on-error></policies>"#
    )
}

struct Documents {
    folder: tempfile::TempDir,
    serves: Serves,
    _backend: Backend,
}

/// What a client sees: the marks of the document, of the fragment and of the operation.
type Marks = [String; 3];

fn marks(document: &str, fragment: &str, operation: &str) -> Marks {
    [document, fragment, operation].map(str::to_owned)
}

impl Documents {
    /// A gateway that serves the document `1`, which includes the fragment `1`. With
    /// `pinned`, its grant is pinned to them.
    async fn start(watch: bool, pinned: bool) -> Self {
        let backend = Backend::answering(|received| {
            Response::builder()
                .header("x-seen", received.header("x-fragment").unwrap_or_default())
                .body(Full::from("done"))
                .unwrap()
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
        let guest = policy_file("document");
        let text = format!(
            r#"
[gateway]
listen = "127.0.0.1:0"
watch = {watch}
fragments = "fragments"
[grants]
file = "grants.toml"
[[route]]
name = "billing"
url = "{}"
[[policy]]
name = "document"
component = "{}"
[[pipeline]]
path = "/"
route = "billing"
document = ["api.xml"]
"#,
            backend.url(),
            guest.display()
        );
        write("keyward.toml", &text).unwrap();
        write("api.xml", &document("1")).unwrap();
        write("operation.xml", &operation("1")).unwrap();
        std::fs::create_dir(folder.path().join("fragments")).unwrap();
        write("fragments/mark.xml", &fragment("1")).unwrap();
        write("grants.toml", "").unwrap();
        let config = Config::load(&folder.path().join("keyward.toml")).unwrap();
        grant(&config, pinned);
        let serves = serve(config).await;
        Self {
            folder,
            serves,
            _backend: backend,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in the place of another, whole.
    fn write(&self, name: &str, text: &str) {
        let new = self.file("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.file(name)).unwrap();
    }

    fn list(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file("keyward.toml")).unwrap();
        assert!(text.contains(from), "{text}");
        self.write("keyward.toml", &text.replace(from, to));
    }

    async fn reload(&self) -> Result<u64, String> {
        reload(&self.serves.gateway).await
    }

    async fn ask(&self) -> Marks {
        let uri = format!("http://{}/v1/charges", self.serves.address);
        let request = Request::get(uri).body(Full::new(Bytes::new())).unwrap();
        let answer = client().request(request).await.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        ["x-document", "x-seen", "x-operation"].map(|name| {
            let value = answer.headers().get(name);
            value.map_or("", |value| value.to_str().unwrap()).to_owned()
        })
    }

    async fn stop(self) {
        drop(self.serves.stop);
        self.serves.serving.await.unwrap();
    }
}

/// Makes the vault, with the secret that the document asks for, and its grant.
fn grant(config: &Config, pinned: bool) {
    let files = config.vault_files();
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let secret = SecretName::parse("billing-key").unwrap();
    let value = Secret::read_from(&b"key-of-the-backend"[..], 4096).unwrap();
    vault.add(&secret, Kind::ApiKey, value, &actor()).unwrap();
    let value = ValueName::parse("key").unwrap();
    let is = NamedValue::Secret(secret);
    vault.set_value(&value, is, [].into(), &actor()).unwrap();
    let values = Values::of(&vault);
    let config = config.resolve(&values).unwrap();
    let documents = CompiledDocuments::of(&config, &config.in_documents(Some(&values))).unwrap();
    let runs = documents.runs(&PolicyName::parse("document").unwrap());
    let alias = runs.unwrap().asks[0].alias.clone();
    let grants = config.grants.as_ref().unwrap();
    std::fs::write(grants, GRANT.replace("ALIAS", alias.as_str())).unwrap();
    if pinned {
        let grants = read_grants(&config).unwrap();
        let lock = Lock::pin(
            &grants,
            &vault.list(),
            &components(&config, Some(&documents)),
        );
        std::fs::write(lock_path(&config).unwrap(), lock.unwrap().to_toml()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_a_fragment_and_a_list_that_changed_count_from_the_next_reload_on() {
    let documents = Documents::start(false, false).await;
    assert_eq!(documents.ask().await, marks("1", "1", ""));
    documents.write("api.xml", &document("2"));
    assert_eq!(documents.ask().await, marks("1", "1", ""), "not by itself");
    assert_eq!(documents.reload().await, Ok(2));
    assert_eq!(documents.ask().await, marks("2", "1", ""));
    documents.write("fragments/mark.xml", &fragment("2"));
    assert_eq!(documents.reload().await, Ok(3));
    assert_eq!(documents.ask().await, marks("2", "2", ""));
    documents.list("[\"api.xml\"]", "[\"api.xml\", \"operation.xml\"]");
    assert_eq!(documents.reload().await, Ok(4));
    assert_eq!(documents.ask().await, marks("2", "2", "1"));
    documents.list("[\"api.xml\", ", "[");
    assert_eq!(documents.reload().await, Ok(5));
    assert_eq!(documents.ask().await, marks("", "", "1"));
    documents.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_no_longer_compiles_leaves_the_old_one_in_force_and_says_why() {
    let documents = Documents::start(false, false).await;
    let good = document("2");
    for (name, broken, says) in [
        ("api.xml", "<policies><inbound>".to_owned(), "api.xml:1:"),
        (
            "api.xml",
            good.replace("<base/><include", "<set-headr/><include"),
            "set-headr",
        ),
        (
            "api.xml",
            good.replace("<value>2", "<value>@(context.Nothing)"),
            "Nothing",
        ),
        (
            "api.xml",
            good.replace("\"mark\"", "\"gone\""),
            "there is no policy fragment",
        ),
        (
            "api.xml",
            good.replace("<value>2", "<value>@(\"{{key}}\")"),
            "is secret",
        ),
        (
            "fragments/mark.xml",
            fragment("2").replace("fragment>", "frgment>"),
            "mark.xml",
        ),
    ] {
        let old = std::fs::read_to_string(documents.file(name)).unwrap();
        documents.write(name, &broken);
        let error = documents.reload().await.unwrap_err();
        assert!(error.contains(says), "{says}: {error}");
        assert_eq!(documents.ask().await, marks("1", "1", ""), "{says}");
        documents.write(name, &old);
    }
    std::fs::remove_file(documents.file("api.xml")).unwrap();
    let error = documents.reload().await.unwrap_err();
    assert!(error.contains("api.xml"), "{error}");
    assert_eq!(documents.ask().await, marks("1", "1", ""));
    let metrics = documents.serves.gateway.metrics();
    assert!(metrics.contains("keyward_config_last_reload_ok 0\n"));
    // Control: one that is in order is taken after all of that.
    documents.write("api.xml", &good);
    assert_eq!(documents.reload().await, Ok(2));
    assert_eq!(documents.ask().await, marks("2", "1", ""));
    documents.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_are_pinned_to_a_document_drift_when_it_or_its_fragment_changes() {
    let documents = Documents::start(false, true).await;
    assert_eq!(documents.reload().await, Ok(2), "nothing has changed");
    for (name, old, new) in [
        ("api.xml", document("1"), document("2")),
        ("fragments/mark.xml", fragment("1"), fragment("2")),
    ] {
        documents.write(name, &new);
        let error = documents.reload().await.unwrap_err();
        assert!(
            error.contains("document") && error.contains("pin"),
            "{error}"
        );
        assert_eq!(documents.ask().await, marks("1", "1", ""), "{name}");
        documents.write(name, &old);
    }
    // Control: without the pins the change counts.
    documents.write("api.xml", &document("2"));
    std::fs::remove_file(documents.file("grants.lock")).unwrap();
    assert_eq!(documents.reload().await, Ok(3));
    assert_eq!(documents.ask().await, marks("2", "1", ""));
    documents.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_and_a_changed_fragment_are_seen_where_files_are_watched() {
    let documents = Documents::start(true, false).await;
    let began = Instant::now();
    let waits = async |expected: Marks| {
        while documents.ask().await != expected {
            assert!(began.elapsed() < Duration::from_secs(60), "not seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    documents.write("api.xml", &document("2"));
    waits(marks("2", "1", "")).await;
    documents.write("fragments/mark.xml", &fragment("2"));
    waits(marks("2", "2", "")).await;
    // One that is broken is not taken, and the next one is.
    documents.write("api.xml", "<policies>");
    let failed = "keyward_config_reloads_total{result=\"failed\"}";
    while !documents.serves.gateway.metrics().contains(failed) {
        assert!(began.elapsed() < Duration::from_secs(60), "not seen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(documents.ask().await, marks("2", "2", ""));
    documents.write("api.xml", &document("3"));
    waits(marks("3", "2", "")).await;
    documents.stop().await;
}
