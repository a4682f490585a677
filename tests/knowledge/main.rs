//! What an attacker can come to know: a model of the uses of secrets, and a search in it.
//!
//! The attacker writes policies, sends requests, and sits wherever no grant sends
//! anything (Dolev and Yao's attacker, with the vault as the oracle). Each use of a
//! secret is a rule: what the policy is shown, and what the granted backend is sent. What
//! the attacker knows is the closure of what it was shown under what anyone can compute:
//! taking apart and putting together, making a code or opening a box with a key that it
//! knows. Codes and signatures are ideal: they give away neither the key nor another code.
//!
//! Three things must never be in the closure, whatever is granted, asked and answered, in
//! whatever order:
//!
//! 1. the value of a key;
//! 2. a bearer that the host obtained or minted;
//! 3. a proof, under a key that speaks a protocol, of words that the attacker chose: it
//!    could be shown to whoever trusts that key.
//!
//! Sequences are drawn by chance. Which uses a kind permits comes from the product's own
//! table, [`KIND_USES`], and a line in it that has no rule here fails the test, so that
//! nobody adds a use without saying what it shows. Which grants come into force together
//! is what the product's own check says (one key does not both sign anything and vouch
//! for something).
//!
//! What the model does not have: time, lengths, faults, and what a granted backend does
//! with a value of class C on purpose. A backend may reflect what it was sent; the
//! response guard takes values and bearers out of its answers.
//!
//! PKCS#11 is why this is searched for and not argued about: each of its functions was
//! harmless, and two of them together (wrap, then decrypt) gave keys away. That pair is
//! one of the controls.

mod attacker;
mod rules;

use keyward::vault::{FindingFault, Grants, KIND_USES, Kind, Surroundings};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use attacker::{Attacker, Breach, Term};
use rules::{Grant, Step, World, rule_of};

/// How many sequences are drawn.
const SEQUENCES: u32 = 20_000;
/// The longest sequence.
const STEPS: usize = 40;

/// A key of each kind, and two more MAC keys.
fn keys() -> Vec<&'static str> {
    let mut kinds: Vec<&str> = Kind::all().map(|kind| kind.as_str()).collect();
    kinds.dedup();
    kinds.extend(["hmac-key", "hmac-key"]);
    kinds
}

/// Whether the product lets these grants come into force together.
fn come_into_force(grants: &[Grant]) -> bool {
    let text: String = grants
        .iter()
        .filter(|grant| keys()[grant.key] == "hmac-key")
        .map(|grant| {
            let to = match grant.use_ {
                "sign-request" => "to = [{ route = \"r\" }]\n",
                _ => "",
            };
            format!(
                "[[grant]]\nid = \"{use_}-{key}\"\npolicy = \"p\"\nsecret = \"k{key}\"\nuse = \"{use_}\"\n{to}",
                use_ = grant.use_,
                key = grant.key,
            )
        })
        .collect();
    let set = Grants::parse("grants.toml", &text).unwrap_or_else(|error| panic!("{error}"));
    let findings = set.check_against(&Surroundings::default());
    let mut findings = findings.iter();
    !findings.any(|finding| matches!(finding.fault, FindingFault::TwoSigners { .. }))
}

/// Plays a sequence; what the attacker ends up with that it must not have.
fn play(grants: &[Grant], steps: &[Step], world: &World) -> Option<Breach> {
    let keys = keys();
    let mut attacker = Attacker::new(keys.len());
    for step in steps {
        world.step(&keys, grants, step, &mut attacker);
        if let Some(breach) = attacker.breach() {
            return Some(breach);
        }
    }
    None
}

fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let mut cells = Vec::new();
    for (key, kind) in keys().into_iter().enumerate() {
        for cell in KIND_USES.iter().filter(|cell| cell.kind == kind) {
            let use_ = cell.use_.as_str();
            cells.push(Grant { key, use_ });
        }
    }
    let most = cells.len();
    prop::sample::subsequence(cells, 0..=most)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<(u8, u8, u8, u8)>().prop_map(Step::from), 1..STEPS)
}

/// The first breach among many sequences, drawn the same way each time.
fn search(world: &World, with_check: bool) -> Option<Breach> {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    let config = Config::with_cases(SEQUENCES);
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let mut found = None;
    for _ in 0..SEQUENCES {
        let grants = grants().new_tree(&mut runner).expect("a tree").current();
        let steps = steps().new_tree(&mut runner).expect("a tree").current();
        if with_check && !come_into_force(&grants) {
            continue;
        }
        found = found.or_else(|| play(&grants, &steps, world));
        if found.is_some() {
            break;
        }
    }
    found
}

#[test]
fn every_cell_of_the_table_has_a_rule() {
    for cell in KIND_USES {
        assert!(
            rule_of(cell.kind, cell.use_.as_str()).is_some(),
            "{} of {}: say in rules.rs what it shows to the policy and to the backend",
            cell.use_,
            cell.kind,
        );
    }
}

#[test]
fn no_sequence_of_uses_gives_away_a_key_a_bearer_or_a_proof_of_chosen_words() {
    assert_eq!(search(&World::default(), true), None);
}

#[test]
fn control_a_key_that_can_be_exported_is_found() {
    let world = World {
        export: true,
        ..World::default()
    };
    assert!(matches!(search(&world, true), Some(Breach::Key(_))));
}

#[test]
fn control_a_key_that_is_wrapped_under_another_and_opened_is_found() {
    // Each of the two is harmless.
    let world = World {
        wrap: true,
        ..World::default()
    };
    assert!(matches!(search(&world, true), Some(Breach::Key(_))));
    let world = World {
        wrap: true,
        without_open: true,
        ..World::default()
    };
    assert_eq!(search(&world, true), None);
}

#[test]
fn control_a_protocols_key_that_signs_any_bytes_is_found() {
    let world = World {
        sign_anything: true,
        ..World::default()
    };
    assert!(matches!(search(&world, true), Some(Breach::Proof(_))));
}

#[test]
fn control_a_key_that_is_granted_to_make_codes_and_to_vouch_is_found() {
    assert!(matches!(
        search(&World::default(), false),
        Some(Breach::Proof(_))
    ));
}

#[test]
fn control_an_answer_that_is_not_searched_is_found() {
    let world = World {
        unguarded: true,
        ..World::default()
    };
    let found = search(&world, true);
    assert!(
        matches!(found, Some(Breach::Key(_) | Breach::Bearer(_))),
        "{found:?}"
    );
}

#[test]
fn control_the_attacker_computes_what_anyone_can() {
    let mut attacker = Attacker::new(2);
    let word = attacker.word();
    let boxed = Term::Sealed(0, Box::new(Term::Key(1)));
    attacker.sees(Term::Pair(Box::new(word), Box::new(boxed)));
    assert_eq!(attacker.breach(), None);
    attacker.sees(Term::Key(0));
    assert!(attacker.knows(&Term::Key(1)));
}
