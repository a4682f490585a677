//! Answers in a content encoding, in which nothing can be found as it stands.

use std::io::Write as _;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::BodyExt as _;
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

/// How many bytes of a body can come through before the first from which the text
/// after `position` could be read: all before the block, or the byte, that holds it.
fn harmless(coding: &str, body: &[u8], position: usize) -> usize {
    let mut zstd = zstd_safe::DCtx::create();
    let mut unzstd = move |encoded: &[u8]| {
        if encoded.is_empty() {
            return Vec::new();
        }
        let mut out = vec![0; 1 << 18];
        let mut input = zstd_safe::InBuffer::around(encoded);
        let mut output = zstd_safe::OutBuffer::around(&mut out[..]);
        zstd.decompress_stream(&mut output, &mut input).unwrap();
        let length = output.pos();
        out.truncate(length);
        out
    };
    let mut gzip = flate2::write::MultiGzDecoder::new(Vec::new());
    let mut gunzip = move |encoded: &[u8]| {
        gzip.write_all(encoded).unwrap();
        gzip.flush().unwrap();
        std::mem::take(gzip.get_mut())
    };
    let (mut decoded, mut last) = (0, 0);
    for (index, byte) in body.iter().enumerate() {
        let more = match coding {
            "gzip" => gunzip(&[*byte]).len(),
            "zstd" => unzstd(&[*byte]).len(),
            "gzip, zstd" => gunzip(&unzstd(&[*byte])).len(),
            _ => unzstd(&gunzip(&[*byte])).len(),
        };
        decoded += more;
        if decoded > position {
            return last;
        }
        if more > 0 {
            last = index + 1;
        }
    }
    panic!("the text is shorter");
}

/// How much of a body came through.
fn passed(came: &crate::Came, body: &[u8]) -> usize {
    let most = came.bytes.len().min(body.len());
    (0..=most)
        .rev()
        .find(|length| came.bytes.ends_with(&body[..*length]))
        .unwrap()
}

/// Text that doesn't compress away.
fn long_text() -> Vec<u8> {
    text(20_000)
}

fn text(lines: u32) -> Vec<u8> {
    let line = |index: u32| format!("{index}:{:x};", index.wrapping_mul(2_654_435_761));
    (0..lines)
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

/// A block of zstd comes out as a whole, with its literals first: what of it comes
/// through before that is the value's, for whoever reads it.
#[tokio::test]
async fn nothing_of_the_value_can_be_read_from_what_came_of_an_encoded_answer() {
    // In one block, and in several.
    for lines in [2_000, 20_000] {
        let mut text = text(lines);
        let middle = text.len() / 2;
        text.splice(middle..middle, KEY.bytes());
        for (coding, body) in encoded(&text) {
            // Its header, and that of the next block, hold nothing.
            let most = harmless(coding, &body, middle) + 24;
            for size in [100, 997, 9_000] {
                let backend = encoding_backend(coding, body.clone(), size).await;
                let searched = attached(&world("decode = true\n"), backend.route()).await;
                assert!(searched.stopped, "{coding} by {size}");
                let passed = passed(&searched, &body);
                assert!(passed <= most, "{coding} by {size}: {passed} > {most}");
                // Control: of the same body a part did come through before.
                if lines == 20_000 {
                    assert!(passed > 50_000, "{coding} by {size}: {passed}");
                }
            }
        }
    }
}

/// A block that was flushed is let go before the next one comes.
#[tokio::test]
async fn a_flushed_block_does_not_wait_for_the_next_one() {
    let mut context = zstd_safe::CCtx::create();
    let mut flushed = |text: &[u8]| {
        let mut out = vec![0; 1024];
        let mut output = zstd_safe::OutBuffer::around(&mut out[..]);
        let mut input = zstd_safe::InBuffer::around(text);
        context.compress_stream(&mut output, &mut input).unwrap();
        assert_eq!(context.flush_stream(&mut output).unwrap(), 0);
        let length = output.pos();
        out.truncate(length);
        out
    };
    let (one, two) = (flushed(b"data: one\n\n"), flushed(b"data: two\n\n"));
    let expected = [one.clone(), two.clone()];
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let waits = std::sync::Arc::clone(&go);
    let backend = Backend::plain(move |_: &Seen| {
        let waits = std::sync::Arc::clone(&waits);
        let parts = [one.clone(), two.clone()];
        let stream = futures_util::stream::iter(parts).then(move |part| {
            let waits = std::sync::Arc::clone(&waits);
            async move {
                waits.acquire().await.unwrap().forget();
                Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(part)))
            }
        });
        let mut response = Response::new(http_body_util::StreamBody::new(stream).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert("content-encoding", "zstd".parse().unwrap());
        response
    })
    .await;
    let world = world("decode = true\n");
    let egress = world.egress(backend.route());
    let answer = world.send_attached(&egress, crate::get("/charges")).await;
    let mut body = answer.unwrap().into_body();
    for block in expected {
        let part = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(part, block);
        go.add_permits(1);
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
        ("zstd, zstd", zstd(&zstd(&text))),
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
