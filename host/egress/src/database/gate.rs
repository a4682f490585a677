//! What a server may say. The client library does what the server asks at login, and
//! reads what it sends; a gate stands before it.
//!
//! At login, the gate lets through that no password is needed and SCRAM
//! (SCRAM-SHA-256, RFC 7677) of a bounded number of rounds, and nothing that would have
//! the password sent, or a hash of it (PostgreSQL, 55.2.1). Always, it counts what arrives: a server can't send more
//! than was asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What may arrive until the server is ready, in bytes.
const LOGIN_BYTES: u64 = 64 << 10;
/// What may arrive beside the rows of an answer, in bytes: descriptions, notices.
const BESIDE_ROWS: u64 = 64 << 10;

/// `R`: what the server asks for at login.
const AUTHENTICATION: u8 = b'R';
/// `Z`: the server is ready.
const READY: u8 = b'Z';
/// Nothing more; SASL; its next step; its last.
const HARMLESS: [u32; 4] = [0, 10, 11, 12];
/// In which the server says how often the password is to be hashed (RFC 5802, 5.1).
const SASL_CONTINUES: u32 = 11;
/// The most often: about half a second, in which the thread does nothing else. Servers
/// have 4,096 unless they are told otherwise.
const MAX_ROUNDS: u64 = 1_000_000;

/// What the gate has seen, for who reads the errors.
#[derive(Default)]
pub(super) struct Seen {
    left: AtomicU64,
    why: AtomicU8,
}

/// Why a gate closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The server asked for the password, or for endless work with it.
    WeakLogin = 1,
    /// It sent too much.
    TooMuch = 2,
}

impl Seen {
    /// Lets an answer of that many bytes of rows in, and closes after more.
    pub(super) fn expect(&self, bytes: u64) {
        let left = bytes.saturating_add(BESIDE_ROWS);
        self.left.store(left, Ordering::Relaxed);
    }

    /// Why the gate is closed, if it is.
    pub(super) fn closed(&self) -> Option<Closed> {
        match self.why.load(Ordering::Relaxed) {
            1 => Some(Closed::WeakLogin),
            2 => Some(Closed::TooMuch),
            _ => None,
        }
    }

    fn close(&self, why: Closed) -> io::Error {
        self.why.store(why as u8, Ordering::Relaxed);
        io::Error::from(io::ErrorKind::InvalidData)
    }
}

/// A connection to a database, behind its gate.
pub(super) struct Gate<S> {
    stream: S,
    seen: Arc<Seen>,
    /// None once the server was ready.
    login: Option<Login>,
}

/// Where in the server's messages the login is. A message is a tag, a length that
/// counts itself, and the rest (PostgreSQL, 55.7).
#[derive(Default)]
struct Login {
    /// The tag, the length, and the first four bytes of the rest.
    head: [u8; 9],
    have: usize,
    /// How much of the message follows after those that are looked at.
    skip: u64,
    /// In that, how often the password is to be hashed.
    rounds: Option<Rounds>,
}

/// Reads `i=4096` among the attributes of a message, which commas divide.
#[derive(Default)]
struct Rounds {
    /// How much of `,i=` stands before here; all of it while its digits come.
    read: u8,
    count: u64,
}

impl Rounds {
    /// Errors: they are too many.
    fn take(&mut self, byte: u8) -> Result<(), ()> {
        self.read = match (self.read, byte) {
            (3, b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                self.count = self.count.saturating_mul(10).saturating_add(digit);
                3
            }
            (_, b',') => 1,
            (1, b'i') => 2,
            (2, b'=') => {
                self.count = 0;
                3
            }
            _ => 0,
        };
        match self.count > MAX_ROUNDS {
            true => Err(()),
            false => Ok(()),
        }
    }
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        seen.left.store(LOGIN_BYTES, Ordering::Relaxed);
        let gate = Self {
            stream,
            seen: Arc::clone(&seen),
            login: Some(Login::default()),
        };
        (gate, seen)
    }

    fn look(&mut self, arrived: &[u8]) -> io::Result<()> {
        let bytes = arrived.len() as u64;
        let left = self.seen.left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(bytes) else {
            return Err(self.seen.close(Closed::TooMuch));
        };
        self.seen.left.store(left, Ordering::Relaxed);
        if let Some(login) = &mut self.login {
            match login.look(arrived) {
                Ok(false) => {}
                Ok(true) => self.login = None,
                Err(()) => return Err(self.seen.close(Closed::WeakLogin)),
            }
        }
        Ok(())
    }
}

