//! Whether the time that an answer takes says anything about a secret: Welch's t-test
//! over a million samples of each of two classes of inputs, in the way of dudect
//! (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", 2017).
//!
//! The two classes of a measurement take turns by chance, so that whatever else the
//! machine does falls on both. The slowest hundredth, which is the machine's, is left
//! out. |t| below 4.5 says that no difference was found, not that there is none. The
//! controls are the same measurements of a comparison that ends at the first difference:
//! there the difference must be found, or the measurement finds nothing.
//!
//! Start it with `cargo xtask timing`, on a machine that does nothing else. It ends with
//! failure where a claim or a control does not hold.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement prints and may panic"
)]

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use http::Request;
use keyward_names::{Alias, ComponentDigest, PolicyName, SecretName};
use keyward_vault::{
    Actor, Ask, Durability, Grants, KeyEncoding, Kind, Ledger, MacAlgorithm, PolicyIdentity,
    Secret, Use, Vault, VaultFiles, new_exchange_id, uses,
};

/// Samples of each class.
const SAMPLES: usize = 1_000_000;
/// What |t| stays below where no difference is found.
const LIMIT: f64 = 4.5;
/// Of 100 samples, how many count.
const KEPT_PERCENT: usize = 99;
const MESSAGE: &[u8] = b"{\"event\":\"paid\",\"amount\":4200}";
/// Where sets of keys and aliases are large, how many of each class.
const MANY: usize = 64;

fn main() -> ExitCode {
    let world = World::new();
    let mut held = true;
    let mut claim = |name: &str, t: f64| {
        let holds = t.abs() < LIMIT;
        held &= holds;
        let word = if holds { "holds" } else { "DOES NOT HOLD" };
        println!("{name:<58} |t| = {:>8.2}  {word}", t.abs());
    };
    claim("verify: a wrong code, first byte or last", world.verify());
    claim(
        "identify: a key like one that is known, or none like it",
        world.identify(),
    );
    claim(
        "name: a secret that is there and not granted, or none",
        world.look_up(),
    );
    let mut control = |name: &str, t: f64| {
        let found = t.abs() >= LIMIT;
        held &= found;
        let word = if found {
            "found, as it must be"
        } else {
            "NOT FOUND"
        };
        println!("{name:<58} |t| = {:>8.2}  {word}", t.abs());
    };
    control(
        "control: a comparison that ends at the first difference",
        early_exit(),
    );
    match held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Numbers that are good enough to take turns by.
struct Turns(u64);

impl Turns {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }
}

