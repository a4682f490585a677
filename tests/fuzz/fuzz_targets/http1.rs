//! Any bytes of a client: what the strict reader of HTTP/1 lets through does not depend
//! on how they come in parts, is a prefix of them, and is read in the same way by
//! another reader, one that knows nothing but RFC 9112 and stops at the first doubt.
#![no_main]

use keyward_gateway::listen::passing;
use libfuzzer_sys::fuzz_target;

const MAX_HEAD: usize = 4096;

/// What requests are made of, and what they are broken with.
const PIECES: [&[u8]; 40] = [
    b"GET / HTTP/1.1\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\n",
    b"POST /x HTTP/1.0\r\n",
    b"Host: a\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"_",
    b"\"",
    b"Content-Length: ",
    b"content_length: ",
    b"Content-Length : ",
    b"Transfer-Encoding: ",
    b"Transfer-Encoding:",
    b"transfer_encoding: ",
    b"chunked",
    b"chunked\r\n\r\n",
    b"identity",
    b"0",
    b"5\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"hello",
    b";a=b\r\n",
    b"ffffffffffffffff",
    b"18446744073709551616",
    b"+",
    b"-",
    b"0x",
    b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    b"X-Test: y\r\n",
];

// The first byte says how the bytes are cut; an even one, that each that follows may
// stand for a piece.
fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else {
        return;
    };
    let pieces = |byte: &u8| match PIECES.get(usize::from(*byte)) {
        Some(piece) if how % 2 == 0 => piece.to_vec(),
        _ => vec![*byte],
    };
    let bytes: Vec<u8> = bytes.iter().flat_map(pieces).collect();
    let bytes = &bytes[..];
    let (whole, refused) = passing([bytes], MAX_HEAD);
    assert!(bytes.starts_with(&whole), "what passes is what came");
    let size = usize::from(*how / 2).max(1);
    let (parts, refused_in_parts) = passing(bytes.chunks(size), MAX_HEAD);
    // A body that is refused may have been let through up to its fault, part by part.
    assert_eq!(refused, refused_in_parts, "cut by {size}");
    match refused {
        true => assert!(parts.starts_with(&whole) || whole.starts_with(&parts)),
        false => assert_eq!(whole, parts, "cut by {size}"),
    }
    if let Err(doubt) = read(&parts, refused) {
        panic!("{doubt}: {:?}", String::from_utf8_lossy(&parts));
    }
});

/// Reads requests one after the other, to where the bytes end.
fn read(mut bytes: &[u8], refused: bool) -> Result<(), &'static str> {
    while !bytes.is_empty() {
        let rest = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        if rest.is_empty() {
            return Ok(());
        }
        let end = find(rest, b"\r\n\r\n").ok_or("a part of a head passed")?;
        let (head, rest) = rest.split_at(end + 4);
        let framing = head_of(&head[..end])?;
        let body = match framing {
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::Chunked => chunked(rest, refused)?,
        };
        // A body that is not there as a whole is the end.
        match body.and_then(|length| rest.get(length..)) {
            Some(next) => bytes = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

enum Framing {
    Length(u64),
    Chunked,
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn head_of(head: &[u8]) -> Result<Framing, &'static str> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, version] = words[..] else {
        return Err("not three words");
    };
    if method.is_empty() || method == "CONNECT" || method.to_uppercase() != method {
        return Err("a method");
    }
    if !(target.starts_with('/') || target.to_lowercase().starts_with("http"))
        || target.contains('#')
    {
        return Err("a target");
    }
    if line.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err("a request line");
    }
    let (mut hosts, mut lengths, mut codings) = (0, Vec::new(), Vec::new());
    for line in lines {
        if line.contains(['\r', '\n', '\0']) {
            return Err("a line within a line");
        }
        let (name, value) = line.split_once(':').ok_or("no colon")?;
        if name.is_empty()
            || name
                .chars()
                .any(|c| !c.is_ascii_graphic() || "()<>@,;\\\"/[]?={}".contains(c))
        {
            return Err("a name");
        }
        let alike = name.to_lowercase().replace('_', "-");
        let value = value.trim_matches([' ', '\t']);
        match &*alike {
            "host" => hosts += 1,
            "content-length" => lengths.push(value.to_owned()),
            "transfer-encoding" => codings.push(value.to_lowercase()),
            _ => {}
        }
    }
    match (version, hosts) {
        ("HTTP/1.1", 1) | ("HTTP/1.0", 0 | 1) => {}
        _ => return Err("hosts"),
    }
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| "a length")
        }
        ([], [coding]) if coding == "chunked" && version == "HTTP/1.1" => Ok(Framing::Chunked),
        _ => Err("framing"),
    }
}

/// How long a chunked body is; none if it is not there as a whole. What was refused
/// may end in the line that was.
fn chunked(bytes: &[u8], refused: bool) -> Result<Option<usize>, &'static str> {
    let mut at = 0;
    loop {
        let Some(line) = bytes
            .get(at..)
            .and_then(|rest| Some(&rest[..find(rest, b"\n")? + 1]))
        else {
            return Ok(None);
        };
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err("a line of chunks");
        };
        let digits = text.split(|byte| *byte == b';').next().unwrap_or_default();
        let digits = std::str::from_utf8(digits).map_err(|_| "a size")?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("a size");
        }
        let size = usize::from_str_radix(digits, 16).map_err(|_| "a size")?;
        at += line.len();
        if size == 0 {
            break;
        }
        at = at.saturating_add(size);
        match bytes.get(at..) {
            None => return Ok(None),
            Some(rest) if rest.starts_with(b"\r\n") => at += 2,
            Some(rest) if rest.len() < 2 && b"\r\n".starts_with(rest) => return Ok(None),
            Some(_) if refused => return Ok(None),
            Some(_) => return Err("the end of a chunk"),
        }
    }
    loop {
        let Some(line) = bytes
            .get(at..)
            .and_then(|rest| Some(&rest[..find(rest, b"\n")? + 1]))
        else {
            return Ok(None);
        };
        at += line.len();
        if line == b"\r\n" {
            return Ok(Some(at));
        }
        let Some(text) = line.strip_suffix(b"\r\n") else {
            return Err("a line of trailers");
        };
        if !text.contains(&b':') || text.contains(&b'\r') || text.contains(&0) {
            return Err("a trailer");
        }
    }
}
