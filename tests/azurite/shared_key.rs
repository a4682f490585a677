//! Shared Key and Shared Key Lite, against the emulator.

use http::request::Parts;
use http::{HeaderValue, Method};

use crate::{World, emulator};

/// A change of something that is signed: what it is, and how it is done.
type Change = (&'static str, fn(&mut Parts));

fn set(head: &mut Parts, name: &'static str, value: &'static str) {
    head.headers.insert(name, HeaderValue::from_static(value));
}

fn to(head: &mut Parts, from: &str, to: &str) {
    let text = head.uri.to_string();
    assert!(text.contains(from), "{text}");
    head.uri = text.replace(from, to).parse().unwrap();
}

/// What Shared Key covers, and Lite.
const COVERED: &[Change] = &[
    ("the method", |head| head.method = Method::DELETE),
    ("the path", |head| to(head, "/con1/b1", "/con1/b2")),
    ("the container", |head| to(head, "/con1/b1", "/con2/b1")),
    ("comp", |head| to(head, "comp=metadata", "comp=properties")),
    ("the date", |head| {
        set(head, "x-ms-date", "Sun, 22 Nov 2026 00:00:00 GMT")
    }),
    ("the version", |head| {
        set(head, "x-ms-version", "2020-02-10")
    }),
    ("a header of the service", |head| {
        set(head, "x-ms-meta-a", "2")
    }),
    ("one header more", |head| set(head, "x-ms-meta-b", "1")),
    ("the type of the content", |head| {
        set(head, "content-type", "text/html")
    }),
    ("the digest of the content", |head| {
        set(head, "content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")
    }),
    ("the account", |head| {
        let text = head.headers["authorization"].to_str().unwrap();
        let text = text.replace("canary1:", "canary2:");
        head.headers.insert("authorization", text.parse().unwrap());
    }),
    ("the code", |head| {
        let text = head.headers["authorization"].to_str().unwrap();
        let (start, end) = text.split_at(text.len() - 10);
        let swapped = if end.starts_with('A') { "B" } else { "A" };
        let text = format!("{start}{swapped}{}", &end[1..]);
        head.headers.insert("authorization", text.parse().unwrap());
    }),
];

/// What Shared Key covers beyond Lite.
const COVERED_BY_SHARED_KEY_ONLY: &[Change] = &[
    ("a parameter", |head| to(head, "timeout=20", "timeout=21")),
    ("one parameter more", |head| {
        to(head, "timeout=20", "timeout=20&x=1")
    }),
    ("the encoding", |head| set(head, "content-encoding", "gzip")),
    ("the language", |head| set(head, "content-language", "de")),
    ("if-match", |head| set(head, "if-match", "*")),
    ("if-none-match", |head| set(head, "if-none-match", "\"1\"")),
    ("if-modified-since", |head| {
        set(head, "if-modified-since", "Sun, 22 Nov 2020 00:00:00 GMT");
    }),
    ("if-unmodified-since", |head| {
        set(head, "if-unmodified-since", "Sun, 22 Nov 2020 00:00:00 GMT");
    }),
    ("the range", |head| set(head, "range", "bytes=0-1")),
];

fn metadata(world: &World) -> Parts {
    let request = world
        .request("blob", "PUT", "/con1/b1?comp=metadata&timeout=20")
        .header("content-type", "text/plain")
        .header("x-ms-meta-a", "1");
    world.signed(request, b"")
}

#[test]
fn a_signed_request_is_accepted_and_refused_once_anything_that_is_signed_has_changed() {
    let world = emulator!();
    world.container("con1", &["b1", "b2"]);
    world.container("con2", &["b1"]);
    // Of blobs the emulator knows Shared Key only; Lite is tried with queues and tables.
    world.grant(
        "sign-request",
        "scheme = \"shared-key\"\nservice = \"blob\"",
    );
    assert_eq!(
        world.send("blob", &metadata(&world), b""),
        200,
        "the control"
    );
    for (what, change) in COVERED.iter().chain(COVERED_BY_SHARED_KEY_ONLY) {
        let mut head = metadata(&world);
        change(&mut head);
        assert_eq!(world.send("blob", &head, b""), 403, "{what}");
    }
}

#[test]
fn control_what_is_not_signed_may_change() {
    let world = emulator!();
    world.container("con1", &["b1"]);
    let mut head = metadata(&world);
    set(&mut head, "accept-language", "de");
    assert_eq!(world.send("blob", &head, b""), 200);
}

#[test]
fn the_length_of_a_body_is_covered() {
    let world = emulator!();
    world.container("con1", &[]);
    let put = || {
        let request = world.request("blob", "PUT", "/con1/b1");
        world.signed(request.header("x-ms-blob-type", "BlockBlob"), b"hello")
    };
    assert_eq!(world.send("blob", &put(), b"hello"), 201, "the control");
    let mut head = put();
    set(&mut head, "content-length", "6");
    assert_eq!(world.send("blob", &head, b"hello!"), 403);
}

#[test]
fn paths_and_parameters_that_are_encoded_are_signed_as_the_service_reads_them() {
    let world = emulator!();
    world.container(
        "con1",
        &["with%20space", "a%2Bb", "%C3%A4", "x/y/z", "a!(b)"],
    );
    for query in [
        "prefix=x%2Fy",
        "prefix=%C3%A4",
        "prefix=a%2Bb",
        "prefix=a%26b",
        "include=metadata,snapshots",
    ] {
        let path = format!("/con1?restype=container&comp=list&{query}");
        let head = world.signed(world.request("blob", "GET", &path), b"");
        assert_eq!(world.send("blob", &head, b""), 200, "{query}");
    }
}

#[test]
fn queues_and_tables_are_signed_in_their_own_way() {
    let world = emulator!();
    for scheme in ["shared-key", "shared-key-lite"] {
        world.grant(
            "sign-request",
            &format!("scheme = \"{scheme}\"\nservice = \"queue\""),
        );
        let name = format!("/q-{scheme}");
        let head = world.signed(world.request("queue", "PUT", &name), b"");
        assert_eq!(world.send("queue", &head, b""), 201, "{scheme}");
        let mut head = world.signed(world.request("queue", "DELETE", &name), b"");
        to(&mut head, &name, "/q-other");
        assert_eq!(world.send("queue", &head, b""), 403, "{scheme}");

        world.grant(
            "sign-request",
            &format!("scheme = \"{scheme}\"\nservice = \"table\""),
        );
        let list = || {
            let request = world.request("table", "GET", "/Tables");
            world.signed(request.header("accept", "application/json"), b"")
        };
        assert_eq!(world.send("table", &list(), b""), 200, "{scheme}");
        let mut head = list();
        set(&mut head, "x-ms-date", "Sun, 22 Nov 2026 00:00:00 GMT");
        assert_eq!(world.send("table", &head, b""), 403, "{scheme}");
    }
}
