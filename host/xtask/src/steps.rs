//! Steps: what they print, and the commands that they run.

use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Says what is being done.
pub(crate) fn doing(what: impl fmt::Display) {
    println!("==> {what}");
}

/// Says that something is in place.
pub(crate) fn done(what: impl fmt::Display) {
    println!(" ok {what}");
}

/// Says something about the step under way.
pub(crate) fn note(what: impl fmt::Display) {
    println!("    {what}");
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Runs a command; what it prints is passed on.
///
/// Errors: it can't be started, or it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("can't run `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it printed.
///
/// Errors: it can't be started, or it fails; then with what it printed to stderr.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run `{}`", shown(command)))?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{}` printed something else than text", shown(command)))
}

/// Runs a command quietly and ends it when it takes longer than `limit`.
///
/// Errors: it can't be started, fails, or takes too long.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run `{}`", shown(command)))?;
    // Read beside the waiting, so that a talkative command does not block.
    let errors = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut errors) = errors {
            let _ = errors.read_to_string(&mut text);
        }
        text
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!(
                "`{}` took longer than {} s",
                shown(command),
                limit.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let errors = reader.join().unwrap_or_default();
        let last = errors
            .trim()
            .lines()
            .last()
            .unwrap_or("no reason given")
            .to_owned();
        bail!("`{}` failed: {last}", shown(command));
    }
    Ok(())
}
