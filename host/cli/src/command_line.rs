//! What is said about a command line that is wrong.

use std::ffi::OsString;

use clap::Error;
use clap::error::{ContextKind, ContextValue};

/// Takes out of an error what may be a secret: who types one as an argument does
/// not want to see it again in the log of a build.
///
/// Options are repeated, words are not, and only where the command line is about
/// secrets.
pub(crate) fn discreet(mut error: Error, arguments: impl Iterator<Item = OsString>) -> Error {
    let mut arguments = arguments;
    const ABOUT: [&str; 3] = ["secret", "client", "vault"];
    if !arguments.any(|argument| ABOUT.iter().any(|about| argument == *about)) {
        return error;
    }
    const HIDDEN: &str = "(not repeated here)";
    let is_word = |value: Option<&ContextValue>| matches!(value, Some(ContextValue::String(text)) if !text.starts_with('-') && !text.starts_with('<'));
    // The word itself, where it stands for nothing.
    if is_word(error.get(ContextKind::InvalidArg)) {
        error.insert(
            ContextKind::InvalidArg,
            ContextValue::String(HIDDEN.to_owned()),
        );
    }
    if error.get(ContextKind::InvalidSubcommand).is_some() {
        error.insert(
            ContextKind::InvalidSubcommand,
            ContextValue::String(HIDDEN.to_owned()),
        );
    }
    // The name of a secret or a client: its value is sometimes put there by mistake.
    let about_a_name = matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(text)) if text.starts_with("<NAME>") || text.starts_with("<SUBJECT>"));
    if about_a_name && error.get(ContextKind::InvalidValue).is_some() {
        error.insert(
            ContextKind::InvalidValue,
            ContextValue::String(HIDDEN.to_owned()),
        );
    }
    error
}

/// Whether a command line that can't be parsed asks for JSON.
pub(crate) fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut arguments = arguments.skip(1).peekable();
    while let Some(argument) = arguments.next() {
        let named = match argument.to_str() {
            Some("-o" | "--output") => arguments.peek().is_some_and(|format| format == "json"),
            Some("-ojson" | "-o=json" | "--output=json") => true,
            // What follows is no option.
            Some("--") => return false,
            _ => false,
        };
        if named {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CommandLine;
    use clap::Parser;

    #[track_caller]
    fn said(arguments: &[&str]) -> String {
        let arguments = ["keyward"].iter().chain(arguments).map(OsString::from);
        match CommandLine::try_parse_from(arguments.clone()) {
            Ok(_) => panic!("the command line is not wrong"),
            Err(error) => discreet(error, arguments).to_string(),
        }
    }

    #[test]
    fn a_value_in_a_wrong_place_is_not_repeated() {
        for arguments in [
            &[
                "secret",
                "set",
                "billing-key",
                "--kind",
                "api-key",
                "hunter2!",
            ][..],
            &["secret", "set", "hunter2!", "--kind", "api-key"],
            &[
                "secret",
                "set",
                "billing-key",
                "--value=hunter2!",
                "--kind",
                "api-key",
            ],
            &[
                "secret",
                "set",
                "billing-key",
                "--kind",
                "api-key",
                "--value",
                "hunter2!",
            ],
            &["secret", "rotate", "billing-key", "hunter2!"],
            &["secret", "rotate", "hunter2!"],
            &["secret", "hunter2!"],
            &["client", "add", "acme", "hunter2!"],
            &["client", "add", "hunter2!"],
            &["vault", "slot", "add", "--passphrase", "hunter2!"],
        ] {
            let said = said(arguments);
            assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
            assert!(said.starts_with("error:"), "{said}");
        }
    }

    #[test]
    fn a_wrong_command_line_says_in_which_format_to_complain() {
        let wants = |line: &str| wants_json(line.split(' ').map(OsString::from));
        for line in [
            "keyward -o json x",
            "keyward x --output=json",
            "keyward x -ojson",
        ] {
            assert!(wants(line), "{line}");
        }
        for line in [
            "keyward x",
            "keyward -o text",
            "keyward x -- -o json",
            "keyward json -o",
        ] {
            assert!(!wants(line), "{line}");
        }
    }

    #[test]
    fn other_mistakes_are_shown() {
        assert!(said(&["secret", "set", "billing-key", "--kind", "apikey"]).contains("apikey"));
        assert!(said(&["secret", "set", "billing-key", "--kynd", "api-key"]).contains("--kynd"));
        assert!(said(&["frobnicate"]).contains("frobnicate"));
    }
}
