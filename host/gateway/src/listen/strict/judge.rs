//! Follows the bytes of an HTTP/1 connection and says how many of them may pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::chunks::Chunks;
use super::head::{self, Ambiguous, Framing, Head};

/// Says when a connection stops being HTTP/1, after a request that asks for that: the
/// next bytes are another protocol's, and nobody's to judge here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tunnel(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    open: AtomicBool,
    answered: AtomicU64,
}

impl Tunnel {
    /// The request that asked is agreed to. Before [`answered`](Self::answered).
    pub(crate) fn open(&self) {
        self.0.open.store(true, Ordering::Release);
    }

    /// One more request has its answer.
    pub(crate) fn answered(&self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
    }

    fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Acquire)
    }

    fn has_answered(&self, requests: u64) -> bool {
        self.0.answered.load(Ordering::Acquire) >= requests
    }
}

/// What a connection's next bytes have to be.
#[derive(Debug)]
enum State {
    Head,
    /// So many bytes of a body.
    Body(u64),
    Chunked(Chunks),
    /// A head, or another protocol's: the answer to the last request tells.
    Asked,
    /// Nothing is judged any more: it is another protocol.
    Open,
    /// Nothing passes any more.
    Refused(Refusal),
}

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A head, which can be answered.
    Head,
    /// A head for its length, which has an answer of its own.
    Long,
    /// A body, whose head is being acted on already.
    Body,
}

/// Reads along.
#[derive(Debug)]
pub(crate) struct Judge {
    state: State,
    /// One empty line was skipped before the head (RFC 9112, 2.2).
    skipped: bool,
    /// Bytes of the head that is coming in up to the last line end.
    scanned: usize,
    /// Bytes of it in which the next line end was looked for.
    searched: usize,
    /// Heads that passed.
    requests: u64,
    tunnel: Tunnel,
    max_head: usize,
}

impl Judge {
    pub(crate) fn new(tunnel: Tunnel, max_head: usize) -> Self {
        Self {
            state: State::Head,
            skipped: false,
            scanned: 0,
            searched: 0,
            requests: 0,
            tunnel,
            max_head,
        }
    }

    /// Nothing is judged any more.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Nothing can be judged before the last request is answered.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Asked) && !self.is_told()
    }

    /// What came while it was [waiting](Self::is_waiting) can be judged.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, State::Asked) && self.is_told()
    }

    fn is_told(&self) -> bool {
        self.tunnel.is_open() || self.tunnel.has_answered(self.requests)
    }

    /// What made it stop, if something did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.state {
            State::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// How many of the first bytes may pass. The caller keeps the others and
    /// brings them again, in front of those that come next, unless there is a
    /// [refusal](Self::refusal).
    pub(crate) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut passing = 0;
        while let Some(rest) = bytes.get(passing..).filter(|rest| !rest.is_empty()) {
            let here = match &mut self.state {
                State::Head => match self.head(rest) {
                    Some(here) => here,
                    None => break,
                },
                State::Body(missing) => {
                    let here = usize::try_from(*missing)
                        .unwrap_or(usize::MAX)
                        .min(rest.len());
                    *missing = missing.saturating_sub(u64::try_from(here).unwrap_or(0));
                    if *missing == 0 {
                        self.state = State::Head;
                    }
                    here
                }
                State::Chunked(chunks) => match chunks.take(rest) {
                    Ok((here, ended)) => {
                        if ended {
                            self.state = State::Head;
                        }
                        here
                    }
                    Err(Ambiguous) => {
                        self.state = State::Refused(Refusal::Body);
                        break;
                    }
                },
                State::Asked => {
                    if self.is_waiting() {
                        break;
                    }
                    self.state = match self.tunnel.is_open() {
                        true => State::Open,
                        false => State::Head,
                    };
                    0
                }
                State::Open => rest.len(),
                State::Refused(_) => break,
            };
            passing += here;
        }
        passing
    }

    /// Looks for a head's end. None: more has to come, or it is refused.
    fn head(&mut self, bytes: &[u8]) -> Option<usize> {
        while let Some(length) = bytes
            .get(self.searched..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.searched.saturating_add(length);
            self.searched = end + 1;
            let line = bytes.get(self.scanned..end).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\r") else {
                return self.refuse();
            };
            if self.scanned == 0 {
                if line.is_empty() {
                    if self.skipped {
                        return self.refuse();
                    }
                    // hyper skips it, too.
                    self.skipped = true;
                    self.searched = 0;
                    return Some(end + 1);
                }
                // Who sends HTTP/0.9 waits for the answer and ends no head.
                if head::check_request_line(line).is_err() {
                    return self.refuse();
                }
            }
            self.scanned = end + 1;
            if line.is_empty() {
                return self.head_ended(bytes.get(..=end)?);
            }
        }
        self.searched = bytes.len();
        if bytes.len() > self.max_head {
            self.state = State::Refused(Refusal::Long);
        }
        None
    }

    fn head_ended(&mut self, head: &[u8]) -> Option<usize> {
        if head.len() > self.max_head {
            self.state = State::Refused(Refusal::Long);
            return None;
        }
        let Ok(Head { framing, upgrade }) = head::check(head) else {
            return self.refuse();
        };
        self.requests = self.requests.saturating_add(1);
        self.state = match framing {
            Framing::Length(0) if upgrade => State::Asked,
            Framing::Length(0) => State::Head,
            Framing::Length(length) => State::Body(length),
            Framing::Chunked => State::Chunked(Chunks::new()),
        };
        self.scanned = 0;
        self.searched = 0;
        self.skipped = false;
        Some(head.len())
    }

    fn refuse(&mut self) -> Option<usize> {
        self.state = State::Refused(Refusal::Head);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_searched_once_however_it_comes() {
        let head = [
            b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
            &[b'a'; 5000][..],
            b"\r\n\r\n",
        ]
        .concat();
        let mut judge = Judge::new(Tunnel::default(), 8192);
        for length in 1..head.len() {
            let so_far = head.get(..length).unwrap_or_default();
            assert_eq!(judge.take(so_far), 0);
            assert_eq!(judge.searched, length, "the rest is searched again");
        }
        assert_eq!(judge.take(&head), head.len());
        assert_eq!(judge.searched, 0);
    }
}
