//! Where words go: data to standard output, everything else to standard error.
//!
//! With `--output json` the data is one JSON value; keys are in kebab-case and
//! stay as they are. Escapes for colours are written to a terminal only, unless
//! `CLICOLOR_FORCE` says otherwise, and never if `NO_COLOR` is set.

#![expect(
    clippy::print_stderr,
    reason = "messages to the person at the terminal"
)]

use std::io::{IsTerminal, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Failure;

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Lines and tables for people.
    #[default]
    Text,
    /// One JSON value for programs.
    Json,
}

/// The two streams of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    /// How data is written.
    pub(crate) fn format(self) -> Format {
        self.format
    }

    /// Writes the command's data. A reader that has gone away is no error: what
    /// it wanted to read it has read.
    pub(crate) fn data(self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        let mut out = match self.format {
            Format::Text => text(),
            Format::Json => format!("{:#}", json()),
        };
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        let mut stdout = std::io::stdout().lock();
        let _ = stdout
            .write_all(out.as_bytes())
            .and_then(|()| stdout.flush());
    }

    /// Writes one line of many, or one object on a line. `false`: nobody reads.
    pub(crate) fn line(self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> bool {
        let line = match self.format {
            Format::Text => text(),
            Format::Json => json().to_string(),
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .is_ok()
    }

    /// Writes one thing, in words or as it is.
    pub(crate) fn entry<T: Serialize>(
        self,
        entry: &T,
        words: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let json = serde_json::to_value(entry).map_err(Failure::new)?;
        self.data(|| words(entry), || json);
        Ok(())
    }

    /// Writes several things, in words or as they are.
    pub(crate) fn entries<T: Serialize>(
        self,
        entries: &[T],
        words: impl FnOnce(&[T]) -> String,
    ) -> Result<(), Failure> {
        let json = serde_json::to_value(entries).map_err(Failure::new)?;
        self.data(|| words(entries), || json);
        Ok(())
    }

    /// Asks the person at the terminal.
    pub(crate) fn ask(self, question: &str) {
        eprint!("{question}");
    }

    /// Says something to the person at the terminal.
    pub(crate) fn say(self, line: impl AsRef<str>) {
        eprintln!("{}", line.as_ref());
    }

    /// Warns the person at the terminal.
    pub(crate) fn warn(self, line: impl AsRef<str>) {
        eprintln!("{} {}", self.paint(YELLOW, "warning:"), line.as_ref());
    }

    /// Says what went wrong, why, and what to do about it.
    pub(crate) fn failure(self, failure: &Failure) {
        let message = failure.error.to_string();
        // Findings in a file come with the word already.
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        // Some errors repeat their cause in their own words.
        let mut causes: Vec<String> = Vec::new();
        for cause in failure.error.chain().skip(1).map(ToString::to_string) {
            if !message.contains(&cause) && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        match self.format {
            Format::Json => {
                let error = json!({
                    "exit": failure.exit as u8,
                    "message": message,
                    "causes": causes,
                    "help": failure.help,
                });
                eprintln!("{}", json!({ "error": error }));
            }
            Format::Text => {
                // A finding in a document has its code instead.
                if message.starts_with("error[") {
                    eprintln!("{message}");
                } else {
                    eprintln!("{} {message}", self.paint(RED, "error:"));
                }
                for cause in causes {
                    eprintln!("  caused by: {cause}");
                }
                if let Some(help) = &failure.help {
                    eprintln!("{} {help}", self.paint(CYAN, "help:"));
                }
            }
        }
    }

    /// Whether standard error takes colours.
    pub(crate) fn colours(self) -> bool {
        self.colours_of(std::io::stderr().is_terminal())
    }

    /// Whether standard output takes colours.
    pub(crate) fn data_colours(self) -> bool {
        self.colours_of(std::io::stdout().is_terminal())
    }

    fn colours_of(self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("NO_COLOR") {
            return false;
        }
        let forced = std::env::var_os("CLICOLOR_FORCE")
            .is_some_and(|value| !value.is_empty() && value != "0");
        forced || terminal
    }

    /// For messages on standard error.
    pub(crate) fn paint(self, colour: &str, text: &str) -> String {
        match self.colours() {
            true => format!("\u{1b}[1;{colour}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

pub(crate) const RED: &str = "31";
pub(crate) const YELLOW: &str = "33";
pub(crate) const CYAN: &str = "36";

/// `1 secret`, `2 secrets`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Rows under a heading, in columns as wide as they need to be.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heading.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heading = heading.map(str::to_owned);
    let mut out = String::new();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            let gap = width.saturating_sub(cell.chars().count()).saturating_add(2);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up() {
        let rows = [
            ["a".to_owned(), "1".to_owned()],
            ["billing-key".to_owned(), "12".to_owned()],
        ];
        assert_eq!(
            table(["NAME", "VERSION"], &rows),
            "NAME         VERSION\na            1\nbilling-key  12\n"
        );
    }
}
