//! Follows a chunked body (RFC 9112, 7.1) byte by byte, to know where it ends and
//! that nobody can see its end elsewhere.

use super::head::{Ambiguous, check_trailer};

/// The most bytes of a line: a chunk's size with its extensions, or a trailer.
const MAX_LINE: usize = 4096;

/// The most bytes of a trailer section.
const MAX_TRAILERS: usize = 16 * 1024;

/// Where in a chunked body the next byte stands.
#[derive(Debug)]
pub(crate) struct Chunks {
    state: State,
    /// The line that is being read, without its CR LF.
    line: Vec<u8>,
    /// Bytes of trailers so far.
    trailers: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A chunk's size.
    Size,
    /// So many bytes of a chunk are missing.
    Data(u64),
    /// The CR LF behind a chunk's bytes.
    DataCr,
    DataLf,
    /// The trailer section.
    Trailer,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            line: Vec::new(),
            trailers: 0,
        }
    }

    /// Takes bytes of the body. Returns how many belong to it, and whether it has
    /// ended with them.
    ///
    /// Errors: the framing is malformed, or can be read in two ways.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Ambiguous> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Data(missing) => {
                    let here = usize::try_from(missing)
                        .unwrap_or(usize::MAX)
                        .min(rest.len());
                    taken += here;
                    let missing = missing.saturating_sub(u64::try_from(here).unwrap_or(0));
                    self.state = match missing {
                        0 => State::DataCr,
                        missing => State::Data(missing),
                    };
                }
                State::DataCr | State::DataLf => {
                    let (awaited, next) = match self.state {
                        State::DataCr => (b'\r', State::DataLf),
                        _ => (b'\n', State::Size),
                    };
                    if rest.first() != Some(&awaited) {
                        return Err(Ambiguous);
                    }
                    taken += 1;
                    self.state = next;
                }
                State::Size | State::Trailer => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    let here = end.map_or(rest.len(), |end| end + 1);
                    let part = rest.get(..here).unwrap_or_default();
                    taken += here;
                    if self.line.len().saturating_add(here) > MAX_LINE {
                        return Err(Ambiguous);
                    }
                    self.line.extend_from_slice(part);
                    if end.is_some() && self.line_ended()? {
                        return Ok((taken, true));
                    }
                }
            }
        }
        Ok((taken, false))
    }

    /// Judges a whole line. Whether the body ends with it.
    fn line_ended(&mut self) -> Result<bool, Ambiguous> {
        let line = self.line.strip_suffix(b"\r\n").ok_or(Ambiguous)?;
        let mut ended = false;
        match self.state {
            State::Trailer => {
                self.trailers = self.trailers.saturating_add(self.line.len());
                if line.is_empty() {
                    ended = true;
                } else if self.trailers > MAX_TRAILERS {
                    return Err(Ambiguous);
                } else {
                    check_trailer(line)?;
                }
            }
            _ => {
                self.state = match size(line)? {
                    0 => State::Trailer,
                    size => State::Data(size),
                };
            }
        }
        self.line.clear();
        Ok(ended)
    }
}

/// A chunk's size, in front of extensions that nobody reads.
fn size(line: &[u8]) -> Result<u64, Ambiguous> {
    let digits = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let (size, extensions) = line.split_at_checked(digits).ok_or(Ambiguous)?;
    // 15 digits are a petabyte.
    if size.is_empty() || size.len() > 15 {
        return Err(Ambiguous);
    }
    // RFC 9112, 7.1.1. White space before the semicolon is what RFC 9112 warns of.
    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte < 0x7f);
    let are_extensions =
        extensions.is_empty() || (extensions.starts_with(b";") && extensions.iter().all(is_text));
    if !are_extensions || extensions.len() > 256 {
        return Err(Ambiguous);
    }
    let size = std::str::from_utf8(size).map_err(|_| Ambiguous)?;
    u64::from_str_radix(size, 16).map_err(|_| Ambiguous)
}
