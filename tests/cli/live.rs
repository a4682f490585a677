//! `keyward document run --live`: a real request with a real secret, of which nothing is
//! shown, and that the audit trail has.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use keyward_tests::{Backend, Canary, policy_file};
use tempfile::TempDir;

use crate::binary::{keyward, new_gateway};
use crate::running::Serving;

const DOCUMENT: &str = r#"<policies><inbound><base/>
    <set-header name="x-api-key"><value>{{key}}</value></set-header>
  </inbound><backend><base/></backend><outbound>
    <set-header name="x-by"><value>keyward</value></set-header>
  </outbound><on-error/></policies>"#;

const GRANT: &str = r#"
[[grant]]
id = "pay"
policy = "document"
secret = "billing-key"
alias = "billing-key.x-api-key"
use = "attach"
header = "x-api-key"
to = [{ route = "billing", paths = ["/v1/{what}"] }]
"#;

/// A gateway whose pipeline at `/v1` has a document that attaches a secret.
struct Gateway {
    folder: TempDir,
    key: Canary,
}

impl Gateway {
    fn to(backend: &str) -> Self {
        let (folder, key) = (new_gateway(), Canary::new());
        let gateway = Self { folder, key };
        let file = gateway.path().join("keyward.toml");
        let text = fs::read_to_string(&file).unwrap();
        let component = policy_file("document").display().to_string();
        let text = format!(
            "{text}\n[[route]]\nname = \"billing\"\nurl = \"{backend}\"\n\
             [[policy]]\nname = \"document\"\ncomponent = \"{component}\"\n\
             [[pipeline]]\npath = \"/v1\"\nroute = \"billing\"\ndocument = \"billing.xml\"\n"
        );
        fs::write(file, text).unwrap();
        fs::write(gateway.path().join("billing.xml"), DOCUMENT).unwrap();
        fs::write(gateway.path().join("other.xml"), DOCUMENT).unwrap();
        fs::write(gateway.path().join("grants.toml"), GRANT).unwrap();
        let set = ["secret", "set", "billing-key", "--kind", "api-key"];
        let set = gateway.keyward(&set, gateway.key.text());
        assert!(set.status.success(), "{set:?}");
        let set = ["value", "set", "key", "--secret", "billing-key"];
        let set = gateway.keyward(&set, "");
        assert!(set.status.success(), "{set:?}");
        gateway
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn keyward(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = keyward(self.path(), arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that takes no input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Runs the document on a request; the exit code and all that was said.
    fn live(&self, more: &[&str]) -> (i32, String) {
        let run = ["document", "run", "billing.xml", "--live"];
        let output = self.keyward(&[&run[..], more].concat(), "");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains(self.key.text()), "{said}");
        (output.status.code().unwrap(), said)
    }

    fn audit(&self, more: &[&str]) -> String {
        let output = self.keyward(&[&["audit", "query"], more].concat(), "");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A backend that sends back what it was sent, where it is asked for `/v1/mirror`.
async fn backend() -> Backend {
    Backend::answering(|received| {
        let body = match received.target.ends_with("/mirror") {
            true => received.everything(),
            false => b"three charges".to_vec(),
        };
        Response::new(Full::new(Bytes::from(body)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_run_sends_the_secret_shows_none_of_it_and_is_in_the_trail() {
    let backend = backend().await;
    let gateway = Gateway::to(&backend.url());
    let (code, said) = gateway.live(&["--yes", "--request", "GET /v1/charges?x=1"]);
    assert_eq!(code, 0, "{said}");
    for shown in [
        "GET /v1/charges?x=1",
        "inbound   document: proceed",
        "billing: 200",
        "the client got 200",
        "x-by: keyward",
        "three charges",
        "attach secret billing-key version 1 by grant pay",
    ] {
        assert!(said.contains(shown), "no {shown:?}:\n{said}");
    }
    let received = backend.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].target, "GET /v1/charges?x=1");
    assert_eq!(received[0].header("x-api-key"), Some(gateway.key.text()));
    // Who ran it, and what was used.
    let uses = gateway.audit(&["--secret", "billing-key", "--grant", "pay"]);
    assert!(uses.contains("policy document attach"), "{uses}");
    let acts = gateway.audit(&["--act", "grants-loaded"]);
    assert!(acts.contains("document run --live"), "{acts}");
    let verified = gateway.keyward(&["audit", "verify"], "");
    assert!(verified.status.success(), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_sends_the_secret_back_is_kept_from_the_terminal() {
    let backend = backend().await;
    let gateway = Gateway::to(&backend.url());
    let (code, said) = gateway.live(&["--yes", "--request", "GET /v1/mirror"]);
    assert_eq!(code, 1, "{said}");
    // Control: it was sent, and so came back.
    let received = backend.received();
    assert_eq!(received[0].header("x-api-key"), Some(gateway.key.text()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_run_needs_a_yes_a_grant_and_the_vault_to_itself() {
    let backend = backend().await;
    let gateway = Gateway::to(&backend.url());
    let charges = ["--request", "GET /v1/charges"];
    let yes = ["--yes", "--request", "GET /v1/charges"];
    let (code, said) = gateway.live(&charges);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("leaves for billing (http://127.0.0.1:"),
        "{said}"
    );
    let (code, said) = gateway.live(&["--yes", "--request", "GET /v2/charges"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("what is below /v1"), "{said}");
    let other = ["document", "run", "other.xml", "--live", "--yes"];
    let other = gateway.keyward(&[&other[..], &charges].concat(), "");
    let said = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("/v1: billing.xml"), "{said}");
    let (code, said) = gateway.live(&["--answer", "200"]);
    assert_eq!(code, 2, "{said}");

    let serving = Serving::with(gateway.path(), &[]);
    let (code, said) = gateway.live(&yes);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("a gateway is running here"), "{said}");
    assert!(serving.stop().0.success());

    fs::write(gateway.path().join("grants.toml"), "").unwrap();
    let (code, said) = gateway.live(&yes);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not-granted"), "{said}");
    assert!(backend.received().is_empty());

    // Control: with its grant, alone, and with a yes, it is sent.
    fs::write(gateway.path().join("grants.toml"), GRANT).unwrap();
    let (code, said) = gateway.live(&yes);
    assert_eq!(code, 0, "{said}");
    assert_eq!(backend.received().len(), 1);
}

/// Requests that the listener refuses before any policy sees them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_run_is_refused_what_a_listener_refuses() {
    let backend = backend().await;
    let gateway = Gateway::to(&backend.url());
    let yes = ["--yes", "--request", "GET /v1/charges"];
    let with = |header: &'static str| [&yes[..], &["--header", header]].concat();
    let (code, said) = gateway.live(&with("x_user: ann"));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the client got 400"), "{said}");
    assert!(backend.received().is_empty());

    // What names another path, and what belongs to a connection, does not go on.
    for left_out in ["x-original-url: /admin", "keep-alive: 5"] {
        let (code, said) = gateway.live(&with(left_out));
        assert_eq!(code, 0, "{said}");
    }
    let (code, said) = gateway.live(&["--yes", "--request", "GET /v1/%63harges"]);
    assert_eq!(code, 0, "{said}");
    let received = backend.received();
    assert_eq!(received.len(), 3);
    for request in &received {
        assert_eq!(request.target, "GET /v1/charges");
        assert_eq!(request.header("x-original-url"), None);
        assert_eq!(request.header("keep-alive"), None);
    }

    // Control: another header is taken and goes on.
    let (code, said) = gateway.live(&with("x-user: ann"));
    assert_eq!(code, 0, "{said}");
    let received = backend.received();
    assert_eq!(received.last().unwrap().header("x-user"), Some("ann"));
}

#[test]
fn a_yes_to_a_run_that_sends_nothing_is_a_mistake_that_is_said() {
    let gateway = Gateway::to("http://127.0.0.1:1");
    let run = |more: &[&str]| {
        let run = ["document", "run", "billing.xml", "--request", "GET /v1/a"];
        let output = gateway.keyward(&[&run[..], more].concat(), "");
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), said)
    };
    for yes in ["--yes", "-y"] {
        let (code, said) = run(&[yes]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("add --live to send the request"), "{said}");
    }
    // Control: without it the request is played.
    let (code, said) = run(&[]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_request_to_the_pipelines_own_route_is_refused_until_that_is_open() {
    let gateway = Gateway::to("https://billing.example");
    let call = "<inbound><base/><send-request response-variable-name=\"r\">\
                <set-url>https://billing.example/rates</set-url><set-method>GET</set-method></send-request>";
    let document = DOCUMENT.replace("<inbound><base/>", call);
    fs::write(gateway.path().join("billing.xml"), document).unwrap();
    fs::write(gateway.path().join("other.xml"), DOCUMENT).unwrap();
    let keyward = |arguments: &[&str]| {
        let output = gateway.keyward(arguments, "");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let (sound, said) = keyward(&["doctor"]);
    assert!(!sound, "{said}");
    for shown in [
        "is the pipeline's",
        "billing.xml:1",
        "routes = [\"billing\"]",
    ] {
        assert!(said.contains(shown), "no {shown:?}:\n{said}");
    }
    // What would be granted names what is to be opened.
    let (_, said) = keyward(&["document", "grants", "billing.xml"]);
    let open = "In the [[policy]] \"document\": routes = [\"billing\"]";
    assert!(said.contains(open), "{said}");
    // Control: it is open.
    let file = gateway.path().join("keyward.toml");
    let text = fs::read_to_string(&file).unwrap();
    let name = "name = \"document\"\n";
    let text = text.replace(name, &format!("{name}routes = [\"billing\"]\n"));
    fs::write(file, text).unwrap();
    let (_, said) = keyward(&["doctor"]);
    assert!(!said.contains("is the pipeline's"), "{said}");
    let (_, said) = keyward(&["document", "grants", "billing.xml"]);
    assert!(!said.contains(open), "{said}");
}
