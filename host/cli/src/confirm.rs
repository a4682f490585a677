//! Asking before something is destroyed.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use crate::Common;
use crate::exit::Failure;

/// Whether to ask.
#[derive(Args)]
pub(crate) struct Confirm {
    /// Do not ask.
    #[arg(long, short = 'y')]
    yes: bool,
}

impl Confirm {
    /// Whether `--yes` was given.
    #[cfg(feature = "testkit")]
    pub(crate) fn is_given(&self) -> bool {
        self.yes
    }

    /// Asks, unless `--yes` was given. `what` is a sentence that says what would
    /// be destroyed.
    ///
    /// Errors: the answer is not yes, or there is nobody to ask.
    pub(crate) fn ask(&self, common: &Common, what: &str) -> Result<(), Failure> {
        self.go_on(common, &format!("{what} That can't be undone."))
    }

    /// Asks as [`ask`](Self::ask) does, about something that can be undone.
    pub(crate) fn go_on(&self, common: &Common, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(format!("nobody is here to ask. {what}"))
                .help("add --yes if you mean it"));
        }
        let output = common.output();
        output.say(what);
        output.ask("Go on? Type yes: ");
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| Failure::io(error, "can't read the answer"))?;
        match answer.trim() {
            "yes" | "y" => Ok(()),
            _ => Err(Failure::new("nothing was changed")),
        }
    }
}
