//! Each shipped policy as a real component, in a real gateway: what it decides,
//! and what the backend and the client then see. The decisions themselves are
//! tested natively, beside each policy.
#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod attach_api_key;
mod aws_sigv4;
mod azure_sas;
mod azure_storage;
mod basic_auth;
mod cors;
mod document;
mod documents;
mod documents_forward;
mod encrypt_field;
mod folder;
mod ip_filter;
mod lookup_postgres;
mod mtls_backend;
mod named_values;
mod oauth2_client_credentials;
mod rate_limit;
mod require_client_key;
mod require_jwt;
mod set_headers;
mod sign_request;
mod simulation;
mod suites;
mod verify_webhook;
mod vouch_for_user;

#[test]
fn every_shipped_policy_has_a_file_here() {
    let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-policies");
    for entry in std::fs::read_dir(policies).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // The recipes have suites.
        if ["sdk", "cookbook"].contains(&&*name) || !path.join("Cargo.toml").exists() {
            continue;
        }
        let test = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("policies")
            .join(format!("{}.rs", name.replace('-', "_")));
        assert!(test.exists(), "policy {name} has no {}", test.display());
    }
}
