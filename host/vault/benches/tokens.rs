//! What a signed token costs (ES256), as a ratio to the library's bare call with a key
//! that is ready: a permit, what the grant says written as JSON, the key read out of
//! encrypted memory and made ready for this one signature. Start it with
//! `cargo xtask bench --only tokens`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and may panic"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName};
use keyward_vault::uses::JwsSign;
use keyward_vault::{
    Actor, Ask, Claims, Durability, Grants, Kind, PolicyIdentity, Secret, Use, Vault, VaultFiles,
    new_exchange_id,
};

const ROUNDS: usize = 9;
const EACH: u32 = 2_000;

const GRANT: &str = "[[grant]]\nid = \"g\"\npolicy = \"p\"\nsecret = \"k\"\nuse = \"jws-sign\"\n\
                     algorithm = \"ES256\"\nissuer = \"https://gateway.example\"\n\
                     audience = \"https://backend.example\"\nreturns = \"jws\"\n";

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let files = VaultFiles::in_directory(directory.path());
    Vault::create(&files).unwrap();
    let vault = Vault::open(&files, Durability::Buffered).unwrap();
    let actor = Actor {
        name: "bench".to_owned(),
        reason: None,
    };
    let made = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    let value = Secret::read_from(pem.as_bytes(), Kind::Certificate.max_bytes()).unwrap();
    let name = SecretName::parse("k").unwrap();
    vault.add(&name, Kind::Certificate, value, &actor).unwrap();
    let grants = Grants::parse("grants.toml", GRANT).unwrap();
    vault.set_grants(grants, &actor).unwrap();
    let policy = PolicyIdentity {
        name: PolicyName::parse("p").unwrap(),
        component: ComponentDigest::from_bytes([1; 32]),
        asks: vec![Ask {
            alias: Alias::parse("k").unwrap(),
            use_: Use::JwsSign,
        }],
    };
    let mut ledger = vault.begin(new_exchange_id());
    let mut token = || {
        let permit = vault.permit::<JwsSign>(&policy, "k", &mut ledger).unwrap();
        permit.sign(&vault, &Claims::default()).unwrap()
    };
    let message = token().rsplit_once('.').unwrap().0.to_owned();
    let der = made.signing_key.serialize_der();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).unwrap();
    let random = SystemRandom::new();
    let bare = || key.sign(&random, message.as_bytes()).unwrap();

    let (ours, theirs) = in_turn(&mut token, bare);
    println!(
        "a token of ES256 {:.1} µs, the bare call {:.1} µs: {:.2} of it",
        micros(ours),
        micros(theirs),
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

/// The best mean of each of two, measured in turn.
fn in_turn<A, B>(mut one: impl FnMut() -> A, other: impl Fn() -> B) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..EACH {
            drop(black_box(one()));
        }
        best.0 = best.0.min(start.elapsed() / EACH);
        let start = Instant::now();
        for _ in 0..EACH {
            drop(black_box(other()));
        }
        best.1 = best.1.min(start.elapsed() / EACH);
    }
    best
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
