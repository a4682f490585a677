//! What is not to be shown, on its way from a person to the vault: a secret's
//! value, a client's key, a passphrase.
//!
//! It comes from a prompt that shows nothing, from standard input when that is
//! not a terminal, or from a file that `--from-file` names. It never comes from
//! an argument or an environment variable: both are visible to other processes
//! and stay in histories.
//!
//! Nothing here buffers: files and pipes are read straight into the one place
//! that wipes what it held.

use std::fs::{File, OpenOptions};
use std::io::{Cursor, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keyward::vault::{Kind, Secret};
use keyward_gateway::control::read_value;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::output::Output;

/// Where a value can be read from, once.
pub(crate) struct Value {
    source: Source,
    /// The most bytes that it may have.
    max: usize,
}

enum Source {
    File(File),
    Typed(Zeroizing<Vec<u8>>),
}

/// The longest key of a client, and the longest passphrase, in bytes.
const MAX_SHORT: usize = 4096;

impl Value {
    /// A secret's value: from a file, from standard input, or asked for.
    pub(crate) fn of_secret(
        output: Output,
        kind: &Kind,
        from_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let many_lines = match kind {
            Kind::ClientKeys => Some("client keys are lines of `subject = key`"),
            Kind::Certificate => Some("a certificate has many lines"),
            Kind::AwsKey => Some("an AWS key has several lines"),
            _ => None,
        };
        if let (None, Some(why), true) = (from_file, many_lines, std::io::stdin().is_terminal()) {
            return Err(Failure::usage(format!("{why}, which a prompt can't take"))
                .help("name a file with --from-file, or pipe the lines in"));
        }
        Self::take(output, "Value", kind.max_bytes(), from_file)
    }

    /// A certificate's chain without its key, which is no secret.
    pub(crate) fn of_chain(file: &Path) -> Result<Self, Failure> {
        let opened = File::open(file);
        let opened =
            opened.map_err(|error| Failure::io(error, format!("can't read {}", file.display())))?;
        Ok(Self {
            source: Source::File(opened),
            max: Kind::Certificate.max_bytes(),
        })
    }

    /// A client's key.
    pub(crate) fn of_client_key(output: Output, from_file: Option<&Path>) -> Result<Self, Failure> {
        Self::take(output, "Key", MAX_SHORT, from_file)
    }

    /// A passphrase that is to be set: asked for twice.
    pub(crate) fn new_passphrase(
        output: Output,
        from_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let source = match from_file {
            Some(file) => from_file_named(output, file)?,
            None if std::io::stdin().is_terminal() => from_prompt("New passphrase", true)?,
            None => Source::Typed(line_of_stdin()?),
        };
        Ok(Self::short(source))
    }

    /// A passphrase that opens something: asked for once. `what` is what it opens.
    ///
    /// Of standard input it takes one line, so that a value can follow.
    pub(crate) fn passphrase(
        output: Output,
        what: &str,
        from_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let source = match from_file {
            Some(file) => from_file_named(output, file)?,
            None if std::io::stdin().is_terminal() => from_prompt(what, false)?,
            None => Source::Typed(line_of_stdin()?),
        };
        Ok(Self::short(source))
    }

    /// A value that was made here.
    pub(crate) fn made(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::short(Source::Typed(bytes))
    }

    fn short(source: Source) -> Self {
        Self {
            source,
            max: MAX_SHORT,
        }
    }

    fn take(
        output: Output,
        what: &str,
        max: usize,
        from_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let source = match from_file {
            Some(file) => from_file_named(output, file)?,
            None if std::io::stdin().is_terminal() => from_prompt(what, true)?,
            None => Source::File(stdin()?),
        };
        Ok(Self { source, max })
    }

    /// The value on its way to a gateway.
    pub(crate) fn into_bytes(self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let max = self.max;
        read_value(self.into_source(), max).map_err(Failure::new)
    }

    /// The value on its way into a vault that is open here.
    pub(crate) fn into_secret(self) -> Result<Secret, Failure> {
        let max = self.max;
        Secret::read_from(self.into_source(), max).map_err(Failure::new)
    }

    fn into_source(self) -> Box<dyn Read> {
        match self.source {
            Source::File(file) => Box::new(file),
            Source::Typed(typed) => Box::new(Cursor::new(typed)),
        }
    }
}

/// Standard input, not through `std::io::Stdin`, whose buffer nobody wipes.
fn stdin() -> Result<File, Failure> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.map_err(|error| Failure::io(error, "can't read standard input"))?;
    Ok(File::from(stdin))
}

/// A line of standard input and no byte more.
fn line_of_stdin() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut stdin = stdin()?;
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SHORT));
    let mut byte = Zeroizing::new([0_u8]);
    while line.len() < MAX_SHORT {
        match stdin.read(&mut byte[..]) {
            Ok(0) => break,
            Ok(_) if *byte == *b"\n" => break,
            Ok(_) => line.extend_from_slice(&byte[..]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::io(error, "can't read standard input")),
        }
    }
    Ok(line)
}

fn from_file_named(output: Output, file: &Path) -> Result<Source, Failure> {
    let failed = |error| Failure::io(error, format!("can't read {}", file.display()));
    let opened = File::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & 0o077 != 0 {
        output.warn(format!(
            "others than its owner can read {} (mode {mode:03o}); delete it once nothing else needs it",
            file.display()
        ));
    }
    Ok(Source::File(opened))
}

fn from_prompt(what: &str, twice: bool) -> Result<Source, Failure> {
    let failed = |error| Failure::io(error, "can't ask for what is not to be shown");
    let _silence = Silence::begin().map_err(failed)?;
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(|typed| Zeroizing::new(typed.into_bytes()))
            .map_err(failed)
    };
    let value = ask(&format!("{what} (not shown): "))?;
    if twice && *value != *ask("Once more: ")? {
        return Err(Failure::new("the two values differ; nothing was stored"));
    }
    Ok(Source::Typed(value))
}

/// The terminal shows nothing of what is typed, from the first prompt to after
/// the last: what is pasted or typed ahead between two prompts isn't shown either.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn begin() -> std::io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that has gone away needs no restoring.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
