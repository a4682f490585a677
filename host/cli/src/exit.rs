//! How a command ends: its exit code, and what is said when it did not work.

use std::fmt;
use std::process::ExitCode;

/// The exit codes of every command. They are part of the interface: scripts
/// depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done, and nothing to complain about.
    Success = 0,
    /// It did not work: a file, a socket, the vault.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A test of a policy did not hold.
    #[cfg_attr(
        not(feature = "testkit"),
        expect(dead_code, reason = "there are no tests to fail")
    )]
    TestsFailed = 3,
    /// It worked, and found something that is not in order.
    Findings = 4,
    /// You, or the policy, may not do that.
    Denied = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a command did not work, for people: what happened, why, what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) error: anyhow::Error,
    /// The next thing to do, if there is one to name.
    pub(crate) help: Option<String>,
}

impl Failure {
    /// Something did not work.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        anyhow::anyhow!("{message}").into()
    }

    /// The command line is wrong in a way that only shows when it is carried out.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new(message)
        }
    }

    /// Not allowed.
    pub(crate) fn denied(message: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Denied,
            ..Self::new(message)
        }
    }

    /// The same, with the next thing to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A failure of the file system: those about permissions are denials.
    pub(crate) fn io(error: std::io::Error, what: impl fmt::Display) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Failed,
        };
        let error = anyhow::Error::new(error).context(what.to_string());
        Self {
            exit,
            error,
            help: None,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Failed,
            error,
            help: None,
        }
    }
}
