//! Whether the head of an HTTP/1 request can be read in one way only, and how its
//! body is framed. At least as strict as RFC 9112 and the proxies that stand
//! before or behind: where two servers could disagree, the request is refused.

use keyward::is_authority;
use keyward::vault::names_alike;

/// How a request's body is framed (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes; 0 where nothing is said.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) framing: Framing,
    /// It asks for another protocol (RFC 9110, 7.8).
    pub(crate) upgrade: bool,
}

/// The head is malformed or ambiguous. Nobody is told how: who sends such a head
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

type Checked<T> = Result<T, Ambiguous>;

fn require(holds: bool) -> Checked<()> {
    if holds { Ok(()) } else { Err(Ambiguous) }
}

/// RFC 9110, 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Bytes of a field's value: RFC 9110, 5.5, obs-text included, since what it means
/// is for the backend to say.
fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// Checks a whole head, from its request line to its empty line, both included.
pub(crate) fn check(head: &[u8]) -> Checked<Head> {
    let mut lines = Lines(head);
    let line = request_line(lines.next().ok_or(Ambiguous)?)?;
    let mut fields = Fields::default();
    for line in lines {
        if line.is_empty() {
            break;
        }
        fields.take(line)?;
    }
    let upgrade = fields.upgrade;
    let framing = fields.judge(&line)?;
    Ok(Head { framing, upgrade })
}

/// What a request line says.
struct RequestLine<'a> {
    target: &'a [u8],
    /// HTTP/1.1, and not 1.0.
    is_one_one: bool,
}

/// Checks a request line, without its end.
pub(crate) fn check_request_line(line: &[u8]) -> Checked<()> {
    request_line(line).map(|_| ())
}

fn request_line(line: &[u8]) -> Checked<RequestLine<'_>> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (method, target, version) = match (parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version)) => (method, target, version),
        _ => return Err(Ambiguous),
    };
    require(parts.next().is_none())?;
    // Methods are case-sensitive; backends exist to which `get` is GET.
    let (first, rest) = method.split_first().ok_or(Ambiguous)?;
    let is_method =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(byte);
    require(first.is_ascii_uppercase() && rest.iter().all(is_method) && method.len() <= 32)?;
    // CONNECT asks for a tunnel; there is none to be had.
    require(method != b"CONNECT")?;
    let is_one_one = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ => return Err(Ambiguous),
    };
    // RFC 9112, 3.2: no white space, no control characters; RFC 3986: ASCII, and
    // no fragment in what is sent.
    require(
        target
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'#'),
    )?;
    require(target.first() == Some(&b'/') || absolute_authority(target).is_some())?;
    Ok(RequestLine { target, is_one_one })
}

/// The authority of a target in absolute form with a scheme of ours.
fn absolute_authority(target: &[u8]) -> Option<&[u8]> {
    let rest = [&b"http://"[..], b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })?;
    let end = rest
        .iter()
        .position(|byte| b"/?".contains(byte))
        .unwrap_or(rest.len());
    rest.get(..end)
}

/// The fields that decide about framing and destination.
#[derive(Default)]
struct Fields<'a> {
    length: Option<u64>,
    is_chunked: bool,
    host: Option<&'a [u8]>,
    upgrade: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, line: &'a [u8]) -> Checked<()> {
        // A line that begins with white space is a folded one (RFC 9112, 5.2),
        // and has no token before its colon.
        let colon = line
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Ambiguous)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Ambiguous)?;
        let value = value.get(1..).unwrap_or_default();
        require(!name.is_empty() && name.iter().copied().all(is_token_byte))?;
        require(value.iter().copied().all(is_value_byte))?;
        let value = value.trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                require(self.host.replace(value).is_none())?;
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if names_alike(name, b"content-length") => {
                // Spelled in another way, it is one to some servers and none to others.
                require(name.contains(&b'-') && self.length.is_none())?;
                self.length = Some(decimal(value)?);
            }
            17 if names_alike(name, b"transfer-encoding") => {
                require(name.contains(&b'-') && !self.is_chunked)?;
                // No tab before it either, which some take for a part of the word.
                require(value.eq_ignore_ascii_case(b"chunked") && !line.contains(&b'\t'))?;
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn judge(self, line: &RequestLine<'_>) -> Checked<Framing> {
        match self.host {
            Some(host) => {
                require(is_authority(host))?;
                if let Some(authority) = absolute_authority(line.target) {
                    require(authority.eq_ignore_ascii_case(host))?;
                }
            }
            None => require(!line.is_one_one)?,
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Ambiguous),
            // RFC 9112, 6.1: HTTP/1.0 knows no transfer encoding.
            (true, None) => require(line.is_one_one).map(|()| Framing::Chunked),
            (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }
}

/// RFC 9110, 8.6: digits only. More than 18 are no length of a body.
fn decimal(value: &[u8]) -> Checked<u64> {
    require((1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit))?;
    Ok(value
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Checks a line of a trailer section (RFC 9110, 6.5): a field, and none that says
/// how the message is to be read.
pub(crate) fn check_trailer(line: &[u8]) -> Checked<()> {
    let mut fields = Fields::default();
    fields.take(line)?;
    require(fields.host.is_none() && fields.length.is_none() && !fields.is_chunked)
}

/// The lines of a text in which each line is known to end with CR LF.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}
