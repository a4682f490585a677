//! What the demo prints: a heading for each step, a line for each thing that was
//! checked.

use std::io::IsTerminal as _;

/// Prints, and remembers whether all held.
pub(crate) struct Show {
    colours: bool,
    failed: usize,
    checked: usize,
}

impl Show {
    /// Colours on a terminal only, and not against `NO_COLOR`.
    pub(crate) fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Show {
            colours,
            failed: 0,
            checked: 0,
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// A step begins.
    pub(crate) fn step(&self, number: u32, title: &str) {
        println!("\n{}", self.paint("1", &format!("{number}. {title}")));
    }

    /// Something worth knowing.
    pub(crate) fn say(&self, text: &str) {
        println!("   {}", self.paint("2", text));
    }

    /// Something that was checked.
    pub(crate) fn check(&mut self, holds: bool, what: &str) {
        self.checked += 1;
        if holds {
            println!("   {} {what}", self.paint("32", "✓"));
        } else {
            self.failed += 1;
            println!("   {} {what}", self.paint("31;1", "✗ NOT TRUE:"));
        }
    }

    /// The last line. Returns whether all held.
    pub(crate) fn close(&self) -> bool {
        let (checked, failed) = (self.checked, self.failed);
        if failed == 0 {
            println!(
                "\n{}",
                self.paint("32;1", &format!("All {checked} checks held."))
            );
        } else {
            println!(
                "\n{}",
                self.paint(
                    "31;1",
                    &format!("{failed} of {checked} checks did not hold.")
                )
            );
        }
        failed == 0
    }
}
