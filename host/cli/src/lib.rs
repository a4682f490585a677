//! The `keyward` command: one file per noun, and the few things that all share.
//!
//! What it promises: data goes to standard output and everything else to
//! standard error; the exit codes are those in [`exit`]; a secret's value comes
//! from a prompt, standard input or a file that was named, never from an argument
//! or the environment, and no command prints one.

#![forbid(unsafe_code)]

mod access;
mod audit;
mod client;
mod command_line;
mod completions;
mod config;
mod confirm;
mod doctor;
mod document;
mod exit;
mod grants;
mod import;
mod init;
mod input;
mod man;
mod output;
mod place;
mod policy;
mod reason;
mod reference;
mod secret;
mod serve;
mod source;
#[cfg(feature = "testkit")]
mod test;
mod value;
mod vault;
mod when;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Format, Output};

#[cfg(feature = "fuzz")]
pub use import::files_of_apim;

/// The heading of the options that every command has.
const COMMON: &str = "Common options";

const EXAMPLES: &str = "\
Examples:
  keyward init                                make a gateway in this folder
  keyward secret set billing-key --kind api-key
                                              store a secret; asks for its value
  keyward source check azure billing-key      can a secret be fetched, and if not, why?
  keyward policy inspect attach-api-key       what a policy wants, and the grant for it
  keyward document check policies/            are API Management's policies in order?
  keyward test                                does each policy do what its suite says?
  keyward grants check                        what is granted to whom, in words
  keyward doctor                              is everything in order?
  keyward serve                               run the gateway
  keyward config reload                       have it take a changed configuration
  keyward secret rotate billing-key           a new value; grants stay
  keyward client add acme --generate-to k     a consumer of the API, and its key
  keyward audit who billing-key --since 7d    who used it, for what, how often?
  keyward audit verify                        has anyone changed the audit trail?

Exit codes:
  0  done                      3  a test of a policy did not hold
  1  it did not work           4  it worked, and found something not in order
  2  wrong command line        5  not allowed

Environment:
  KEYWARD_CONFIG               like --config
  KEYWARD_PASSPHRASE_FILE      like --passphrase-file
  NO_COLOR, CLICOLOR_FORCE     no colours; colours even where there is no terminal

A secret's value is asked for, read from standard input or from a file. It is never
an argument or a variable, and no command prints one.";

/// Policies for API gateways that use secrets and can never have them.
#[derive(Parser)]
#[command(name = "keyward", version, max_term_width = 100, after_help = EXAMPLES, arg_required_else_help = true)]
struct CommandLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args)]
pub(crate) struct Common {
    /// The gateway's configuration; otherwise the nearest keyward.toml, here or above.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "KEYWARD_CONFIG",
        hide_env_values = true,
        help_heading = COMMON
    )]
    config: Option<PathBuf>,

    /// Read the vault's passphrase from a file, where [vault] has `passphrase = true`.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "KEYWARD_PASSPHRASE_FILE",
        hide_env_values = true,
        help_heading = COMMON
    )]
    passphrase_file: Option<PathBuf>,

    /// How data on standard output is written.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        global = true,
        default_value_t,
        help_heading = COMMON
    )]
    output: Format,
}

impl Common {
    /// The configuration file that was named.
    pub(crate) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The file with the vault's passphrase.
    pub(crate) fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// Where words go.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.output)
    }
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    #[command(subcommand)]
    Secret(secret::Secret),
    #[command(subcommand)]
    Source(source::Source),
    #[command(subcommand)]
    Client(client::Client),
    #[command(subcommand)]
    Value(value::Value),
    #[command(subcommand)]
    Import(import::Import),
    #[command(subcommand)]
    Grants(grants::Grants),
    #[command(subcommand)]
    Policy(policy::Policy),
    #[command(subcommand)]
    Document(document::Document),
    #[cfg(feature = "testkit")]
    Test(test::Test),
    #[command(subcommand)]
    Config(config::Config),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Vault(vault::Vault),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    Man(man::Man),
}

/// With this and nothing else, the command compiles a policy for a gateway that runs:
/// the gateway starts itself so. It is for nobody's hands, so it has no help.
const COMPILE: &str = "compile-policy";

/// Does what the process's command line says. The process is to end with what comes back;
/// for a command line that is none, it ends in here.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COMPILE) && arguments.next().is_none() {
        return match keyward::compile_as_child() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let CommandLine { common, command } = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let error = command_line::discreet(error, std::env::args_os());
            if !error.use_stderr() || !command_line::wants_json(std::env::args_os()) {
                error.exit();
            }
            let failure = Failure::usage(error.to_string().trim_end());
            Output::new(Format::Json).failure(&failure);
            return failure.exit.into();
        }
    };
    // Before any value or key is in memory. Where it can't be had, `serve` and
    // `doctor` say so.
    let _ = keyward_gateway::harden::forbid_dumps();
    let outcome = match command {
        Command::Init(command) => command.run(&common),
        Command::Serve(command) => command.run(&common),
        Command::Secret(command) => command.run(&common),
        Command::Source(command) => command.run(&common),
        Command::Client(command) => command.run(&common),
        Command::Value(command) => command.run(&common),
        Command::Import(command) => command.run(&common),
        Command::Grants(command) => command.run(&common),
        Command::Policy(command) => command.run(&common),
        Command::Document(command) => command.run(&common),
        #[cfg(feature = "testkit")]
        Command::Test(command) => command.run(&common),
        Command::Config(command) => command.run(&common),
        Command::Audit(command) => command.run(&common),
        Command::Doctor(command) => command.run(&common),
        Command::Vault(command) => command.run(&common),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(&common),
    };
    finish(&common, outcome).into()
}

fn finish(common: &Common, outcome: Outcome) -> Exit {
    outcome.unwrap_or_else(|failure| {
        common.output().failure(&failure);
        failure.exit
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_argument_takes_a_value_of_a_secret() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                assert!(
                    !["value", "secret", "password", "token"].contains(&id),
                    "{}: {id}",
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&CommandLine::command());
    }
}
