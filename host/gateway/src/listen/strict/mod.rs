//! A reader in front of hyper's HTTP/1 parser that lets through only what can be
//! read in one way.
//!
//! hyper accepts some requests that another server reads differently: two lengths,
//! line ends without CR, white space where none belongs. Who stands behind Keyward
//! may be that other server. So each head is read here first, as a whole, and the
//! framing of each body is followed. A head that fails is replaced by bytes that
//! hyper answers with 400; a body that fails ends the connection. Behind a request
//! that asks for another protocol nothing passes before that is answered: what comes
//! may be the other protocol's.

mod chunks;
mod head;
mod judge;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

pub(crate) use judge::Tunnel;
use judge::{Judge, Refusal};

/// What hyper can't take for a request, and answers with 400.
const POISON: &[u8] = b"\0\r\n\r\n";

/// The beginning of a head that never ends, which hyper answers with 431.
const ENDLESS: &[u8] = b"GET / HTTP/1.1\r\nx: ";

/// As many bytes are kept that come before it is known whose they are.
const EARLY: usize = 16 * 1024;

/// As many bytes as are read at once behind a head that came in parts.
const READ: usize = 4 * 1024;

/// The reader. What is written passes.
pub(crate) struct Strict<S> {
    stream: S,
    judge: Judge,
    /// What was read and not judged yet: a head that isn't there as a whole.
    held: BytesMut,
    /// What was judged and waits for whoever reads.
    passed: BytesMut,
    /// Has the refused head been answered?
    poisoned: bool,
    head_timeout: Duration,
    /// Runs while a head is there in parts.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Strict<S> {
    /// Judges what `stream` brings, after `first`, which it has brought already.
    /// A head that is longer than `max_head` bytes is answered with 431; hyper's
    /// own limit, which is one of its buffer, must not be lower. One that takes longer than `head_timeout` from its first byte ends the
    /// connection.
    pub(crate) fn new(
        stream: S,
        first: BytesMut,
        tunnel: Tunnel,
        max_head: usize,
        head_timeout: Duration,
    ) -> Self {
        let mut strict = Self {
            stream,
            judge: Judge::new(tunnel, max_head),
            held: first,
            passed: BytesMut::new(),
            poisoned: false,
            head_timeout,
            deadline: None,
        };
        strict.judge_held();
        strict
    }

    fn judge_held(&mut self) {
        let passing = self.judge.take(&self.held);
        if passing > 0 {
            // What is left is the beginning of another head.
            self.deadline = None;
        }
        self.passed.unsplit(self.held.split_to(passing));
    }
}

impl<S: AsyncRead + Unpin> Strict<S> {
    /// Reads into `buffer` and leaves there what passes. Ready with false at the
    /// end.
    fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            return Poll::Ready(Ok(false));
        }
        let passing = self.judge.take(read);
        self.held
            .extend_from_slice(read.get(passing..).unwrap_or_default());
        buffer.set_filled(before.saturating_add(passing));
        Poll::Ready(Ok(true))
    }

    /// Reads behind what is held. Ready with false at the end.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let before = self.held.len();
        self.held.resize(before.saturating_add(READ), 0);
        let mut buffer = ReadBuf::new(self.held.get_mut(before..).unwrap_or_default());
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
        let read = buffer.filled().len();
        self.held.truncate(before.saturating_add(read));
        ready!(polled)?;
        self.judge_held();
        Poll::Ready(Ok(read > 0))
    }

    /// Ready when a head has been coming in for too long.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.head_timeout;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() && this.judge.is_ready() {
            this.judge_held();
        }
        loop {
            if !this.passed.is_empty() {
                let length = this.passed.len().min(buffer.remaining());
                buffer.put_slice(this.passed.get(..length).unwrap_or_default());
                this.passed.advance(length);
                return Poll::Ready(Ok(()));
            }
            match this.judge.refusal() {
                Some(Refusal::Head) if !this.poisoned => {
                    this.poisoned = true;
                    this.passed.extend_from_slice(POISON);
                    continue;
                }
                Some(Refusal::Long) => {
                    let more: &[u8] = match this.poisoned {
                        true => &[b'x'; 1024],
                        false => ENDLESS,
                    };
                    this.poisoned = true;
                    this.passed.extend_from_slice(more);
                    continue;
                }
                Some(_) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                None => {}
            }
            let is_waiting = this.judge.is_waiting();
            if is_waiting && this.held.len() >= EARLY {
                // Who reads comes again when it has answered.
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            let polled = if this.held.is_empty() {
                this.deadline = None;
                if this.judge.is_open() {
                    return Pin::new(&mut this.stream).poll_read(cx, buffer);
                }
                this.poll_into(cx, buffer)
            } else {
                this.poll_more(cx)
            };
            match polled {
                Poll::Ready(Ok(true)) if buffer.filled().len() == before => {}
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if this.held.is_empty() || is_waiting => return Poll::Pending,
                Poll::Pending => {
                    return Poll::Ready(Err(ready!(this.poll_deadline(cx))));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// What of these parts of a connection passes the reader, and whether it refused
/// one of them: for fuzzing.
#[cfg(feature = "fuzz")]
pub fn passing<'a>(parts: impl IntoIterator<Item = &'a [u8]>, max_head: usize) -> (Vec<u8>, bool) {
    let tunnel = Tunnel::default();
    let mut judge = Judge::new(tunnel.clone(), max_head);
    let (mut held, mut passed) = (BytesMut::new(), Vec::new());
    for part in parts {
        if judge.refusal().is_some() {
            break;
        }
        held.extend_from_slice(part);
        loop {
            let passing = judge.take(&held);
            passed.extend_from_slice(&held.split_to(passing));
            // Nobody agrees to another protocol.
            match judge.is_waiting() {
                true => tunnel.answered(),
                false => break,
            }
        }
    }
    (passed, judge.refusal().is_some())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
