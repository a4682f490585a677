//! Where a body ends: lengths, codings, chunks, and requests that hide in bodies.

use super::Case;

/// What hides behind a body: seen by the backend, it was smuggled.
const HIDDEN: &[u8] = b"GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
const CHUNKS: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";

fn post(group: &'static str, name: &'static str, fields: &[u8], body: &[u8]) -> Case {
    let head = b"POST /x HTTP/1.1\r\nHost: gateway.test\r\n";
    Case::new(group, name, [head, fields, b"\r\n\r\n", body].concat()).answered(2)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = lengths();
    cases.extend(codings());
    cases.extend(chunks());
    cases.extend(hidden());
    cases
}

fn lengths() -> Vec<Case> {
    let group = "Content-Length";
    let case = |name, fields: &[u8]| post(group, name, fields, b"hello");
    vec![
        case("twice the same", b"Content-Length: 5\r\nContent-Length: 5"),
        case("two that differ", b"Content-Length: 5\r\nContent-Length: 0"),
        case("two in one, the same", b"Content-Length: 5, 5"),
        case("two in one that differ", b"Content-Length: 5, 0"),
        case("a plus sign", b"Content-Length: +5"),
        case("a minus sign", b"Content-Length: -5"),
        case("hexadecimal", b"Content-Length: 0x5"),
        case("a decimal point", b"Content-Length: 5.0"),
        case("an exponent", b"Content-Length: 5e0"),
        case("a leading zero", b"Content-Length: 05"),
        case("a space within", b"Content-Length: 5 0"),
        case("empty", b"Content-Length:"),
        case("a quotation", b"Content-Length: \"5\""),
        case("letters", b"Content-Length: five"),
        case("a digit beyond ASCII", b"Content-Length: \xd9\xa5"),
        case("beyond 64 bits", b"Content-Length: 18446744073709551621"),
        case("a space before the colon", b"Content-Length : 5"),
        case("a vertical tab before it", b"Content-Length:\x0b5"),
        case("folded", b"Content-Length:\r\n 5"),
        case("with CR in front", b"X-Test: a\rContent-Length: 5"),
        Case::new(
            group,
            "of a GET",
            *b"GET /x HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 5\r\n\r\nhello",
        )
        .answered(2),
    ]
}

fn codings() -> Vec<Case> {
    let group = "Transfer-Encoding";
    let case = |name, fields: &[u8]| post(group, name, fields, CHUNKS);
    let old = [
        b"POST /x HTTP/1.0\r\nHost: gateway.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKS,
    ]
    .concat();
    let kept = [
        b"POST /x HTTP/1.0\r\nHost: gateway.test\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: 15\r\n\r\n",
        CHUNKS,
    ]
    .concat();
    vec![
        case(
            "with Content-Length after it",
            b"Transfer-Encoding: chunked\r\nContent-Length: 15",
        ),
        case(
            "with Content-Length before it",
            b"Content-Length: 15\r\nTransfer-Encoding: chunked",
        ),
        case(
            "twice",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ),
        case("twice in one", b"Transfer-Encoding: chunked, chunked"),
        case(
            "identity",
            b"Transfer-Encoding: identity\r\nContent-Length: 15",
        ),
        case(
            "identity, then chunked",
            b"Transfer-Encoding: identity, chunked",
        ),
        case(
            "chunked, then identity",
            b"Transfer-Encoding: chunked, identity",
        ),
        case("gzip, then chunked", b"Transfer-Encoding: gzip, chunked"),
        case("gzip alone", b"Transfer-Encoding: gzip"),
        case(
            "an unknown coding",
            b"Transfer-Encoding: xchunked\r\nContent-Length: 15",
        ),
        case("in capitals", b"Transfer-Encoding: CHUNKED"),
        case("quoted", b"Transfer-Encoding: \"chunked\""),
        case("with a parameter", b"Transfer-Encoding: chunked;a=b"),
        case("with a comma in front", b"Transfer-Encoding: , chunked"),
        case("empty", b"Transfer-Encoding:\r\nContent-Length: 15"),
        case(
            "with a control character",
            b"Transfer-Encoding: chunked\x0b",
        ),
        case("with a tab in front", b"Transfer-Encoding:\tchunked"),
        case(
            "with a space before the colon",
            b"Transfer-Encoding : chunked\r\nContent-Length: 15",
        ),
        case(
            "folded",
            b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 15",
        ),
        case(
            "with an underscore",
            b"Transfer_Encoding: chunked\r\nContent-Length: 15",
        ),
        case(
            "with CR in front",
            b"X-Test: a\rTransfer-Encoding: chunked\r\nContent-Length: 15",
        ),
        case(
            "behind LF",
            b"X-Test: a\nTransfer-Encoding: chunked\r\nContent-Length: 15",
        ),
        Case::new(group, "in HTTP/1.0", old).answered(2),
        Case::new(group, "in HTTP/1.0, kept alive, with Content-Length", kept).answered(2),
    ]
}

