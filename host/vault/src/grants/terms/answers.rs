//! What a grant says about the answers to requests that carry a bearer which the host
//! made: a shared access signature, a presigned URL, a signed token, the session token
//! of a temporary AWS key. The words are those of `attach` and `token`; there is no
//! second try, since the next bearer would be as good as the one before.

use super::super::diff::{Effect, compare_answers};
use super::super::grant::{Answers, ResponseMode, WhenReflected};
use super::super::parse::GrantReader;
use super::super::render::quoted;

impl Answers {
    /// What is not the usual way, after what a bearer is for.
    pub(in crate::grants) fn in_words(&self) -> String {
        let mut words = String::new();
        if self.response == ResponseMode::StatusOnly {
            words.push_str("; only the status of the answer is passed on");
        }
        if self.decode {
            words.push_str("; encoded answers are passed on once a decoded copy was searched");
        }
        if self.reflected == WhenReflected::Revoke {
            words.push_str("; it is revoked when what it sends comes back three times");
        }
        words
    }

    /// Writes the keys of a grant that say this: none, where it is the usual way.
    pub(in crate::grants) fn write(&self, toml: &mut String) {
        let mut line = |key: &str, value: String| toml.push_str(&format!("{key} = {value}\n"));
        if self.response != ResponseMode::default() {
            line("response", quoted(self.response.as_str()));
        }
        if self.reflected != WhenReflected::default() {
            line("reflected", quoted(self.reflected.as_str()));
        }
        if self.decode {
            line("decode", "true".to_owned());
        }
    }

    pub(in crate::grants) fn compare(&self, old: &Self, parts: &mut Vec<(Effect, String)>) {
        compare_answers(old, self, parts);
    }
}

impl GrantReader<'_, '_, '_> {
    /// `response`, `decode` and `reflected`.
    pub(super) fn answers(&mut self) -> Option<Answers> {
        let response = self.word("response", ResponseMode::ALL, ResponseMode::as_str);
        let reflected = self.word("reflected", WhenReflected::ALL, WhenReflected::as_str);
        let decode = match self.fields.key("decode") {
            None => Some(false),
            Some(_) => self.fields.boolean("decode", self.problems),
        };
        Some(Answers {
            response: response?,
            decode: decode?,
            reflected: reflected?,
            ..Answers::default()
        })
    }
}
