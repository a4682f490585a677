//! A backend that returns what it was sent, in every way that a protocol gives it.
//!
//! The ways are data: [`ECHOES`]. Each is one that the response guard promises to
//! stop, or a place that is not passed on; whatever the policies make of such an
//! answer, no value may come out of the gateway. A suite can name one of them for a
//! backend of its own, and each case is run again with them in the place of its
//! backends.

mod answer;
mod replay;
mod write;

pub(crate) use answer::Memories;
pub use answer::{Answer, Sent};
pub use replay::{Replay, Replays, replaced};
pub use write::Writing;

/// One way to return a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Echo {
    /// Its name, in suites and in reports.
    pub name: &'static str,
    /// Where in the answer.
    pub place: Place,
    /// In which form.
    pub writing: Writing,
    /// In how many bytes at a time a body is sent; at once if 0.
    pub part: usize,
    /// What the body is compressed with, the innermost first.
    pub codings: &'static [Coding],
    /// The answer's status.
    pub status: u16,
}

/// Where in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The body.
    Body,
    /// The body, after more of it than is looked at before its head goes on.
    LateBody,
    /// Headers: each as `echo-NAME`.
    Headers,
    /// One header, of this name, with all of them.
    Header(&'static str),
    /// The name of a header.
    HeaderName,
    /// What stands beside the status (HTTP/1.1 alone).
    Reason,
    /// A trailer.
    Trailer,
    /// The body of the answer to the next request, whatever that sends.
    NextBody,
}

/// A content encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

/// The plain one, of which the others are variations.
const BODY: Echo = Echo {
    name: "body",
    place: Place::Body,
    writing: Writing::Plain,
    part: 0,
    codings: &[],
    status: 200,
};

const fn place(name: &'static str, place: Place) -> Echo {
    Echo {
        name,
        place,
        ..BODY
    }
}

const fn writing(name: &'static str, writing: Writing) -> Echo {
    Echo {
        name,
        writing,
        ..BODY
    }
}

const fn part(name: &'static str, part: usize) -> Echo {
    Echo { name, part, ..BODY }
}

const fn codings(name: &'static str, codings: &'static [Coding]) -> Echo {
    Echo {
        name,
        codings,
        ..BODY
    }
}

/// All ways, the most telling first.
pub const ECHOES: &[Echo] = &[
    BODY,
    place("headers", Place::Headers),
    part("body-by-1", 1),
    writing("base64", Writing::Base64(0)),
    codings("gzip", &[Coding::Gzip]),
    place("trailers", Place::Trailer),
    place("reason", Place::Reason),
    place("next-body", Place::NextBody),
    Echo {
        name: "error",
        status: 500,
        ..BODY
    },
    place("late-body", Place::LateBody),
    place("cookie", Place::Header("set-cookie")),
    place("location", Place::Header("location")),
    place("server-timing", Place::Header("server-timing")),
    place("header-name", Place::HeaderName),
    part("chunks", 3),
    Echo {
        name: "base64-by-3",
        writing: Writing::Base64(1),
        part: 3,
        ..BODY
    },
    writing("base64-shifted-1", Writing::Base64(1)),
    writing("base64-shifted-2", Writing::Base64(2)),
    writing("base64url", Writing::Base64Url),
    writing("hex", Writing::Hex),
    writing("hex-upper", Writing::HexUpper),
    writing("percent", Writing::Percent),
    writing("percent-all", Writing::PercentAll),
    writing("json", Writing::Json),
    writing("json-escapes", Writing::JsonEscapes),
    writing("html", Writing::Html),
    writing("html-escapes", Writing::HtmlEscapes),
    writing("utf-16", Writing::Utf16),
    writing("utf-16-big", Writing::Utf16Big),
    writing("upper-case", Writing::Upper),
    writing("lower-case", Writing::Lower),
    Echo {
        name: "header-base64",
        place: Place::Header("x-echo"),
        writing: Writing::Base64(0),
        ..BODY
    },
    codings("deflate", &[Coding::Deflate]),
    codings("zstd", &[Coding::Zstd]),
    codings("brotli", &[Coding::Brotli]),
    codings("gzip-twice", &[Coding::Gzip, Coding::Gzip]),
    Echo {
        name: "partial",
        status: 206,
        ..BODY
    },
];

impl Echo {
    /// All of them.
    pub const ALL: &[Self] = ECHOES;

    /// Its name in a suite.
    pub const fn as_str(self) -> &'static str {
        self.name
    }
}

/// The way of that name.
pub fn echo(name: &str) -> Option<Echo> {
    ECHOES.iter().copied().find(|echo| echo.name == name)
}

#[cfg(test)]
mod tests;