fn chunks() -> Vec<Case> {
    let group = "Chunks";
    let case = |name, body: &[u8]| post(group, name, b"Transfer-Encoding: chunked", body);
    vec![
        case("an extension", b"5;a=b\r\nhello\r\n0\r\n\r\n"),
        case(
            "an extension in quotation marks",
            b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
        ),
        case(
            "an extension with LF in it",
            b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        ),
        case(
            "an extension with CR in it",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        ),
        case(
            "an extension of 70,000 bytes",
            &[&b"5;"[..], &[b'a'; 70_000], b"\r\nhello\r\n0\r\n\r\n"].concat(),
        ),
        case("a space after the size", b"5 \r\nhello\r\n0\r\n\r\n"),
        case("a space before the size", b" 5\r\nhello\r\n0\r\n\r\n"),
        case("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
        case("a size with a plus sign", b"+5\r\nhello\r\n0\r\n\r\n"),
        case("a negative size", b"-5\r\nhello\r\n0\r\n\r\n"),
        case("a size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
        case("leading zeros", b"0000000005\r\nhello\r\n0\r\n\r\n"),
        case(
            "a size beyond 64 bits",
            b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        case("no size", b"\r\nhello\r\n0\r\n\r\n"),
        case("a size that is no number", b"g\r\nhello\r\n0\r\n\r\n"),
        case("LF after the size", b"5\nhello\r\n0\r\n\r\n"),
        case("CR alone after the size", b"5\rhello\r\n0\r\n\r\n"),
        case("LF after the data", b"5\r\nhello\n0\r\n\r\n"),
        case("nothing after the data", b"5\r\nhello0\r\n\r\n"),
        case("two bytes too many", b"5\r\nhelloXX0\r\n\r\n"),
        case("LF at the end", b"5\r\nhello\r\n0\n\n"),
        case("a trailer", b"5\r\nhello\r\n0\r\nX-Trailer: a\r\n\r\n"),
        case(
            "Content-Length as a trailer",
            b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
        ),
        case(
            "a trailer without a colon",
            b"5\r\nhello\r\n0\r\nX-Trailer\r\n\r\n",
        ),
        case(
            "a trailer with NUL",
            b"5\r\nhello\r\n0\r\nX-Trailer: a\0b\r\n\r\n",
        ),
    ]
}

fn hidden() -> Vec<Case> {
    let group = "Hidden requests";
    let chunked = [b"0\r\n\r\n", HIDDEN].concat();
    let size = chunked.len();
    let case = |name, fields: String, body: &[u8]| post(group, name, fields.as_bytes(), body);
    vec![
        case(
            "behind chunks, within Content-Length",
            format!("Content-Length: {size}\r\nTransfer-Encoding: chunked"),
            &chunked,
        ),
        case(
            "behind Content-Length, within chunks",
            "Content-Length: 4\r\nTransfer-Encoding: chunked".to_owned(),
            &[format!("{:x}\r\n", HIDDEN.len()).as_bytes(), HIDDEN, b"\r\n0\r\n\r\n"].concat(),
        ),
        case("behind the first of two lengths", format!("Content-Length: 0\r\nContent-Length: {}", HIDDEN.len()), HIDDEN),
        case(
            "behind a coding that one of two may not know",
            format!("Content-Length: {size}\r\nTransfer-Encoding: xchunked"),
            &chunked,
        ),
        case(
            "behind a coding with a vertical tab",
            format!("Content-Length: {size}\r\nTransfer-Encoding:\x0bchunked"),
            &chunked,
        ),
        case(
            "behind a coding with a space before the colon",
            format!("Content-Length: {size}\r\nTransfer-Encoding : chunked"),
            &chunked,
        ),
        case(
            "behind a second coding",
            format!("Content-Length: {size}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x"),
            &chunked,
        ),
        case(
            "behind a chunk's extension that ends with LF",
            "Transfer-Encoding: chunked".to_owned(),
            &[b"2;\nxx\r\n", format!("{:x}\r\n0\r\n\r\n", HIDDEN.len() + 5).as_bytes(), HIDDEN, b"\r\n0\r\n\r\n"].concat(),
        ),
        case("behind a GET's length of nothing", "Content-Length: 0".to_owned(), HIDDEN),
        case(
            "behind a folded length",
            format!("X-Test: a\r\n Content-Length: 0\r\nContent-Length: {}", HIDDEN.len()),
            HIDDEN,
        ),
        Case::new(
            group,
            "behind an upgrade that is not answered",
            [
                b"GET /x HTTP/1.1\r\nHost: gateway.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                HIDDEN,
            ]
            .concat(),
        )
        .answered(2),
        Case::new(
            group,
            "behind HTTP/1.0 without keep-alive",
            [b"GET /x HTTP/1.0\r\nHost: gateway.test\r\n\r\n", HIDDEN].concat(),
        )
        .answered(2),
        Case::new(
            group,
            "behind Connection: close",
            [b"GET /x HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n", HIDDEN].concat(),
        )
        .answered(2),
        Case::new(
            group,
            "behind an expectation of 100-continue",
            [
                b"POST /x HTTP/1.1\r\nHost: gateway.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
                HIDDEN,
            ]
            .concat(),
        )
        .answered(2),
    ]
}
