//! Transcripts: commands, and what they print.
//!
//! ```text
//! -- A comment.
//! % printf 'a = b' > file        a command to prepare something; it must succeed
//! $ keyward secret list          a command; `> ` continues it on the next line
//! lines of standard output
//! ! lines of standard error
//! ? 1                            its exit code, unless that is 0
//! & keyward serve                a gateway, which serves when the next line comes
//! & stop                         which is told to stop, and has stopped
//! ```
//!
//! `[..]` stands for anything on a line and `...` for any lines. Times, durations, digests,
//! keys and the user who runs the test are replaced by what they are. `SNAPSHOTS=overwrite` writes the files
//! anew; read the difference.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use snapbox::{Assert, Data};

use crate::binary::clean;
use crate::normal::text;
use crate::running::Serving;

/// Where the transcripts are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/transcripts")
}

/// Runs a transcript's commands and compares.
#[track_caller]
pub(crate) fn check(name: &str) {
    let file = folder().join(name).with_extension("txt");
    let expected = std::fs::read_to_string(&file).unwrap();
    let root = tempfile::tempdir().unwrap();
    let actual = play(&expected, root.path());
    if std::env::var_os("SNAPSHOTS").is_some_and(|action| action == "overwrite") {
        std::fs::write(&file, &actual).unwrap();
        return;
    }
    // What looks like a path of another system is an escape of the shell's.
    Assert::new()
        .normalize_paths(false)
        .eq(actual, Data::from(expected));
}

/// What starts a line of a transcript's own, apart from output.
const MARKS: [&str; 4] = ["-- ", "$ ", "% ", "& "];

fn play(transcript: &str, root: &Path) -> String {
    let mut actual = String::new();
    let mut gateway: Option<Serving> = None;
    let mut lines = transcript.lines().peekable();
    while let Some(line) = lines.next() {
        let own = |line: &&str| MARKS.iter().any(|mark| line.starts_with(mark));
        let gap = line.is_empty() && lines.peek().is_some_and(own);
        if line.starts_with("-- ") || gap {
            actual.push_str(line);
            actual.push('\n');
        }
        let Some((mark, command)) = line
            .split_once(' ')
            .filter(|(mark, _)| matches!(*mark, "$" | "%" | "&"))
        else {
            continue;
        };
        let mut command = command.to_owned();
        actual.push_str(line);
        actual.push('\n');
        while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
            command.push('\n');
            command.push_str(more.trim_start_matches('>').trim_start());
            actual.push_str(more);
            actual.push('\n');
        }
        if mark == "&" {
            gateway = match command.strip_prefix("keyward serve") {
                Some(options) => Some(Serving::with(
                    root,
                    &options.split_whitespace().collect::<Vec<_>>(),
                )),
                None => {
                    let (status, said) = gateway.take().unwrap().stop();
                    assert!(status.success(), "{said}");
                    None
                }
            };
            continue;
        }
        let output = clean("/bin/sh", root)
            .args(["-c", &command])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (text(output.stdout, root), text(output.stderr, root));
        let code = output.status.code().unwrap_or(-1);
        if mark == "%" {
            assert_eq!(code, 0, "{command}: {err}");
            continue;
        }
        actual.push_str(&out);
        for line in err.lines() {
            actual.push_str(format!("! {line}").trim_end());
            actual.push('\n');
        }
        if code != 0 {
            actual.push_str(&format!("? {code}\n"));
        }
    }
    actual
}
