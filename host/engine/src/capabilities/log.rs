//! Log lines: escaped, capped, and held back while the audit trail does not yet
//! hold what they may depend on.

use crate::bindings::keyward::policy::log::{Host, Level};
use crate::exchange::{LogLevel, LogLine};
use crate::state::CallState;

impl Host for CallState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.enter_with(message.len())?;
        self.spent.log_lines += 1;
        if self.spent.log_lines > self.policy.limits.log_lines {
            self.exchange.logs_dropped = self.exchange.logs_dropped.saturating_add(1);
            return Ok(());
        }
        let line = LogLine {
            policy: self.policy.identity.name.clone(),
            exchange: self.exchange.id,
            level: match level {
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            message: escaped(&message, self.policy.limits.log_line_bytes),
        };
        self.exchange.logs.push(line);
        Ok(())
    }
}

/// The message in printable ASCII, at most `most` bytes: what is neither is
/// escaped, so that a line stays one line in every terminal and parser.
pub(crate) fn escaped(message: &str, most: usize) -> String {
    let mut text = String::with_capacity(message.len().min(most));
    for character in message.chars() {
        let start = text.len();
        if character == ' ' || (character.is_ascii_graphic() && character != '\\') {
            text.push(character);
        } else {
            text.extend(character.escape_default());
        }
        if text.len() > most {
            text.truncate(start);
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_message_stays_one_line_and_within_its_limit() {
        assert_eq!(escaped("a\nb\u{1b}[31m", 100), "a\\nb\\u{1b}[31m");
        assert_eq!(escaped("\u{202e}x", 100), "\\u{202e}x");
        assert_eq!(escaped("abcdef", 3), "abc");
        // An escape is never cut in two.
        assert_eq!(escaped("ab\n", 3), "ab");
    }
}
