//! Reads a secret, opens a master key, and tells on standard output when the source
//! is idle and when it is gone. Each line of standard input lets it go on.
//!
//! It links nothing of the pretended Azure, whose texts would be found.

#![expect(clippy::unwrap_used, reason = "what tests are made of may panic")]
#![expect(clippy::print_stdout, reason = "this is how it tells")]

use data_encoding::HEXLOWER;
use keyward::egress::{Dialer, Roots};
use keyward::names::SourceName;
use keyward::sources::key_vault::{KeyVault, KeyVaultSettings};
use keyward::sources::managed_identity::Surroundings;
use keyward::sources::{KeyWrapper as _, Source as _};

/// Arguments: URL, IMDS, tenant, resource, roots, key, wrapped key in hexadecimal.
pub(crate) fn run() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, imds, tenant, resource, roots, key, wrapped] = arguments.try_into().unwrap();
    let mut settings = KeyVaultSettings::new(&url, &tenant);
    settings.authority = Some(url);
    settings.resource = Some(resource);
    settings.identity_endpoint = Some(imds);
    settings.roots = Roots::Pem(std::fs::read(roots).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let name = SourceName::parse("azure").unwrap();
        let vault = KeyVault::new(
            name,
            &settings,
            &Surroundings::default(),
            &Dialer::default(),
        );
        let vault = vault.unwrap();
        for secret in ["plain", "escaped"] {
            drop(vault.fetch(secret).await.unwrap());
        }
        let wrapped = HEXLOWER.decode(wrapped.as_bytes()).unwrap();
        // Ends with its own memory: what is moved through a future stands in it.
        Box::pin(async { drop(vault.unwrap(&key, &wrapped).await.unwrap()) }).await;
        tell("idle").await;
        drop(vault);
        tell("gone").await;
    });
}

/// Waits without standing in the way of what runs besides.
async fn tell(line: &str) {
    println!("{line}");
    let read = || std::io::stdin().read_line(&mut String::new());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
}
