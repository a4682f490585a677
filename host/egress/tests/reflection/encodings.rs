//! Answers in a content encoding, in which nothing can be found as it stands.

use std::io::Write as _;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Frame;

use crate::common::{Backend, KEY, Seen, World, parts, reply};
use crate::{attached, brought, holds, open_world, world};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(text.len())];
    let length = zstd_safe::compress(&mut out[..], text, 3).unwrap();
    out.truncate(length);
    out
}

/// Encodings of a text, by what the head says.
fn encoded(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (one, two) = text.split_at(text.len() / 2);
    vec![
        ("gzip", gzip(text)),
        ("gzip", [gzip(one), gzip(two)].concat()),
        ("zstd", zstd(text)),
        ("gzip, zstd", zstd(&gzip(text))),
        ("zstd, gzip", gzip(&zstd(text))),
    ]
}

async fn encoding_backend(coding: &'static str, body: Vec<u8>, size: usize) -> Backend {
    Backend::plain(move |_: &Seen| {
        let pieces = body.chunks(size).map(Bytes::copy_from_slice);
        let mut response = Response::new(parts(pieces.map(Frame::data).collect()));
        let headers = response.headers_mut();
        headers.insert("content-encoding", coding.parse().unwrap());
        response
    })
    .await
}

/// Text that doesn't compress away.
fn long_text() -> Vec<u8> {
    let line = |index: u32| format!("{index}:{:x};", index.wrapping_mul(2_654_435_761));
    (0..20_000)
        .flat_map(|index| line(index).into_bytes())
        .collect()
}

#[tokio::test]
async fn an_encoded_answer_is_searched_where_the_grant_says_so() {
    let clean = long_text();
    let mut with_key = clean.clone();
    let middle = with_key.len() / 2;
    with_key.splice(middle..middle, KEY.bytes());
    for (text, is_clean) in [(&clean, true), (&with_key, false)] {
        for (coding, body) in encoded(text) {
            for size in [997, 100_000] {
                let backend = encoding_backend(coding, body.clone(), size).await;
                let refused = attached(&World::new(), backend.route()).await;
                assert!(refused.stopped && refused.bytes.is_empty(), "{coding}");
                let searched = attached(&world("decode = true\n"), backend.route()).await;
                assert_eq!(searched.stopped, !is_clean, "{coding} by {size}");
                let open = brought(backend.route()).await;
                assert!(open.bytes.ends_with(&body), "{coding} by {size}");
                if is_clean {
                    assert!(searched.bytes.ends_with(&body), "{coding} by {size}");
                } else {
                    // What came through of the body is shorter than what holds it.
                    assert!(searched.bytes.len() < body.len(), "{coding} by {size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_encoded_answer_that_is_not_what_it_says_is_cut() {
    let bomb = gzip(&vec![0; 32 << 20]);
    let named = flate2::GzBuilder::new().comment(KEY);
    let mut named = named.write(Vec::new(), flate2::Compression::default());
    named.write_all(b"harmless").unwrap();
    let text = long_text();
    for (coding, body) in [
        ("gzip", b"not gzip at all".to_vec()),
        ("gzip", gzip(&text)[..1000].to_vec()),
        ("gzip", [gzip(b"a"), b"trailing bytes".to_vec()].concat()),
        ("gzip", named.finish().unwrap()),
        ("gzip", bomb.clone()),
        ("gzip, gzip", gzip(&bomb)),
        ("gzip, gzip, gzip", gzip(&gzip(&gzip(b"text")))),
        ("compress", b"text".to_vec()),
        ("zstd", gzip(b"text")),
    ] {
        let backend = encoding_backend(coding, body, 4096).await;
        let guarded = attached(&world("decode = true\n"), backend.route()).await;
        assert!(guarded.stopped, "{coding}");
        assert!(!holds(&guarded.bytes, KEY), "{coding}");
        assert!(!brought(backend.route()).await.stopped, "{coding}");
    }
}

#[tokio::test]
async fn an_encoding_is_asked_for_only_where_it_is_decoded() {
    let backend = Backend::plain(|_: &Seen| reply("ok")).await;
    let request = || {
        let request = Request::get("/charges");
        let request = request.header("accept-encoding", "br;q=0.9, dcb, gzip, *");
        request.body(keyward_egress::empty()).unwrap()
    };
    for world in [World::new(), world("decode = true\n")] {
        let egress = world.egress(backend.route());
        world.send_attached(&egress, request()).await.unwrap();
        // To a host that is watched, without a value, too.
        world.send_plain(&egress, request()).await.unwrap();
    }
    let open = open_world();
    let egress = open.egress(backend.route());
    open.send_plain(&egress, request()).await.unwrap();
    let asked = backend.seen();
    let asked: Vec<_> = asked
        .iter()
        .map(|seen| seen.headers["accept-encoding"].to_str().unwrap())
        .collect();
    let (none, some) = ("identity", "br;q=0.9, gzip");
    assert_eq!(asked, [none, none, some, some, "br;q=0.9, dcb, gzip, *"]);
}
