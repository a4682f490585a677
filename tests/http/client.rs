//! A client that sends bytes as they are, and reads what comes back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::h2;

/// How long to wait for a first answer: longer than any gateway takes to read what
/// is there, shorter than it waits for more.
const FIRST: Duration = Duration::from_secs(3);
/// How long to wait for one more answer.
const NEXT: Duration = Duration::from_millis(250);

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Final statuses, in order.
    pub(crate) statuses: Vec<u16>,
    /// How an HTTP/2 server ended the stream or the connection, if it did.
    pub(crate) reset: Option<String>,
    /// All the text.
    pub(crate) text: String,
    pub(crate) closed: bool,
}

impl Answers {
    /// Whether nothing more is to be waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.closed || self.reset.is_some() || !self.statuses.is_empty()
    }

    /// In a word: the first status that is no success, else how it ended.
    pub(crate) fn told(&self) -> String {
        match (
            self.statuses.iter().find(|status| **status >= 300),
            &self.reset,
        ) {
            (Some(status), _) => status.to_string(),
            (None, Some(reset)) => reset.clone(),
            (None, None) => "closed".to_owned(),
        }
    }
}

/// Sends `bytes` and collects up to `expected` answers.
pub(crate) fn exchange(server: SocketAddr, bytes: &[u8], expected: usize, http2: bool) -> Answers {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    // A server may refuse before it has read everything.
    let _ = stream.write_all(bytes);
    let is_head = bytes.starts_with(b"HEAD ");
    let mut received = Vec::new();
    let mut answers = Answers::default();
    loop {
        let patience = if answers.is_over() { NEXT } else { FIRST };
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 16 << 10];
        match stream.read(&mut buffer) {
            Ok(0) => answers.closed = true,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return answers;
            }
            Err(_) => answers.closed = true,
        }
        let closed = answers.closed;
        answers = if http2 {
            h2::answers(&received)
        } else {
            http1(&received, is_head)
        };
        answers.closed = closed;
        if closed || answers.statuses.len() >= expected || answers.reset.is_some() {
            return answers;
        }
    }
}

/// The whole answers at the beginning of what was received.
fn http1(received: &[u8], is_head: bool) -> Answers {
    let text: String = received.iter().map(|byte| char::from(*byte)).collect();
    let mut answers = Answers {
        text: text.clone(),
        ..Answers::default()
    };
    let mut rest = text.as_str();
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let Some(status) = head
            .strip_prefix("HTTP/1.")
            .and_then(|line| line.get(2..5))
            .and_then(|status| status.parse().ok())
        else {
            break;
        };
        if status < 200 {
            rest = after;
            continue;
        }
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .and_then(|length| length.trim().parse::<usize>().ok());
        let end = if is_head || status == 204 || status == 304 {
            Some(0)
        } else if lower.contains("transfer-encoding: chunked") {
            after.find("0\r\n\r\n").map(|at| at + 5)
        } else {
            length.or(Some(after.len()))
        };
        match end.and_then(|end| after.get(end..)) {
            Some(next) => {
                answers.statuses.push(status);
                rest = next;
            }
            None => break,
        }
    }
    answers
}
