//! The page about Azure is played against a pretended one, with a pretended `az`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use keyward_tests::Backend;
use keyward_tests::key_vault::{Assigned, Azure, Place, TENANT};

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

/// The identity that section 4 names.
const CLIENT: &str = "aaaaaaaa-0000-1111-2222-333333333333";

#[test]
fn secrets_of_a_key_vault_are_used_rotated_and_audited_as_the_page_says() {
    let azure = Azure::start();
    azure.change(|state| {
        state.assigned.push(Assigned {
            client_id: CLIENT.to_owned(),
            object_id: "bbbbbbbb-0000-1111-2222-333333333333".to_owned(),
            resource_id: "/subscriptions/0/reader".to_owned(),
        });
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let charges = |_: &_| Response::new(Full::from(Bytes::from_static(b"three charges\n")));
    let backend = runtime.block_on(Backend::answering(charges));
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
            ("http://127.0.0.1:7000".to_owned(), backend.url()),
        ]
    });
    // What Key Vault had is what the backend was sent: the first value in section 5, the
    // second one in section 6. The other secret is the same both times.
    let known = azure.change(|state| state.secrets["stripe-key"].clone());
    let [first, second] = &known[..] else {
        panic!("{} versions", known.len());
    };
    assert_ne!(first.value, second.value);
    let received = backend.received();
    let sent = |name: &str| -> Vec<String> {
        let values = received.iter().filter_map(|received| received.header(name));
        values.map(str::to_owned).collect()
    };
    assert_eq!(sent("x-api-key"), [&*first.value, &*second.value]);
    let partner = sent("x-partner-key");
    assert_eq!(partner.len(), 2);
    assert!(partner[0] == partner[1] && partner[0].len() == 48);
    // Section 4: tokens were asked for as the identity that it names.
    let named = format!("client_id={CLIENT}");
    let asked = azure.seen_at(Place::Imds);
    assert!(asked.iter().any(|seen| seen.target.contains(&named)));
}
