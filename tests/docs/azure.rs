//! The page about Azure is played against a pretended one, with a pretended `az`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use keyward_tests::key_vault::{Azure, TENANT};

use crate::play;

/// Of Azure's command, what the page uses.
const AZ: &str = r#"#!/bin/sh
set -eu
case "$1 $2" in
"account show")
  echo TENANT ;;
"keyvault secret")
  shift 3
  while [ $# -gt 0 ]; do
    case "$1" in --name) name=$2 ;; --file) file=$2 ;; esac
    shift 2
  done
  token=$(curl -sS --fail -H 'metadata: true' "IMDS/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  printf '{"value":"%s"}' "$(cat "$file")" | curl -sS --fail --cacert PEM -X PUT -o /dev/null \
    -H "authorization: Bearer $token" -H 'content-type: application/json' --data-binary @- \
    "VAULT/secrets/$name?api-version=7.4" ;;
*)
  exit 2 ;;
esac
"#;

#[test]
fn secrets_of_a_key_vault_are_used_rotated_and_audited_as_the_page_says() {
    let azure = Azure::start();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/gateway/AZURE.md");
    play::check_in(&page, |root| {
        let pem = root.join("azure.pem");
        fs::write(&pem, azure.authority_pem()).unwrap();
        let az = AZ
            .replace("TENANT", TENANT)
            .replace("IMDS", &azure.imds_url())
            .replace("VAULT", &azure.url())
            .replace("PEM", pem.to_str().unwrap());
        let file = root.join("bin/az");
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(&file, az).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        vec![
            ("https://shop.vault.azure.net".to_owned(), azure.url()),
            ("http://169.254.169.254".to_owned(), azure.imds_url()),
        ]
    });
    // The page has not been played against nothing.
    let asked = azure
        .seen()
        .iter()
        .filter(|seen| seen.has_credential())
        .count();
    assert!(asked >= 3, "{asked}");
}
