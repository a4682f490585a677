//! What belongs to `verify-jwt`: whose tokens, for whom, and how far clocks may differ.

use crate::grants::fields::text;
use crate::grants::grant::TokenTerms;
use crate::grants::parse::GrantReader;

/// The longest issuer or audience, in bytes.
const MAX_NAME_BYTES: usize = 1024;
/// The most audiences.
const MAX_AUDIENCES: usize = 32;
/// The most seconds by which clocks may differ.
const MAX_SKEW_SECONDS: u64 = 600;
const DEFAULT_SKEW_SECONDS: u64 = 30;

impl GrantReader<'_, '_, '_> {
    pub(super) fn token_terms(&mut self) -> Option<TokenTerms> {
        let issuer = match self.fields.key("issuer") {
            None => Some(None),
            Some(_) => self.checked_text("issuer", is_name, NAME_HELP).map(Some),
        };
        let audiences = match self.fields.key("audiences") {
            None => Some(Vec::new()),
            Some(_) => self.audiences(),
        };
        let clock_skew_seconds = match self.fields.key("clock-skew-seconds") {
            None => Some(DEFAULT_SKEW_SECONDS),
            Some(_) => {
                self.fields
                    .number("clock-skew-seconds", 0..=MAX_SKEW_SECONDS, self.problems)
            }
        };
        Some(TokenTerms {
            issuer: issuer?,
            audiences: audiences?,
            clock_skew_seconds: clock_skew_seconds?,
        })
    }

    fn audiences(&mut self) -> Option<Vec<String>> {
        let values = self.fields.array("audiences", "texts", self.problems)?;
        if values.value.is_empty() || values.value.len() > MAX_AUDIENCES {
            let message = format!("\"audiences\" names 1 to {MAX_AUDIENCES} audiences");
            let help = "without it, tokens that name an audience are refused".to_owned();
            self.problems.add(values.span, message, "not so many", help);
            return None;
        }
        let mut audiences = Vec::new();
        for value in values.value {
            let found = text(value, "an audience", self.problems)?;
            if !is_name(found.value) {
                let help = NAME_HELP.to_owned();
                self.problems
                    .add(found.span, "not an audience", "not valid", help);
                return None;
            }
            audiences.push(found.value.to_owned());
        }
        Some(audiences)
    }
}

const NAME_HELP: &str =
    "1 to 1024 characters of visible ASCII, without \" and \\, as it stands in the tokens";

fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain)
}
