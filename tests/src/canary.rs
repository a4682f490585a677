//! Canaries: random values planted as secrets, and the search for them in
//! whatever a test caught.

use crate::sinks;
use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// A random value that stands for a secret.
pub struct Canary {
    text: String,
}

impl Canary {
    /// A fresh value of 40 visible characters with more than 128 bits in it.
    pub fn new() -> Self {
        let mut bytes = [0_u8; 20];
        keyward::vault::fill_random(&mut bytes);
        let text = HEXLOWER.encode(&bytes);
        sinks::planted(&text);
        Canary { text }
    }

    /// The value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In which form the value occurs in `bytes`, if it does.
    ///
    /// Looks for the value as it is, reversed, in either case, and its hexadecimal,
    /// base32, base64 (all three alignments) and UTF-16 forms. What is asked for is
    /// the part of an encoding that does not depend on what stands around the value.
    pub fn find_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let mut forms = self.forms().into_iter();
        forms
            .find(|(_, form)| contains(bytes, form))
            .map(|(name, _)| name)
    }

    /// A canary that another process has planted.
    pub fn planted(text: &str) -> Self {
        Canary {
            text: text.to_owned(),
        }
    }

    /// All that is looked for.
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let value = self.text.as_bytes();
        let mut forms: Vec<(&'static str, Vec<u8>)> = vec![
            ("raw", value.to_vec()),
            ("upper case", self.text.to_ascii_uppercase().into_bytes()),
            ("reversed", value.iter().rev().copied().collect()),
            ("hexadecimal", HEXLOWER.encode(value).into_bytes()),
            ("upper hexadecimal", HEXUPPER.encode(value).into_bytes()),
            ("base32", BASE32_NOPAD.encode(value).into_bytes()),
            ("UTF-16", value.iter().flat_map(|byte| [*byte, 0]).collect()),
            (
                "percent",
                value
                    .iter()
                    .flat_map(|byte| format!("%{byte:02x}").into_bytes())
                    .collect(),
            ),
        ];
        for shift in 0..3 {
            let mut shifted = vec![b'x'; shift];
            shifted.extend_from_slice(value);
            for (name, encoding) in [("base64", &BASE64_NOPAD), ("base64url", &BASE64URL_NOPAD)] {
                let encoded = encoding.encode(&shifted);
                // The first character after the filler mixes with it, the last ones with
                // what follows.
                let start = (shift * 4).div_ceil(3);
                let core = &encoded.as_bytes()[start..encoded.len() - 2];
                forms.push((name, core.to_vec()));
            }
        }
        forms
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_form_and_nothing_else() {
        let canary = Canary::new();
        let value = canary.text().as_bytes();
        assert_eq!(canary.find_in(b"nothing to see"), None);
        for filler in ["", "a", "ab", "abc"] {
            let mut text = filler.as_bytes().to_vec();
            text.extend_from_slice(value);
            text.extend_from_slice(b"tail");
            assert_eq!(canary.find_in(&text), Some("raw"));
            assert!(
                canary
                    .find_in(BASE64_NOPAD.encode(&text).as_bytes())
                    .is_some(),
                "{filler}"
            );
            assert!(
                canary
                    .find_in(BASE64URL_NOPAD.encode(&text).as_bytes())
                    .is_some()
            );
        }
        assert_eq!(
            canary.find_in(HEXLOWER.encode(value).as_bytes()),
            Some("hexadecimal")
        );
        // Another canary is not this one.
        assert_eq!(canary.find_in(Canary::new().text().as_bytes()), None);
    }
}
