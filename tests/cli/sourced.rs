//! Secrets of a gateway that come from elsewhere, as `keyward serve` gets them: what
//! SIGHUP fetches, and where the service manager and the environment have them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use keyward_tests::key_vault::{Azure, Place, TENANT};
use keyward_tests::{ATTACH_GRANT, policy_file};

use crate::binary::{keyward, new_gateway};
use crate::signals::{Managed, answering};

const FIRST: &str = "sk-live-9b1f64a07c2e5d83f0a4719ce2b85d36";
const SECOND: &str = "sk-live-47f08b9e1c6a5d2f3e7b40819acd5f26";

/// A backend that says which of the two keys it was sent. It can't answer with the key:
/// the gateway would keep that back.
fn backend() -> SocketAddr {
    answering(|head| {
        let sent = head
            .lines()
            .find_map(|line| line.strip_prefix("x-api-key: "));
        match sent {
            Some(FIRST) => "first",
            Some(SECOND) => "second",
            Some(_) => "another",
            None => "none",
        }
    })
}

/// A gateway that attaches `billing-key`, which comes from that key of `[sources.from]`.
fn configured(source: &str, key: &str, variables: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = new_gateway();
    let made = fs::read_to_string(folder.path().join("keyward.toml")).unwrap();
    let component = policy_file("attach-api-key").display().to_string();
    let backend = backend();
    let text = format!(
        r#"{made}
[sources.from]
{source}
[[route]]
name = "billing"
url = "http://{backend}"
[[policy]]
name = "attach-api-key"
component = "{component}"
[[pipeline]]
path = "/"
route = "billing"
inbound = ["attach-api-key"]
"#
    );
    fs::write(folder.path().join("keyward.toml"), text).unwrap();
    fs::write(folder.path().join("grants.toml"), ATTACH_GRANT).unwrap();
    let from = format!("from:{key}");
    let set = [
        "secret",
        "set",
        "billing-key",
        "--kind",
        "api-key",
        "--from",
    ];
    run(folder.path(), &[&set[..], &[&from]].concat(), variables);
    folder
}

/// Runs a command, which has to go well; what it says.
fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let mut command = keyward(folder, arguments);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

#[test]
fn sighup_fetches_what_has_changed_in_a_source_that_nobody_can_watch() {
    let azure = Azure::start();
    azure.change(|state| state.set("stripe-key", FIRST));
    let source = format!(
        r#"kind = "key-vault"
vault = "{}"
tenant = "{TENANT}"
authority = "https://login.microsoftonline.com"
resource = "https://vault.azure.net"
identity-endpoint = "{}"
networks = ["127.0.0.0/8", "::1/128"]
ca-file = "azure.pem"
refresh = "1h"
"#,
        azure.url(),
        azure.imds_url()
    );
    let pem = tempfile::tempdir().unwrap();
    let file = pem.path().join("azure.pem");
    fs::write(&file, azure.authority_pem()).unwrap();
    let source = source.replace("azure.pem", file.to_str().unwrap());
    let folder = configured(&source, "stripe-key", &[]);
    let managed = Managed::start_with(folder.path(), &[]);
    assert_eq!(managed.told().trim(), "READY=1");
    assert_eq!(managed.get("/v1/charges"), "first");
    azure.change(|state| state.set("stripe-key", SECOND));
    // Control: within the hour nobody asks the vault by himself.
    let asked = azure.seen_at(Place::Vault).len();
    assert_eq!(managed.get("/v1/charges"), "first");
    assert_eq!(azure.seen_at(Place::Vault).len(), asked);
    managed.reload();
    until(&managed, "second");
    // Secrets are fetched even when the configuration can't be read any more.
    azure.change(|state| state.set("stripe-key", FIRST));
    fs::write(folder.path().join("keyward.toml"), "[gateway\n").unwrap();
    managed.reload();
    until(&managed, "first");
}

/// Asks until the backend was sent that key. It is fetched beside what is served.
fn until(managed: &Managed, key: &str) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        match managed.get("/v1/charges") {
            sent if sent == key => return,
            sent => assert!(["first", "second"].contains(&&*sent), "{sent}"),
        }
        assert!(Instant::now() < limit, "the {key} key is never sent");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn credentials_of_the_service_manager_are_a_source_of_files() {
    use std::os::unix::fs::PermissionsExt as _;

    let credentials = tempfile::tempdir().unwrap();
    let file = credentials.path().join("billing");
    fs::write(&file, FIRST).unwrap();
    // As systemd makes them.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(credentials.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let variables = [(
        "CREDENTIALS_DIRECTORY",
        credentials.path().to_str().unwrap(),
    )];
    let folder = configured(
        "kind = \"files\"\ncredentials = true",
        "billing",
        &variables,
    );
    let said = run(
        folder.path(),
        &["source", "check", "from", "billing"],
        &variables,
    );
    assert!(!said.contains("failed"), "{said}");
    let managed = Managed::start_with(folder.path(), &variables);
    assert_eq!(managed.get("/v1/charges"), "first");
    assert!(
        !managed.logged.contains("DEVELOPMENT ONLY"),
        "{}",
        managed.logged
    );
    drop(managed);
    // Control: without the service manager there is no such folder, and it says so.
    let check = keyward(folder.path(), &["config", "check"])
        .output()
        .unwrap();
    assert!(!check.status.success());
    let said = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
    assert!(
        said.contains("`credentials`") && said.contains("LoadCredential"),
        "{said}"
    );
}

#[test]
fn secrets_from_the_environment_are_called_for_development_only_at_each_start() {
    let source = "kind = \"environment\"\ndevelopment = true\nvariables = [\"BILLING_KEY\"]";
    let variables = [("BILLING_KEY", FIRST)];
    let folder = configured(source, "BILLING_KEY", &variables);
    for _ in 0..2 {
        let managed = Managed::start_with(folder.path(), &variables);
        assert_eq!(managed.get("/v1/charges"), "first");
        let warned = managed
            .logged
            .lines()
            .find(|line| line.contains("DEVELOPMENT ONLY"));
        let line: serde_json::Value = serde_json::from_str(warned.unwrap()).unwrap();
        assert_eq!(
            (&line["level"], &line["fields"]["source"]),
            (&"WARN".into(), &"from".into())
        );
        assert!(!managed.logged.contains(FIRST));
    }
}
