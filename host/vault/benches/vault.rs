//! What a vault costs as it grows: opening it, rotating a secret, looking a permit
//! up, and the file's length, with 10, 1,000 and 100,000 secrets.
//!
//! Times are of the wall: a rotation waits for the disk. Opening and rotating are
//! the median of a few, a permit the mean of many. Start it with
//! `cargo xtask bench --only vault`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName};
use keyward_vault::uses::MacSign;
use keyward_vault::{
    Actor, Ask, Durability, Grants, KeyEncoding, Kind, MacAlgorithm, PolicyIdentity, Secret, Use,
    Vault, VaultFiles, new_exchange_id,
};

const COUNTS: [usize; 3] = [10, 1_000, 100_000];
const OPENINGS: usize = 5;
const ROTATIONS: usize = 9;
const PERMITS: u32 = 200_000;

const MAC: Kind = Kind::HmacKey {
    algorithm: MacAlgorithm::Sha256,
    encoding: KeyEncoding::Hex,
};

fn main() {
    println!("secrets   open        rotate      permit      file");
    for count in COUNTS {
        measure(count);
    }
}

fn measure(count: usize) {
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let actor = Actor {
        name: "bench".to_owned(),
        reason: None,
    };
    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let secrets = (0..count).map(|index| {
        // Half of them keys for codes, half values that are attached.
        let name = SecretName::parse(&format!("secret-{index}")).unwrap();
        match index % 2 {
            0 => (name, MAC, MAC.generate().unwrap()),
            _ => (name, Kind::ApiKey, Secret::generate(43)),
        }
    });
    vault.add_many(secrets, &actor).unwrap();
    drop(vault);

    let opened = (0..OPENINGS).map(|_| {
        let start = Instant::now();
        let vault = Vault::open(&files, Durability::Strict).unwrap();
        let took = start.elapsed();
        assert_eq!(vault.status().secrets, count);
        took
    });
    let open = median(opened.collect());

    let vault = Vault::open(&files, Durability::Strict).unwrap();
    let name = SecretName::parse("secret-0").unwrap();
    let rotated = (0..ROTATIONS).map(|_| {
        let value = MAC.generate().unwrap();
        let start = Instant::now();
        vault.rotate(&name, value, &actor).unwrap();
        start.elapsed()
    });
    let rotate = median(rotated.collect());

    let permit = permits(&vault, &actor);
    println!(
        "{count:>7}   {:<9}   {:<9}   {:<9}   {:.1} MB",
        shown(open),
        shown(rotate),
        format!("{} ns", permit.as_nanos()),
        vault.status().bytes as f64 / 1e6
    );
}

/// The mean time of a permit for one of the secrets.
fn permits(vault: &Vault, actor: &Actor) -> Duration {
    let grants = "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"secret-2\"\nalias = \"k\"\n\
                  use = \"mac-sign\"\n";
    let grants = Grants::parse("grants.toml", grants).unwrap();
    vault.set_grants(grants, actor).unwrap();
    let policy = PolicyIdentity {
        name: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        asks: vec![Ask {
            alias: Alias::parse("k").unwrap(),
            use_: Use::MacSign,
        }],
    };
    let mut ledger = vault.begin(new_exchange_id());
    let start = Instant::now();
    for _ in 0..PERMITS {
        let permit = vault.permit::<MacSign>(&policy, "k", &mut ledger);
        drop(black_box(permit.unwrap()));
    }
    start.elapsed() / PERMITS
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
