//! `keyward completions`: scripts for shells.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::CommandLine;
use crate::exit::{Exit, Failure, Outcome};

const EXAMPLES: &str = "\
Examples:
  keyward completions bash > /etc/bash_completion.d/keyward
  keyward completions zsh > ~/.zfunc/_keyward
  keyward completions fish > ~/.config/fish/completions/keyward.fish";

/// Print a completion script for a shell.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut CommandLine::command(),
            "keyward",
            &mut script,
        );
        match std::io::Write::write_all(&mut std::io::stdout(), &script) {
            // The reader has what it wants.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::io(error, "can't write the script"))
            }
            _ => Ok(Exit::Success),
        }
    }
}
