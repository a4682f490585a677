//! Of a token that is one of many, some bytes are enough.

use super::super::matcher::{CORE_BYTES, Extent, Matcher};
use super::*;
use crate::secret::Secret;

/// A JWT of 1.5 KiB, of a head that all have.
fn jwt(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let bytes: Vec<u8> = (0..1100).map(|_| random.u8(..)).collect();
    let text = data_encoding::BASE64URL_NOPAD.encode(&bytes);
    let (claims, signature) = text.split_at(1100);
    format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.{signature}").into_bytes()
}

fn bytes_of(extent: Extent) -> usize {
    let texts = (0..256).flat_map(|number| extent.texts(&jwt(number)));
    texts.map(|text| text.len()).sum()
}

#[test]
fn many_long_tokens_take_little() {
    assert!(bytes_of(Extent::Core) < 512 << 10);
    // A control: all of each would take a lot. Of its own, a request has one or two.
    assert!(bytes_of(Extent::Whole) > 16 << 20);
    assert!(
        Extent::Own
            .texts(&jwt(0))
            .iter()
            .map(|text| text.len())
            .sum::<usize>()
            < 4 << 10
    );
}

#[test]
fn a_core_finds_its_token_in_every_form_and_no_other_token() {
    for extent in [Extent::Core, Extent::Own] {
        let token = jwt(1);
        let matcher = Matcher::new([(0, &Secret::copy_of(&token), extent)]);
        for form in crate::forms::forms(&token) {
            assert!(matcher.passes(&form).is_err(), "{extent:?}");
        }
        for encoded in encodings(&token, b"{\"a\":\"") {
            assert!(matcher.passes(&encoded).is_err(), "{extent:?}");
        }
        // A control.
        assert_eq!(matcher.passes(&jwt(2)), Ok(()));
    }
}

#[test]
fn nothing_of_a_requests_own_token_passes_before_it_is_found() {
    let token = jwt(1);
    let held = |extent| {
        let matcher = Matcher::new([(0, &Secret::copy_of(&token), extent)]);
        let start = &token[..token.len() - CORE_BYTES];
        matcher.live_bytes(matcher.follow(matcher.start(), start).unwrap())
    };
    assert_eq!(held(Extent::Own), token.len() - CORE_BYTES);
    // A control: of another's, all but the core does.
    assert!(held(Extent::Core) < CORE_BYTES);
}

#[test]
fn a_core_is_no_text_that_others_have_by_chance() {
    let padded = [b"7fQ2mX9vLr4TzN8bWc3Kd6Hs".as_slice(), &[b'A'; 100]].concat();
    let matcher = Matcher::new([(0, &Secret::copy_of(&padded), Extent::Core)]);
    assert_eq!(matcher.passes(&[b'A'; 200]), Ok(()));
    assert!(matcher.passes(&padded).is_err());
}
