//! The guard finds what it should, wherever chunks end, and holds back no more
//! than it must.

#![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod chunks;
mod cores;
mod other_text;

use super::*;
use proptest::prelude::*;

const VALUE: &[u8] = b"sk_live_51HxKeyward/Test+Value==";

fn guard_of(values: &[&[u8]]) -> Guard {
    Guard::of_values(values)
}

/// What comes out of a body in these chunks, or that it was stopped.
fn run(guard: &Guard, chunks: &[&[u8]]) -> Result<Vec<u8>, Reflected> {
    let mut stream = guard.stream(true);
    let mut out = Vec::new();
    for chunk in chunks {
        out.extend_from_slice(&stream.push(Bytes::copy_from_slice(chunk))?);
    }
    out.extend_from_slice(&stream.finish());
    Ok(out)
}

/// Cuts a body at positions drawn at random; some chunks are empty.
fn cut<'a>(body: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.sort_unstable();
    places.push(body.len());
    let mut from = 0;
    places
        .into_iter()
        .map(|to| {
            let chunk = &body[from..to];
            from = to;
            chunk
        })
        .collect()
}

fn encodings(value: &[u8], before: &[u8]) -> Vec<Vec<u8>> {
    let text = [before, value, b"tail"].concat();
    vec![
        text.clone(),
        data_encoding::BASE64.encode(&text).into_bytes(),
        data_encoding::BASE64URL.encode(&text).into_bytes(),
        data_encoding::BASE64_NOPAD.encode(&text).into_bytes(),
        data_encoding::HEXLOWER.encode(&text).into_bytes(),
        data_encoding::HEXUPPER.encode(&text).into_bytes(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_value_is_found_however_the_body_is_cut(
        value in "[!-~]{8,60}",
        before in prop::collection::vec(any::<u8>(), 0..5),
        filler in prop::collection::vec(any::<u8>(), 0..80),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let guard = guard_of(&[VALUE, value.as_bytes()]);
        for encoded in encodings(value.as_bytes(), &before) {
            let body = [filler.as_slice(), &encoded, &filler].concat();
            let result = run(&guard, &cut(&body, &cuts));
            prop_assert_eq!(result.unwrap_err().found, Found::Value);
        }
    }

    #[test]
    fn a_body_without_the_value_passes_unchanged(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                // Starts of the value, which have to be held and let go.
                (0..VALUE.len()).prop_map(|length| VALUE[..length].to_vec()),
            ],
            0..12,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let guard = guard_of(&[VALUE]);
        let body = parts.concat();
        prop_assume!(!body.windows(VALUE.len()).any(|window| window == VALUE));
        let out = run(&guard, &cut(&body, &cuts));
        prop_assert_eq!(out.unwrap(), body);
    }

    #[test]
    fn no_byte_of_a_found_value_is_passed_on_beyond_what_could_not_be_told(
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        // What has come out when the stream is stopped must not reach into the
        // value, whose first byte occurs nowhere before it.
        let guard = guard_of(&[VALUE]);
        let body = [b"........".as_slice(), VALUE, b"........"].concat();
        let (mut stream, mut out) = (guard.stream(true), Vec::new());
        for chunk in cut(&body, &cuts) {
            match stream.push(Bytes::copy_from_slice(chunk)) {
                Ok(released) => out.extend_from_slice(&released),
                Err(_) => break,
            }
        }
        prop_assert!(out.len() <= 8);
    }
}

#[test]
fn every_cut_in_two_and_every_byte_alone_is_seen() {
    let guard = guard_of(&[VALUE]);
    let body = [b"<<".as_slice(), VALUE, b">>"].concat();
    for at in 0..=body.len() {
        assert!(run(&guard, &[&body[..at], &body[at..]]).is_err(), "{at}");
    }
    let bytes: Vec<&[u8]> = body.chunks(1).collect();
    assert!(run(&guard, &bytes).is_err());
}

#[test]
fn nothing_is_held_back_without_a_partial_match() {
    let mut stream = guard_of(&[VALUE]).stream(true);
    for chunk in [
        &b"an ordinary answer!"[..],
        b"{\"id\":1}",
        b"sk_live_52",
        b"\n",
    ] {
        assert_eq!(stream.push(Bytes::from_static(chunk)).unwrap(), chunk);
    }
    assert!(stream.finish().is_empty());
}

#[test]
fn only_the_partial_match_is_held_back_and_the_end_releases_it() {
    let mut stream = guard_of(&[VALUE]).stream(true);
    let released = stream
        .push(Bytes::from_static(b"answer: sk_live_"))
        .unwrap();
    assert_eq!(released, &b"answer: "[..]);
    assert_eq!(stream.finish(), &b"sk_live_"[..]);
    assert!(stream.finish().is_empty());

    let mut stream = guard_of(&[VALUE]).stream(true);
    assert!(
        stream
            .push(Bytes::from_static(b"sk_li"))
            .unwrap()
            .is_empty()
    );
    let released = stream.push(Bytes::from_static(b"sk_live_5 or")).unwrap();
    assert_eq!(released, &b"sk_lisk_live_5 or"[..]);
}

#[test]
fn after_a_find_nothing_passes_any_more() {
    let mut stream = guard_of(&[VALUE]).stream(true);
    assert!(
        stream
            .push(Bytes::from_static(b"sk_live_"))
            .unwrap()
            .is_empty()
    );
    assert!(stream.push(Bytes::from_static(&VALUE[8..])).is_err());
    assert!(stream.push(Bytes::from_static(b"harmless")).is_err());
    assert!(stream.finish().is_empty());
}

#[test]
fn values_that_overlap_themselves_and_each_other_are_found() {
    let (one, two) = (b"abababababac", b"bababababxyz");
    let guard = guard_of(&[one, two]);
    for (body, expected) in [
        (&b"..ababababababababac.."[..], true),
        (b"..abababababababababab", false),
        (b"..ababababababxyz", true),
        (b"..abababababxyabababababac", true),
        (b"..ababababaababababxyz.", false),
    ] {
        for size in 1..body.len() {
            let chunks: Vec<_> = body.chunks(size).collect();
            assert_eq!(
                run(&guard, &chunks).is_err(),
                expected,
                "{body:?} by {size}"
            );
        }
    }
}

#[test]
fn a_chunk_is_passed_on_without_a_copy() {
    let mut stream = guard_of(&[VALUE]).stream(true);
    let chunk = Bytes::from(vec![b'.'; 1000]);
    let address = chunk.as_ptr();
    assert_eq!(stream.push(chunk).unwrap().as_ptr(), address);
}

#[test]
fn the_grant_of_the_value_that_was_found_is_named() {
    let guard = guard_of(&[VALUE, b"another-value"]);
    let reflected = run(&guard, &[b"..another-value.."]).unwrap_err();
    assert_eq!(reflected.grant.as_str(), "grant-1");
}

fn head(build: impl FnOnce(http::response::Builder) -> http::response::Builder) -> response::Parts {
    build(http::Response::builder())
        .body(())
        .unwrap()
        .into_parts()
        .0
}

#[test]
fn a_value_in_a_header_is_found() {
    let guard = guard_of(&[VALUE]);
    let text = std::str::from_utf8(VALUE).unwrap();
    let check = |name: &str, value: &str| {
        guard
            .clone()
            .check_head(&head(|head| head.header(name, value)))
    };
    assert_eq!(check("server", "nginx"), Ok(()));
    let percent = "sk_live_51HxKeyward%2FTest%2BValue%3D%3D";
    for (name, value) in [
        ("x-echo", text),
        (
            "set-cookie",
            &format!("k={}", data_encoding::BASE64.encode(VALUE)),
        ),
        ("location", &format!("https://x.example/?key={percent}")),
    ] {
        assert_eq!(
            check(name, value).unwrap_err().found,
            Found::Value,
            "{name}"
        );
    }
    let mut guard = guard_of(&[b"A-Key-As-A-Name"]);
    let reflected = guard.check_head(&head(|head| head.header("x-a-key-as-a-name", "1")));
    assert_eq!(reflected.unwrap_err().found, Found::Value);
}

#[test]
fn answers_that_can_not_be_read_are_refused() {
    let guard = guard_of(&[VALUE]);
    let found =
        |head: &response::Parts| guard.clone().check_head(head).map_err(|error| error.found);
    for encoding in ["gzip", "br", "identity, gzip", "unheard-of", ""] {
        let head = head(|head| head.header("content-encoding", encoding));
        assert_eq!(found(&head), Err(Found::Encoded), "{encoding}");
        assert_eq!(guard_of(&[]).check_head(&head), Ok(()));
    }
    assert_eq!(
        found(&head(|head| head.header("content-encoding", "identity"))),
        Ok(())
    );
    assert_eq!(found(&head(|head| head.status(206))), Err(Found::Partial));
}

#[test]
fn a_guard_of_nothing_passes_everything() {
    let guard = guard_of(&[]);
    assert!(guard.is_empty());
    assert_eq!(
        run(&guard, &[b"anything", VALUE]).unwrap(),
        [b"anything", VALUE].concat()
    );
}
