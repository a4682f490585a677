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

use keyward_gateway::control::Peer;

use crate::binary::clean;
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

fn text(output: Vec<u8>, root: &Path) -> String {
    let text = String::from_utf8(output).unwrap();
    let text = text.replace(root.to_str().unwrap(), "<folder>");
    let text = text.replace(&Peer::this_process().to_string(), "<me>");
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some(next) = rest.chars().next() {
        let inside_word = shown
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        let found = PATTERNS
            .iter()
            .find_map(|(pattern, label)| match inside_word {
                true => None,
                false => Some((matched(rest, pattern)?, label)),
            });
        match found {
            Some((length, label)) => {
                shown.push_str(label);
                rest = &rest[length..];
            }
            None => {
                shown.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    shown
}

/// `0` is a digit, `x` a hexadecimal digit, `*` any number of base64 characters
/// and dots, the rest is itself.
const PATTERNS: [(&str, &str); 9] = [
    ("(0* µs)", "(<took>)"),
    ("(0* ms)", "(<took>)"),
    ("(0* s)", "(<took>)"),
    ("0000-00-00T00:00:00*", "<time>"),
    ("0000-00-00 00:00Z", "<time>"),
    (
        "keyward/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx+xxxxxxxx+*",
        "<verifier key>",
    ),
    ("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "<uuid>"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "<sha256>",
    ),
    ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "<id>"),
];

fn matched(text: &str, pattern: &str) -> Option<usize> {
    let mut length = 0;
    for want in pattern.chars() {
        let rest = &text[length..];
        if want == '*' {
            length += rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "+/=.-_".contains(*c))
                .map(char::len_utf8)
                .sum::<usize>();
            continue;
        }
        let have = rest.chars().next()?;
        let good = match want {
            '0' => have.is_ascii_digit(),
            'x' => have.is_ascii_hexdigit(),
            other => have == other,
        };
        if !good {
            return None;
        }
        length += have.len_utf8();
    }
    Some(length)
}