impl Login {
    /// Whether the server is ready. Errors: it asks for what it isn't given.
    fn look(&mut self, mut arrived: &[u8]) -> Result<bool, ()> {
        while !arrived.is_empty() {
            let skipped = usize::try_from(self.skip)
                .unwrap_or(usize::MAX)
                .min(arrived.len());
            self.skip -= skipped as u64;
            let (rest, after) = arrived.split_at(skipped);
            if let Some(rounds) = &mut self.rounds {
                rest.iter().try_for_each(|byte| rounds.take(*byte))?;
            }
            arrived = after;
            let Some((byte, rest)) = arrived.split_first() else {
                break;
            };
            arrived = rest;
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            let [tag, l0, l1, l2, l3, rest @ ..] = self.head;
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            match (self.have, tag) {
                (0..=4, _) => {}
                (5, READY) => return Ok(true),
                // Too short to say what it asks for is not to be trusted either.
                (5, AUTHENTICATION) if length < 8 => return Err(()),
                (5..=8, AUTHENTICATION) => {}
                (9, AUTHENTICATION) => {
                    let asked = u32::from_be_bytes(rest);
                    if !HARMLESS.contains(&asked) {
                        return Err(());
                    }
                    self.next(u64::from(length) - 8);
                    self.rounds = (asked == SASL_CONTINUES).then(Rounds::default);
                }
                _ => self.next(u64::from(length).saturating_sub(4)),
            }
        }
        Ok(false)
    }

    fn next(&mut self, skip: u64) {
        self.have = 0;
        self.skip = skip;
        self.rounds = None;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &read {
            let arrived = buffer.filled().get(before..).unwrap_or_default();
            self.look(arrived)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;
    use tokio::io::AsyncReadExt as _;

    fn message(tag: u8, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(rest.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), rest].concat()
    }

    fn asks(code: u32, rest: &[u8]) -> Vec<u8> {
        message(AUTHENTICATION, &[&code.to_be_bytes()[..], rest].concat())
    }

    /// What a gate says of these bytes, arriving in parts of that length.
    async fn through(bytes: &[u8], part: usize) -> (io::Result<()>, Option<Closed>) {
        let (gate, seen) = Gate::new(bytes);
        let mut gate = gate;
        let mut buffer = vec![0; part];
        let read = loop {
            match gate.read(&mut buffer).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        (read, seen.closed())
    }

    #[tokio::test]
    async fn a_server_can_not_have_the_password_hashed_without_end() {
        for (attributes, passes) in [
            ("r=x,s=y,i=4096", true),
            ("r=x,s=y,i=1000000", true),
            ("r=xi=9999999,s=i=9999999,i=4096", true),
            ("r=x,s=y,i=1000001", false),
            ("r=x,s=y,i=4294967295", false),
            ("r=x,s=y,i=99999999999999999999999999", false),
            ("r=x,s=y,i=1,i=4294967295", false),
            ("r=x,s=y,i=00000000004294967295,x=1", false),
        ] {
            let login = [
                asks(10, b"SCRAM-SHA-256\0\0"),
                asks(11, attributes.as_bytes()),
                // Not in that message, it means nothing.
                message(b'S', b"a\0,i=4294967295\0"),
                message(READY, b"I"),
            ];
            for part in [1, 2, 5, 4096] {
                let (read, closed) = through(&login.concat(), part).await;
                assert_eq!(read.is_ok(), passes, "{attributes} by {part}");
                let expected = (!passes).then_some(Closed::WeakLogin);
                assert_eq!(closed, expected, "{attributes} by {part}");
            }
        }
    }

    #[tokio::test]
    async fn scram_passes_and_what_asks_for_the_password_does_not() {
        let scram = [
            asks(10, b"SCRAM-SHA-256\0\0"),
            asks(11, b"r=x,s=y,i=4096"),
            asks(12, b"v=z"),
            asks(0, b""),
            message(b'S', b"server_version\x0015\0"),
            message(b'K', &[0; 8]),
            message(READY, b"I"),
            // After that, it is a row or whatever.
            asks(3, b""),
        ]
        .concat();
        for part in [1, 2, 3, 7, 4096] {
            let (read, closed) = through(&scram, part).await;
            assert!(read.is_ok() && closed.is_none(), "control, by {part}");
            // Clear text, MD5, Kerberos, SCM, GSS, its next step, SSPI.
            for code in [2, 3, 5, 6, 7, 8, 9, 13, u32::MAX] {
                let asked = [message(b'N', b"hello\0"), asks(code, b"salt")].concat();
                let (read, closed) = through(&asked, part).await;
                assert!(read.is_err(), "{code} by {part}");
                assert_eq!(closed, Some(Closed::WeakLogin), "{code} by {part}");
            }
            let short = [&[AUTHENTICATION][..], &4_u32.to_be_bytes()].concat();
            assert_eq!(through(&short, part).await.1, Some(Closed::WeakLogin));
        }
    }

    #[tokio::test]
    async fn more_than_was_asked_for_does_not_pass() {
        let long = message(b'N', &vec![b'x'; 60 << 10]);
        assert_eq!(through(&long, 4096).await.1, None, "control");
        let twice = [long.clone(), long].concat();
        assert_eq!(through(&twice, 4096).await.1, Some(Closed::TooMuch));
    }
}