/// Measures one operation, which is prepared outside of what is measured.
fn measure<P>(mut prepare: impl FnMut(usize, usize) -> P, mut operate: impl FnMut(P)) -> f64 {
    let mut turns = Turns(0x9e37_79b9_7f4a_7c15);
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    // The first ones warm up.
    for round in 0..2 * SAMPLES + 10_000 {
        let class = turns.next() % 2;
        let prepared = prepare(class, turns.next());
        let start = Instant::now();
        operate(prepared);
        let took = start.elapsed();
        if round >= 10_000 && times[class].len() < SAMPLES {
            times[class].push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    welch(&times)
}

/// Welch's t of what is not among the slowest of both.
fn welch(times: &[Vec<u32>; 2]) -> f64 {
    let mut all: Vec<u32> = times.concat();
    all.sort_unstable();
    let most = all[(all.len() - 1) * KEPT_PERCENT / 100];
    let [one, other] = times.each_ref().map(|times| {
        let kept = times.iter().filter(|time| **time <= most);
        let kept: Vec<f64> = kept.map(|time| f64::from(*time)).collect();
        #[expect(clippy::cast_precision_loss, reason = "a million")]
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let spread = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>();
        (mean, spread / (count - 1.0) / count)
    });
    (one.0 - other.0) / (one.1 + other.1).sqrt()
}

fn early_exit() -> f64 {
    let right = [0x5a_u8; 32];
    let wrong = [at(right, 0), at(right, 31)];
    measure(
        |class, _| wrong[class],
        |code| {
            let mut pairs = right.iter().zip(&code);
            black_box(pairs.all(|(one, other)| black_box(one) == black_box(other)));
        },
    )
}

/// The code with that byte changed.
fn at(mut code: [u8; 32], place: usize) -> [u8; 32] {
    code[place] ^= 0xff;
    code
}

struct World {
    vault: Vault,
    policy: PolicyIdentity,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = VaultFiles::in_directory(directory.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        let actor = Actor {
            name: "timing".to_owned(),
            reason: None,
        };
        let mac = Kind::HmacKey {
            algorithm: MacAlgorithm::Sha256,
            encoding: KeyEncoding::Hex,
        };
        let name = |text: &str| SecretName::parse(text).unwrap();
        vault
            .add(&name("mac"), mac, mac.generate().unwrap(), &actor)
            .unwrap();
        let lines: String = (0..MANY)
            .map(|index| format!("s{index} = {}\n", known(index)))
            .collect();
        let lines = Secret::read_from(lines.as_bytes(), 1 << 20).unwrap();
        vault
            .add(&name("clients"), Kind::ClientKeys, lines, &actor)
            .unwrap();
        for there in names(0) {
            let value = mac.generate().unwrap();
            vault.add(&name(&there), mac, value, &actor).unwrap();
        }
        let grant = |use_: &str, secret: &str, more: &str| {
            format!(
                "[[grant]]\nid = \"{use_}\"\npolicy = \"p\"\nsecret = \"{secret}\"\nalias = \"k\"\nuse = \"{use_}\"\n{more}\n"
            )
        };
        let text = [
            grant("mac-sign", "mac", ""),
            grant("mac-verify", "mac", ""),
            grant("identify", "clients", "header = \"x-key\""),
        ];
        let grants = Grants::parse("grants.toml", &text.concat()).unwrap();
        vault.set_grants(grants, &actor).unwrap();
        let mut aliases: Vec<String> = names(0).chain(names(1)).collect();
        aliases.sort_unstable();
        aliases.push("k".to_owned());
        let asks = aliases.into_iter().flat_map(|alias| {
            let alias = Alias::parse(&alias).unwrap();
            [Use::MacSign, Use::MacVerify, Use::Identify].map(|use_| Ask {
                alias: alias.clone(),
                use_,
            })
        });
        let policy = PolicyIdentity {
            name: PolicyName::parse("p").unwrap(),
            component: ComponentDigest::from_bytes([1; 32]),
            asks: asks.collect(),
        };
        Self {
            vault,
            policy,
            _directory: directory,
        }
    }

    fn ledger(&self) -> Ledger {
        self.vault.begin(new_exchange_id())
    }

    fn verify(&self) -> f64 {
        let mut ledger = self.ledger();
        let permit = self
            .vault
            .permit::<uses::MacSign>(&self.policy, "k", &mut ledger);
        let right = permit.unwrap().sign(MESSAGE).unwrap();
        let right: [u8; 32] = right.as_ref().try_into().unwrap();
        let wrong = [at(right, 0), at(right, 31)];
        measure(
            |class, _| {
                let permit = self
                    .vault
                    .permit::<uses::MacVerify>(&self.policy, "k", &mut ledger);
                (permit.unwrap(), wrong[class])
            },
            |(permit, code)| {
                black_box(permit.verify(MESSAGE, black_box(&code)).unwrap());
            },
        )
    }

    /// Class 0: keys that begin like a known one; class 1: keys that begin like none. Each
    /// is another one: where a few stand for a class, it is their hashes' places in the
    /// table that are compared. Both are made in the same way, or it is their making that
    /// is measured, by what it leaves in the processor.
    fn identify(&self) -> f64 {
        let mut ledger = self.ledger();
        let mut later = self.ledger();
        let beginnings = [0, 1].map(|class| {
            let own = (0..MANY).map(|index| beginning(class, index));
            own.collect::<Vec<_>>()
        });
        measure(
            |class, chance| {
                let key = unknown(&beginnings[class][chance % MANY], chance);
                let request = Request::get("/").header("x-key", key);
                let (mut head, ()) = request.body(()).unwrap().into_parts();
                let presented = self.vault.take_client_keys(&[&self.policy], &mut head);
                let permit = self
                    .vault
                    .permit::<uses::Identify>(&self.policy, "k", &mut ledger);
                (permit.unwrap(), presented)
            },
            |(permit, presented)| {
                assert!(black_box(permit.identify(&presented, &mut later)).is_none());
            },
        )
    }

    /// Class 0: names of secrets that are there and that no grant names; class 1: names
    /// that nothing has.
    fn look_up(&self) -> f64 {
        let mut ledger = self.ledger();
        let aliases = [0, 1].map(|class| names(class).collect::<Vec<_>>());
        // From 32 different ones on, refusals of one exchange are counted together.
        for alias in (0..40).map(|index| format!("filler-{index}")) {
            let permit = self
                .vault
                .permit::<uses::MacSign>(&self.policy, &alias, &mut ledger);
            assert!(permit.is_err());
        }
        measure(
            |class, chance| aliases[class][chance % MANY].as_str(),
            |alias| {
                let permit = self
                    .vault
                    .permit::<uses::MacSign>(&self.policy, alias, &mut ledger);
                assert!(black_box(permit).is_err());
            },
        )
    }
}

fn known(index: usize) -> String {
    format!("client-key-number-{index:04}-abcdefgh")
}

/// All but the last 12 characters of a key that is known, or as many others.
fn beginning(class: usize, index: usize) -> String {
    let known = known(index);
    let kept = &known[..known.len() - 12];
    match class {
        0 => kept.to_owned(),
        _ => kept.bytes().rev().map(char::from).collect(),
    }
}

/// A key that nobody has, as long as those that are known.
fn unknown(beginning: &str, chance: usize) -> String {
    let mut turns = Turns(u64::try_from(chance).unwrap() | 1 << 40);
    let mut key = String::with_capacity(64);
    key.push_str(beginning);
    for _ in 0..12 {
        key.push(char::from(b'a' + u8::try_from(turns.next() % 26).unwrap()));
    }
    key
}

/// Names of one kind, of which those of class 0 are there: neither their place in an order
/// nor their letters tell the classes apart.
fn names(class: u32) -> impl Iterator<Item = String> {
    let all = 0..u32::try_from(2 * MANY).unwrap();
    let own = all.filter(move |index| index.count_ones() % 2 == class);
    own.map(|index| format!("name-{index:04}"))
}
