//! `trace`: a line in the log. No secret can stand in it, since none comes here.

use keyward_document_program::statements::Element;
use keyward_document_program::{AttributeName as A, ElementName as E};
use keyward_policy::Level;

use crate::run::error::Stop;
use crate::run::{Flow, Runner};

impl Runner<'_, '_> {
    pub(crate) fn trace_statement(&mut self, element: &Element) -> Result<Flow, Stop> {
        let level = match self.text(element, A::Severity)?.as_deref() {
            Some("error") => Level::Error,
            Some("information") => Level::Info,
            _ => Level::Debug,
        };
        let mut line = self.required(element, A::Source)?.to_string();
        let program = self.program;
        for message in program.statements.children_named(element, E::Message) {
            line.push_str(": ");
            line.push_str(&self.content(message)?.unwrap_or_default());
        }
        for metadata in program.statements.children_named(element, E::Metadata) {
            line.push(' ');
            line.push_str(&self.required(metadata, A::Name)?);
            line.push('=');
            line.push_str(&self.text(metadata, A::Value)?.unwrap_or_default());
        }
        self.exchange.log(level, &one_line(&line));
        Ok(Flow::On)
    }
}

/// Nobody writes lines of their own into the log.
fn one_line(text: &str) -> String {
    let spaced = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(spaced).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_stays_one() {
        assert_eq!(super::one_line("a\r\nb\u{1b}[0m"), "a  b [0m");
    }
}
