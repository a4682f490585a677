//! How a run goes on, for the person who waits for it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyward_testkit::report::{CaseReport, Report, Style, SuiteReport, pretty};
use keyward_testkit::run::Observed;
use keyward_testkit::suite::Case;
use keyward_testkit::{Listener, Suite};

use crate::exit::Exit;
use crate::output::Output;

/// Runs that are over sooner get no progress.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two lines of progress.
const BETWEEN: Duration = Duration::from_millis(100);

/// Shows each suite when it is over, and on a terminal how far a long run is.
pub(crate) struct Progress {
    output: Output,
    /// Whether results go to standard output as they come.
    shows: bool,
    style: Style,
    cases: usize,
    done: usize,
    began: Instant,
    /// When the last line of progress was written, if one stands there.
    line: Option<Instant>,
    terminal: bool,
    /// When something last ended.
    last: Arc<Mutex<Option<Instant>>>,
}

impl Progress {
    pub(crate) fn new(output: Output, shows: bool, verbose: bool, cases: usize) -> Self {
        Self {
            output,
            shows,
            style: Style {
                colours: output.data_colours(),
                each_case: verbose,
                times: true,
            },
            cases,
            done: 0,
            began: Instant::now(),
            line: None,
            terminal: std::io::stderr().is_terminal(),
            last: Arc::new(Mutex::new(Some(Instant::now()))),
        }
    }

    /// Ends the process if no case ends for so long: a case that hangs can't be ended
    /// otherwise. Everything before it has been shown by then.
    pub(crate) fn giving_up_after(self, patience: Duration) -> Self {
        let last = Arc::clone(&self.last);
        let output = self.output;
        std::thread::spawn(move || {
            loop {
                let since = {
                    let last = last.lock().unwrap_or_else(PoisonError::into_inner);
                    match *last {
                        Some(last) => last.elapsed(),
                        None => return,
                    }
                };
                match patience.checked_sub(since) {
                    Some(rest) if !rest.is_zero() => std::thread::sleep(rest),
                    _ => break,
                }
            }
            output.say(format!(
                "\nno case has ended for {} s (--timeout): given up",
                patience.as_secs()
            ));
            // The thread that runs the case doesn't come back, and canaries are no secrets.
            #[expect(
                clippy::disallowed_methods,
                reason = "there is no trail to finish and nobody else to end it"
            )]
            std::process::exit(i32::from(Exit::TestsFailed as u8));
        });
        self
    }

    /// A suite that is over already.
    pub(crate) fn show_suite(&self, suite: &SuiteReport) {
        self.show(&pretty::suite(suite, self.style));
    }

    /// The run is over.
    pub(crate) fn end(mut self, report: &Report) {
        self.clear();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.show(&pretty::summary(report, self.style));
    }

    fn show(&self, text: &str) {
        if self.shows {
            let mut out = std::io::stdout().lock();
            // A reader that has gone away has read what it wanted.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    fn clear(&mut self) {
        if self.line.take().is_some() {
            self.write("\r\u{1b}[K");
        }
    }

    fn write(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    fn advance(&mut self) {
        let now = Instant::now();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        let due = self.line.is_none_or(|line| now - line > BETWEEN);
        if self.terminal && due && now - self.began > PATIENCE {
            self.write(&format!("\r\u{1b}[K{} of {} cases", self.done, self.cases));
            self.line = Some(now);
        }
    }
}

impl Listener for Progress {
    fn suite_began(&mut self, _suite: &Suite, _cases: usize) {
        self.advance();
    }

    fn case_ended(&mut self, _: &Suite, _: &Case, _: &Observed, _: &mut CaseReport) {
        self.done += 1;
        self.advance();
    }

    fn suite_ended(&mut self, _suite: &Suite, report: &SuiteReport) {
        self.clear();
        self.show(&pretty::suite(report, self.style));
        self.advance();
    }
}
