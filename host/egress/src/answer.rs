//! What of an answer's head is ambiguous, so that two readers could disagree about
//! where its body ends. Such an answer is refused and its connection closed: the
//! rest of it might be taken for the answer to another request.
//!
//! What the HTTP parser refuses by itself is not repeated here: folded lines, NUL,
//! a bare CR, `transfer-encoding` in HTTP/1.0, lengths that differ, and in HTTP/2
//! every header of a connection.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{StatusCode, Version};

/// How many interim answers (1xx) a final one may follow.
pub(crate) const MAX_INTERIM: u32 = 32;

/// Whether it is clear where the body of this answer ends (RFC 9112, 6.3).
pub(crate) fn is_clear(head: &Parts) -> bool {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    // Equal lengths may be read as one; whoever sends two has forwarded what
    // someone else wrote.
    if lengths.next().is_some() || length.is_some_and(|length| !is_length(length.as_bytes())) {
        return false;
    }
    if let Some(coding) = codings.next() {
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        return is_chunked
            && codings.next().is_none()
            && length.is_none()
            && head.version == Version::HTTP_11
            && !has_no_body(head.status);
    }
    let is_empty = |length: &[u8]| length.iter().all(|digit| *digit == b'0');
    head.status != StatusCode::NO_CONTENT || length.is_none_or(|length| is_empty(length.as_bytes()))
}

fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

/// `1*DIGIT`: no sign, no list.
fn is_length(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use http::Response;

    fn clear(status: u16, headers: &[(&str, &str)]) -> bool {
        let mut builder = Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        is_clear(&builder.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn one_length_or_one_coding_is_clear() {
        assert!(clear(200, &[]));
        assert!(clear(200, &[("content-length", "5")]));
        assert!(clear(200, &[("transfer-encoding", "Chunked")]));
        assert!(clear(204, &[("content-length", "0")]));
        assert!(clear(304, &[("content-length", "5")]));
    }

    #[test]
    fn two_ways_to_read_an_end_are_one_too_many() {
        for (status, headers) in [
            (200, &[("content-length", "5"), ("content-length", "5")][..]),
            (200, &[("content-length", "5, 5")]),
            (200, &[("content-length", "+5")]),
            (200, &[("content-length", "")]),
            (
                200,
                &[("transfer-encoding", "chunked"), ("content-length", "5")],
            ),
            (200, &[("transfer-encoding", "gzip, chunked")]),
            (200, &[("transfer-encoding", "chunked, chunked")]),
            (200, &[("transfer-encoding", "identity")]),
            (
                200,
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
            ),
            (204, &[("transfer-encoding", "chunked")]),
            (204, &[("content-length", "5")]),
        ] {
            assert!(!clear(status, headers), "{status} {headers:?}");
        }
    }
}
