//! The line in the log for each exchange: names and numbers of ours, never a
//! query, a header or a body, and a path only where `[log] path` asks for it.

use std::fmt;

use super::watch::Told;
use crate::config::LogSection;

/// The longest path in a line, in characters.
const MAX_PATH: usize = 256;

/// Writes it.
pub(super) fn write(log: &LogSection, told: &Told<'_>) {
    if !log.access {
        return;
    }
    let path = told.path.map(Escaped);
    let path = path.as_ref().map(tracing::field::display);
    let Told {
        id,
        client,
        method,
        protocol,
        tls,
        pipeline,
        route,
        status,
        received,
        sent,
        elapsed_us,
        first_byte_us,
        backend_us,
        stopped_by,
        denials,
        ..
    } = told;
    macro_rules! line {
        ($level:ident, $($message:tt)+) => {
            tracing::$level!(
                target: "keyward::access",
                exchange = %id, client = %client, method, protocol, tls, pipeline, route, path,
                status, received, sent, elapsed_us, first_byte_us, backend_us, stopped_by,
                denials, $($message)+
            )
        };
    }
    match told.failure {
        None => line!(info, "exchange"),
        Some(failure) => line!(warn, "exchange failed: {failure}"),
    }
}

/// A path that can't end a line, move a cursor or fill a disk.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars().take(MAX_PATH) {
            match c {
                ' '..='~' if c != '\\' && c != '"' => write!(f, "{c}")?,
                c => write!(f, "{}", c.escape_default())?,
            }
        }
        if self.0.chars().nth(MAX_PATH).is_some() {
            f.write_str("…")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_t_end_a_line_nor_be_longer_than_a_line_should() {
        assert_eq!(Escaped("/a/b c").to_string(), "/a/b c");
        assert_eq!(Escaped("/\n\u{1b}[2J\"").to_string(), "/\\n\\u{1b}[2J\\\"");
        let long = format!("/{}", "a".repeat(1000));
        assert_eq!(Escaped(&long).to_string().chars().count(), MAX_PATH + 1);
    }
}
