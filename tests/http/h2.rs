//! HTTP/2 frames and header blocks written by hand (RFC 9113, RFC 7541): a library
//! would not send what is wrong.

use crate::client::Answers;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// Preface and empty settings: what a client says first.
pub(crate) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block: each field literal, never indexed, without Huffman coding.
pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0x10);
        for text in [name, value] {
            integer(text.len(), &mut bytes);
            bytes.extend(*text);
        }
    }
    bytes
}

/// An integer with a prefix of 7 bits (RFC 7541, 5.1).
fn integer(value: usize, into: &mut Vec<u8>) {
    let Some(mut rest) = value.checked_sub(127) else {
        into.push(u8::try_from(value).unwrap());
        return;
    };
    into.push(127);
    while rest >= 128 {
        into.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    into.push(u8::try_from(rest).unwrap());
}

/// What the server's frames say.
pub(crate) fn answers(received: &[u8]) -> Answers {
    let mut answers = Answers {
        text: received.iter().map(|byte| char::from(*byte)).collect(),
        ..Answers::default()
    };
    let mut rest = received;
    let mut status = None;
    while rest.len() >= 9 {
        let length = usize::from(rest[0]) << 16 | usize::from(rest[1]) << 8 | usize::from(rest[2]);
        let (kind, flags) = (rest[3], rest[4]);
        let Some(payload) = rest.get(9..9 + length) else {
            break;
        };
        let code = |at: usize| {
            payload
                .get(at..at + 4)
                .and_then(|code| code.last().copied())
        };
        match kind {
            HEADERS if status.is_none() => status = read_status(payload),
            RST_STREAM => answers.reset = code(0).map(|code| format!("RST_STREAM {code}")),
            GOAWAY if code(4) != Some(0) => {
                answers.reset = code(4).map(|code| format!("GOAWAY {code}"));
            }
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            answers.statuses.extend(status.take());
        }
        rest = &rest[9 + length..];
    }
    answers
}

/// The status, which stands first (RFC 9113, 8.3), after changes of the table's size.
fn read_status(block: &[u8]) -> Option<u16> {
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    let (first, rest) = block[start..].split_first()?;
    // The static table's eighth to fourteenth entry.
    if let Some(index) = first.checked_sub(0x88).filter(|index| *index < 7) {
        return Some([200, 204, 206, 304, 400, 404, 500][usize::from(index)]);
    }
    let (length, value) = rest.split_first()?;
    let value = value.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    huffman_digits(value)
}

/// Three digits in HPACK's Huffman code: 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u16> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)))
        .collect();
    let take = |at: usize, count: usize| {
        bits.get(at..at + count)
            .map(|bits| bits.iter().fold(0, |sum, bit| sum * 2 + bit))
    };
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let digit = match take(at, 5)? {
            digit @ 0..=2 => {
                at += 5;
                digit
            }
            _ => {
                let digit = take(at, 6)?.checked_sub(0b01_1001 - 3)?;
                at += 6;
                digit
            }
        };
        status = status * 10 + digit;
    }
    Some(status)
}

#[test]
fn statuses_are_read_in_all_forms() {
    assert_eq!(read_status(&[0x20, 0x88]), Some(200));
    assert_eq!(read_status(&[0x8c]), Some(400));
    assert_eq!(read_status(b"\x08\x03431"), Some(431));
    // 4 = 011010, 3 = 011001, 1 = 00001, then ones.
    assert_eq!(
        read_status(&[0x48, 0x83, 0b0110_1001, 0b1001_0000, 0b1111_1111]),
        Some(431)
    );
}
