//! Canaries: random values planted as secrets, and the search for them in
//! whatever a test caught.

use crate::sinks;
use data_encoding::HEXLOWER;
use keyward_testkit::leak::Canaries;

/// A random value that stands for a secret.
pub struct Canary {
    text: String,
    search: Canaries,
}

impl Canary {
    /// A fresh value of 40 visible characters with more than 128 bits in it.
    pub fn new() -> Self {
        let mut bytes = [0_u8; 20];
        keyward::vault::fill_random(&mut bytes);
        let text = HEXLOWER.encode(&bytes);
        sinks::planted(&text);
        Self::of(text)
    }

    /// The value.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In which form the value occurs in `bytes`, if it does; see
    /// [`keyward_testkit::leak`] for the forms.
    pub fn find_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let found = self.search.find(bytes);
        found.first().map(|found| found.shape.name())
    }

    fn of(text: String) -> Self {
        let search = Canaries::new([("canary", text.as_bytes())]);
        Canary { text, search }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};

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
