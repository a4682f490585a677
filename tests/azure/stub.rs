//! A pretended Azure that serves until its input ends: `azure-stub NAME=VALUE …` holds
//! these secrets. It prints what a client needs as lines of `KEY=VALUE`.

#![expect(clippy::print_stdout, reason = "this is what it is for")]

use std::io::Read as _;

use keyward_tests::key_vault::{Azure, RESOURCE, TENANT};

fn main() -> std::io::Result<()> {
    let azure = Azure::start();
    azure.name_authority(&azure.url());
    for argument in std::env::args().skip(1) {
        if let Some((name, value)) = argument.split_once('=') {
            azure.change(|state| state.set(name, value));
        }
    }
    let directory = tempfile::tempdir()?;
    let roots = directory.path().join("authority.pem");
    std::fs::write(&roots, azure.authority_pem())?;
    println!("VAULT={}", azure.url());
    println!("AUTHORITY={}", azure.url());
    println!("TENANT={TENANT}");
    println!("RESOURCE={RESOURCE}");
    println!("ROOTS={}", roots.display());
    println!("IDENTITY_ENDPOINT={}", azure.imds_url());
    // Until whoever started it is done.
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
