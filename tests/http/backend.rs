//! A backend that records what it gets, byte for byte, reads it as leniently as any
//! server does, and answers each request on the same connection with its target.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::strict::{Framing, Head};

/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A request, as far as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) head: Head,
    pub(crate) body: usize,
    pub(crate) complete: bool,
}

type Shared = Arc<Mutex<Vec<Arc<Mutex<Seen>>>>>;

/// A backend that listens until the process ends.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Shared,
}

impl Backend {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Shared::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Backend { address, seen }
    }

    /// What has come since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.drain(..)
            .map(|seen| seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }
}

struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads until `enough` says how many bytes belong together, and takes them.
    fn until(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = enough(&self.buffer) {
                return Some(self.buffer.drain(..length).collect());
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(read) if read > 0 => self.buffer.extend_from_slice(&bytes[..read]),
                _ => return None,
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        self.until(|bytes| {
            bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| at + 1)
        })
    }
}

/// Where a head ends, for a reader that takes LF for a line's end.
fn head_length(bytes: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = bytes[start..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[start..start + end];
        start += end + 1;
        // Empty lines before a request are skipped, RFC 9112, 2.2.
        if start > 2 && (line.is_empty() || line == b"\r") {
            return Some(start);
        }
    }
    None
}

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_read_timeout(Some(SILENCE));
    let _ = stream.set_nodelay(true);
    let mut reader = Reader {
        stream,
        buffer: Vec::new(),
    };
    loop {
        let Some(bytes) = reader.until(head_length) else {
            if !reader.buffer.is_empty() {
                let head = Head::read(&reader.buffer);
                note(
                    shared,
                    Seen {
                        head,
                        body: 0,
                        complete: false,
                    },
                );
            }
            return;
        };
        let head = Head::read(&bytes);
        let (method, target, framing) = (head.method.clone(), head.target.clone(), head.framing);
        let seen = note(
            shared,
            Seen {
                head,
                body: 0,
                complete: false,
            },
        );
        let body = match framing {
            Framing::None => Some((0, Vec::new())),
            Framing::Length(length) => reader
                .until(|bytes| (bytes.len() >= length).then_some(length))
                .map(|body| (body.len(), Vec::new())),
            Framing::Chunked => chunks(&mut reader),
        };
        let Some((length, oddities)) = body else {
            return;
        };
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.body = length;
            seen.complete = true;
            seen.head.oddities.extend(oddities);
        }
        let text = format!("served {target}");
        let length = text.len();
        let body = if method == "HEAD" { "" } else { &text };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        if reader.stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn note(shared: &Shared, seen: Seen) -> Arc<Mutex<Seen>> {
    let seen = Arc::new(Mutex::new(seen));
    shared
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Arc::clone(&seen));
    seen
}

/// A chunked body: its length, and what is odd about it.
fn chunks(reader: &mut Reader) -> Option<(usize, Vec<&'static str>)> {
    let mut length = 0;
    let mut oddities = Vec::new();
    loop {
        let line = reader.line()?;
        let Some(line) = line.strip_suffix(b"\r\n") else {
            oddities.push("a chunk's line ends without CR");
            return None;
        };
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        match line.get(digits) {
            None if digits > 0 => {}
            Some(b';') if digits > 0 => oddities.push("a chunk extension"),
            _ => return None,
        }
        let size = std::str::from_utf8(&line[..digits]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            break;
        }
        length += size;
        let chunk = reader.until(|bytes| (bytes.len() >= size + 2).then_some(size + 2))?;
        if !chunk.ends_with(b"\r\n") {
            return None;
        }
    }
    loop {
        let line = reader.line()?;
        if line == b"\r\n" || line == b"\n" {
            return Some((length, oddities));
        }
        oddities.push("a trailer field");
    }
}
