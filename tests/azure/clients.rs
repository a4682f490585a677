//! The pretended Azure is accepted by Microsoft's own clients, in Python: what they
//! can do with it is as they expect it, and what is refused they tell as what it is.

use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_tests::key_vault::{Assigned, Azure, FEDERATED_TOKEN, IDENTITY_HEADER, TENANT};
use keyward_tests::key_vault::{Place, WORKLOAD_CLIENT};

const CLIENT: &str = "aaaaaaaa-0000-1111-2222-333333333333";

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
    // It, too, asks without a token first.
    let seen = azure.seen_at(Place::Vault);
    assert!(!seen[0].has_credential() && seen[1].has_credential());
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

#[test]
fn microsofts_credentials_accept_its_identity_endpoints() {
    let azure = Azure::start();
    azure.change(|state| {
        state.set("stripe-key", "sk_live_first");
        state.assigned.push(Assigned {
            client_id: CLIENT.to_owned(),
            object_id: "bbbbbbbb-0000-1111-2222-333333333333".to_owned(),
            resource_id: "/subscriptions/0/x".to_owned(),
        });
    });
    let imds = imds(&azure);
    let printed = python(
        &azure,
        "managed",
        &[
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &imds),
            ("ASSIGNED", CLIENT),
        ],
    );
    assert!(printed.ends_with("all\n"), "{printed}");
    assert!(!azure.seen_at(Place::Imds).is_empty());

    let endpoint = format!("http://{}/msi/token", azure.plain());
    let printed = python(
        &azure,
        "managed",
        &[
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", IDENTITY_HEADER),
            ("ASSIGNED", CLIENT),
        ],
    );
    assert!(printed.ends_with("all\n"), "{printed}");
    assert!(!azure.seen_at(Place::AppService).is_empty());

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
