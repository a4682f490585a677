//! Every form of every value is found however a body is cut, and finding takes
//! time in the length of the body alone.

use std::sync::Arc;

use super::*;
use crate::forms::forms;
use crate::guard::matcher::{Extent, Matcher, steps_of};
use crate::secret::Secret;

/// Random re-chunkings of each test.
const ROUNDS: usize = 10_000;

/// A value of visible ASCII, as keys are.
fn value(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    let visible = |_| random.u8(b'!'..=b'~');
    (0..length).map(visible).collect()
}

/// Text that has some of what forms have.
fn filler(random: &mut fastrand::Rng, form: &[u8], length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        match random.u8(..4) {
            0 => text.extend((0..random.usize(..20)).map(|_| random.u8(..))),
            1 => text.extend_from_slice(br#"{"id": 17, "name": "an order", "open": true}"#),
            2 => text.extend((0..random.usize(..40)).map(|_| random.alphanumeric() as u8)),
            // A start of the form, and then not the rest.
            _ => {
                let part = random.usize(..form.len());
                text.extend_from_slice(&form[..part]);
                text.push(form[part].wrapping_add(1));
            }
        }
    }
    text
}

fn cut_randomly<'a>(random: &mut fastrand::Rng, body: &'a [u8]) -> Vec<&'a [u8]> {
    let most = [1, 2, 5, 17, 64, 300, 2000][random.usize(..7)];
    let mut rest = body;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(random.usize(..=most).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Whether a body in chunks is stopped, having released nothing of the form that
/// starts at `from`; the rest of what it must not do.
fn is_stopped(guard: &Guard, chunks: &[&[u8]], from: usize) -> bool {
    let mut stream = guard.stream(true);
    let mut released = 0;
    for chunk in chunks {
        match stream.push(Bytes::copy_from_slice(chunk)) {
            Ok(clean) => released += clean.len(),
            Err(_) => {
                assert!(released <= from, "{released} bytes, the form is at {from}");
                return true;
            }
        }
    }
    false
}

#[test]
fn every_form_is_found_under_ten_thousand_random_rechunkings() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut tried = 0;
    while tried < ROUNDS {
        let length = [16, 17, 18, 24, 32, 43, 64, 200][random.usize(..8)];
        let value = value(&mut random, length);
        let guard = guard_of(&[&value]);
        for form in forms(&value) {
            for _ in 0..10 {
                let before = random.usize(..300);
                let mut body = filler(&mut random, &form, before);
                let from = body.len();
                body.extend_from_slice(&form);
                let after = random.usize(..300);
                body.extend(filler(&mut random, &form, after));
                let chunks = cut_randomly(&mut random, &body);
                assert!(is_stopped(&guard, &chunks, from), "round {tried}");
                tried += 1;
            }
        }
    }
}

#[test]
fn control_without_a_guard_every_form_passes() {
    let mut random = fastrand::Rng::with_seed(4);
    let value = value(&mut random, 16);
    for form in forms(&value) {
        let body = [b"before ".as_slice(), &form, b" after"].concat();
        let chunks = cut_randomly(&mut random, &body);
        assert!(!is_stopped(&guard_of(&[]), &chunks, 7));
        assert!(is_stopped(&guard_of(&[&value]), &chunks, 7));
    }
}

#[test]
fn each_of_256_values_is_found_and_told_apart() {
    let mut random = fastrand::Rng::with_seed(5);
    let values: Vec<_> = (0..256)
        .map(|index| value(&mut random, 16 + index % 40))
        .collect();
    let borrowed: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let guard = guard_of(&borrowed);
    for (index, value) in values.iter().enumerate() {
        let form = data_encoding::BASE64.encode(value).into_bytes();
        let mut body = filler(&mut random, &form, 500);
        body.extend_from_slice(value);
        let chunks = cut_randomly(&mut random, &body);
        let found = run(&guard, &chunks).unwrap_err();
        assert_eq!(found.grant.as_str(), format!("grant-{index}"));
    }
    let mut body = filler(&mut random, b"0123456789abcdef", 100_000);
    body.extend_from_slice(&values[3][..10]);
    let chunks = cut_randomly(&mut random, &body);
    assert_eq!(run(&guard, &chunks).unwrap(), body);
}

/// What a naive search says, byte by byte.
fn occurs(forms: &[zeroize::Zeroizing<Vec<u8>>], text: &[u8]) -> bool {
    let occurs = |form: &[u8]| text.windows(form.len()).any(|window| window == form);
    forms.iter().any(|form| occurs(form))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Values and texts over few letters, where starts of forms overlap in every way.
    #[test]
    fn the_guard_finds_what_a_naive_search_finds(
        value in "[ab]{8,20}",
        text in prop::collection::vec(prop::sample::select(b"abab%6".to_vec()), 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        with in any::<Option<prop::sample::Index>>(),
    ) {
        let mut text = text;
        if let Some(at) = with {
            let at = at.index(text.len() + 1);
            text.splice(at..at, value.bytes());
        }
        let expected = occurs(&forms(value.as_bytes()), &text);
        let result = run(&guard_of(&[value.as_bytes()]), &cut(&text, &cuts));
        prop_assert_eq!(result.is_err(), expected);
        if let Ok(out) = result {
            prop_assert_eq!(out, text);
        }
    }

    #[test]
    fn a_search_of_what_is_not_passed_on_finds_the_same(
        value in "[!-~]{12,40}",
        filler in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let guard = guard_of(&[value.as_bytes()]);
        let mut stream = guard.stream(true);
        let body = [filler.as_slice(), value.as_bytes(), &filler].concat();
        let mut result = Ok(0);
        for chunk in cut(&body, &cuts) {
            result = stream.search(chunk);
            if result.is_err() {
                break;
            }
            prop_assert_eq!(stream.held(), result.clone().unwrap());
        }
        prop_assert!(result.is_err());
    }
}

#[test]
fn no_byte_is_read_twice_whatever_a_backend_sends() {
    let value = b"abababababababababababababababac";
    let matcher = Arc::new(Matcher::new([(0, &Secret::copy_of(value), Extent::Whole)]));
    let texts = [
        // Starts of the value, one after the other.
        b"abababababababababababababababab".repeat(4000),
        // All but the last byte.
        value[..31].repeat(4000),
        // Its grams, far apart.
        b"abab............................".repeat(4000),
        b"a".repeat(128_000),
    ];
    for text in &texts {
        for size in [1, 7, 64, 4096, text.len()] {
            let mut state = matcher.start();
            let steps = steps_of(|| {
                for chunk in text.chunks(size) {
                    state = matcher.follow(state, chunk).unwrap();
                }
            });
            assert!(steps <= text.len() as u64, "{steps} by {size}");
        }
    }
}

#[test]
fn of_other_text_the_automaton_reads_little() {
    let matcher = Matcher::new([(
        0,
        &Secret::copy_of(b"sk-live-7fQ2mX9vLr4TzN8bWc3Kd6Hs"),
        Extent::Whole,
    )]);
    let text = br#"{"id": 17, "name": "an order", "open": true}"#.repeat(10_000);
    let steps = steps_of(|| matcher.passes(&text).unwrap());
    assert!(steps < text.len() as u64 / 10, "{steps} of {}", text.len());
}
