//! What statements of the inbound section leave for the answer: headers that it gets, and
//! calls that are only counted once it is known.

use keyward_document_program::AttributeName as A;
use keyward_document_program::statements::ElementId;
use keyward_policy::{Exchange, Failure, Level, Side};
use serde::{Deserialize, Serialize};

use super::Runner;
use super::error::Stop;
use super::limits::window::Window;

/// What is left for the answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Later {
    /// Headers that take the place of those of their name.
    headers: Vec<(String, String)>,
    /// Whether a `cors` has decided; and whether the answer depends on the origin.
    pub(crate) has_cors: bool,
    pub(crate) varies: bool,
    counts: Vec<Count>,
}

/// A call that is counted once its answer is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Count {
    /// The statement's number.
    pub(crate) element: u32,
    pub(crate) key: String,
    /// Seconds.
    pub(crate) period: u32,
}

impl Later {
    /// Sets a header of the answer.
    pub(crate) fn set_header(&mut self, name: &str, value: impl Into<String>) {
        self.headers
            .retain(|(there, _)| !there.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
    }

    pub(crate) fn count(&mut self, count: Count) {
        self.counts.push(count);
    }

    fn write(&self, exchange: Exchange<'_>) -> Result<(), Failure> {
        let response = exchange.message(Side::Response);
        for (name, value) in &self.headers {
            response.set_header(name, value)?;
        }
        if self.varies {
            let depends = response.header_values("vary").any(|value| {
                let names = String::from_utf8_lossy(&value).into_owned();
                let mut names = names.split(',').map(str::trim);
                names.any(|name| name == "*" || name.eq_ignore_ascii_case("origin"))
            });
            if !depends {
                response.append_header("Vary", "Origin")?;
            }
        }
        Ok(())
    }
}

impl Runner<'_, '_> {
    /// What has to happen when the answer is known and nothing of the document changes it
    /// any more. A failure is told to the log: the answer stays what it is.
    pub(crate) fn finish(&mut self) {
        let later = std::mem::take(&mut self.state.later);
        if self.exchange.status().is_some()
            && let Err(failure) = later.write(self.exchange)
        {
            let line = format!("headers of cors or of a rate limit are not set: {failure}");
            self.exchange.log(Level::Warn, &line);
        }
        for count in &later.counts {
            if let Err(stop) = self.count_now(count) {
                self.log_stop(&stop);
            }
        }
    }

    /// Counts, unless a condition says that this call does not count. One that can't be
    /// evaluated does.
    fn count_now(&mut self, count: &Count) -> Result<(), Stop> {
        let program = self.program;
        let Some(element) = program.statements.element(ElementId(count.element)) else {
            return Ok(());
        };
        let by = match self.bool(element, A::IncrementCondition) {
            Ok(None | Some(true)) => self.increment_count(element),
            Ok(Some(false)) => return Ok(()),
            Err(stop) => {
                self.log_stop(&stop);
                Ok(1)
            }
        };
        let by = match by {
            Ok(by) => by,
            Err(stop) => {
                self.log_stop(&stop);
                1
            }
        };
        let window = Window::of(self.exchange.now(), count.period);
        let Some((name, _)) = window.counters('k', &count.key) else {
            return Ok(());
        };
        self.exchange
            .increment(&name, by, window.lifetime())
            .map(|_| ())
            .map_err(|failure| self.refused(element, "the counter", failure))
    }
}
