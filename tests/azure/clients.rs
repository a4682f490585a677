//! The pretended Azure is accepted by Microsoft's own clients, in Python: what they
//! can do with it is as they expect it, and what is refused they tell as what it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_tests::key_vault::{Assigned, Azure, FEDERATED_TOKEN, IDENTITY_HEADER, TENANT};
use keyward_tests::key_vault::{Place, WORKLOAD_CLIENT};

const CLIENT: &str = "aaaaaaaa-0000-1111-2222-333333333333";
const OBJECT: &str = "bbbbbbbb-0000-1111-2222-333333333333";
const RESOURCE_ID: &str = "/subscriptions/0/x";

fn packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python-azure")
}

/// Runs a part of `clients.py` and returns what it printed.
fn python(azure: &Azure, part: &str, variables: &[(&str, &str)]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("azure/clients.py");
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("authority.pem");
    std::fs::write(&roots, azure.authority_pem()).unwrap();
    let mut command = Command::new("python3");
    command
        .args(["-B".as_ref(), script.as_os_str(), part.as_ref()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory.path())
        .env("PYTHONPATH", packages())
        .env("NO_PROXY", "*")
        .env("REQUESTS_CA_BUNDLE", &roots)
        .env("STUB_PORT", azure.secure().port().to_string())
        .envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{part}: {}\n`cargo xtask setup` installs what it needs",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn imds(azure: &Azure) -> String {
    azure.imds_url()
}

#[test]
fn microsofts_client_for_secrets_accepts_it() {
    let azure = Azure::start();
    let version = azure.change(|state| state.set("stripe-key", "sk_live_first"));
    azure.change(|state| {
        let throttled = (429, "{}".to_owned(), Some("0".to_owned()));
        state.vault_faults.push_back(throttled);
    });
    let imds = imds(&azure);
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str())];
    let printed = python(&azure, "secrets", &variables);
    assert!(
        printed.contains(&format!("first {version} sk_live_first")),
        "{printed}"
    );
    assert!(printed.ends_with("all\n"), "{printed}");
    // It, too, asks without a token first; is then told to come again, and does.
    let seen = azure.seen_at(Place::Vault);
    assert!(!seen[0].has_credential() && seen[1].has_credential());
    assert!(azure.change(|state| state.vault_faults.is_empty()));
    let same = |index: usize| seen[index].has_credential() && seen[index].target == seen[0].target;
    assert!(same(1) && same(2), "{}, {}", seen[1].target, seen[2].target);
    assert_ne!(seen[3].target, seen[0].target, "once, and not again");
}

#[test]
fn microsofts_client_for_certificates_accepts_it() {
    let azure = Azure::start();
    let made = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    // A PFX of another implementation's making, without a password, as vaults hand out.
    let pfx = python(&azure, "pfx", &[("PEM", &pem)]);
    azure.change(|state| {
        state.set_typed("tls", pfx.trim(), Some("application/x-pkcs12"));
        state
            .certificates
            .insert("tls".to_owned(), made.cert.der().to_vec());
    });
    let imds = imds(&azure);
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str())];
    let printed = python(&azure, "certificates", &variables);
    assert!(printed.ends_with("all\n"), "{printed}");
}

#[test]
fn microsofts_client_for_keys_accepts_it() {
    let azure = Azure::start();
    azure.change(|state| state.add_key("master"));
    let imds = imds(&azure);
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str())];
    let printed = python(&azure, "keys", &variables);
    assert!(printed.ends_with("all\n"), "{printed}");
}

/// A vault with one secret, and an identity that is assigned to the machine.
fn assigned() -> Azure {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("stripe-key", "sk_live_first");
        state.assigned.push(Assigned {
            client_id: CLIENT.to_owned(),
            object_id: OBJECT.to_owned(),
            resource_id: RESOURCE_ID.to_owned(),
        });
    });
    azure
}

/// Has Microsoft's credential name an identity in each way, on a platform that is told
/// by these variables. Returns what it asked for.
fn named(azure: &Azure, place: Place, variables: &[(&str, &str)]) -> String {
    let assigned = format!("client_id={CLIENT} object_id={OBJECT} resource_id={RESOURCE_ID}");
    let mut variables = variables.to_vec();
    variables.push(("ASSIGNED", &assigned));
    let printed = python(azure, "managed", &variables);
    assert!(printed.ends_with("all\n"), "{printed}");
    let seen = azure.seen_at(place);
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    targets.join("\n")
}

#[test]
fn microsofts_credentials_accept_its_identity_endpoints() {
    // Numbers are texts, or numbers.
    for plain_numbers in [false, true] {
        let azure = assigned();
        azure.change(|state| state.plain_numbers = plain_numbers);
        let imds = imds(&azure);
        let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str())];
        let asked = named(&azure, Place::Imds, &variables);
        let id = RESOURCE_ID;
        for parameter in [
            format!("client_id={CLIENT}"),
            format!("object_id={OBJECT}"),
            format!("msi_res_id={id}"),
        ] {
            assert!(asked.contains(&parameter), "{parameter}: {asked}");
        }

        let endpoint = format!("http://{}/msi/token", azure.plain());
        let variables = [
            ("IDENTITY_ENDPOINT", endpoint.as_str()),
            ("IDENTITY_HEADER", IDENTITY_HEADER),
        ];
        let asked = named(&azure, Place::AppService, &variables);
        for parameter in [
            format!("client_id={CLIENT}"),
            format!("object_id={OBJECT}"),
            format!("mi_res_id={id}"),
        ] {
            assert!(asked.contains(&parameter), "{parameter}: {asked}");
        }
    }
}

#[test]
fn microsofts_credential_for_workloads_accepts_its_authority() {
    let azure = assigned();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FEDERATED_TOKEN).unwrap();
    let printed = python(
        &azure,
        "workload",
        &[
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", WORKLOAD_CLIENT),
            ("AZURE_FEDERATED_TOKEN_FILE", file.path().to_str().unwrap()),
        ],
    );
    assert!(printed.ends_with("all\n"), "{printed}");
    assert!(!azure.seen_at(Place::Authority).is_empty());
}

/// That Microsoft's client looks at what the stub says, and not only at what it wants.
#[test]
fn control_a_challenge_for_another_resource_is_refused_by_microsofts_client() {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("stripe-key", "sk_live_first");
        state.challenge = keyward_tests::key_vault::Challenge::Says(vec![format!(
            r#"Bearer authorization="https://login.microsoftonline.com/{TENANT}", resource="https://evil.example""#
        )]);
    });
    let imds = imds(&azure);
    let variables = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", imds.as_str())];
    let printed = python(&azure, "refuses", &variables);
    assert!(printed.ends_with("all\n"), "{printed}");
}
