//! Challenges: the grammar of `WWW-Authenticate` (RFC 9110, 11.6.1 and 5.6), all of
//! it, and nothing that is not of it.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

use crate::error::ChallengeError;

/// The most bytes of challenges that are read. Key Vault's have about 150; with
/// claims, a few hundred.
const MAX_BYTES: usize = 4096;
/// The most challenges of an answer, and the most parameters of each.
const MAX_CHALLENGES: usize = 8;
const MAX_PARAMETERS: usize = 16;

/// One challenge: `Bearer authorization="…", resource="…"`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    pub(super) scheme: String,
    /// Names in lower case, each once.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer.
///
/// Errors: [`ChallengeError::Malformed`] if there are none or one of the fields has
/// another grammar; [`ChallengeError::TooLarge`].
pub(super) fn read(headers: &HeaderMap) -> Result<Vec<Challenge>, ChallengeError> {
    let fields = || headers.get_all(WWW_AUTHENTICATE).iter();
    if fields().map(|field| field.len()).sum::<usize>() > MAX_BYTES {
        return Err(ChallengeError::TooLarge);
    }
    let mut all = Vec::new();
    for field in fields() {
        Reader {
            text: field.as_bytes(),
        }
        .challenges(&mut all)?;
    }
    match all.is_empty() {
        true => Err(ChallengeError::Malformed),
        false => Ok(all),
    }
}

/// What is left of a field.
struct Reader<'t> {
    text: &'t [u8],
}

impl<'t> Reader<'t> {
    /// `#challenge`: a list in which elements may be empty.
    fn challenges(mut self, all: &mut Vec<Challenge>) -> Result<(), ChallengeError> {
        loop {
            self.skip_list();
            if self.text.is_empty() {
                return Ok(());
            }
            if all.len() == MAX_CHALLENGES {
                return Err(ChallengeError::TooLarge);
            }
            all.push(self.challenge()?);
        }
    }

    /// `auth-scheme [ 1*SP ( token68 / #auth-param ) ]`
    fn challenge(&mut self) -> Result<Challenge, ChallengeError> {
        let scheme = lower(self.token().ok_or(ChallengeError::Malformed)?);
        let mut challenge = Challenge {
            scheme,
            parameters: Vec::new(),
        };
        let spaces = self.take(|byte| byte == b' ').len();
        if self.ends_element() {
            return Ok(challenge);
        }
        if spaces == 0 {
            return Err(ChallengeError::Malformed);
        }
        if self.token68() {
            return Ok(challenge);
        }
        loop {
            self.skip_list();
            // What follows a comma is a further parameter if it has a `=`, and else
            // the next challenge.
            let start = self.text;
            let Some((name, value)) = self.parameter()? else {
                self.text = start;
                break;
            };
            let is_known = challenge.parameters.iter().any(|(known, _)| *known == name);
            if is_known || challenge.parameters.len() == MAX_PARAMETERS {
                return Err(ChallengeError::Malformed);
            }
            challenge.parameters.push((name, value));
            self.take(is_blank);
            if !self.ends_element() {
                return Err(ChallengeError::Malformed);
            }
        }
        match challenge.parameters.is_empty() {
            true => Err(ChallengeError::Malformed),
            false => Ok(challenge),
        }
    }

    /// `token BWS "=" BWS ( token / quoted-string )`; `None` if it is none.
    fn parameter(&mut self) -> Result<Option<(String, String)>, ChallengeError> {
        let Some(name) = self.token() else {
            return match self.text.is_empty() {
                true => Ok(None),
                false => Err(ChallengeError::Malformed),
            };
        };
        self.take(is_blank);
        if !self.eat(b'=') {
            return Ok(None);
        }
        self.take(is_blank);
        let value = match self.eat(b'"') {
            true => self.quoted()?,
            false => {
                let token = self.token().ok_or(ChallengeError::Malformed)?;
                String::from_utf8_lossy(token).into_owned()
            }
        };
        Ok(Some((lower(name), value)))
    }

    /// The rest of a quoted-string (RFC 9110, 5.6.4).
    fn quoted(&mut self) -> Result<String, ChallengeError> {
        let mut value = String::new();
        loop {
            match self.next().ok_or(ChallengeError::Malformed)? {
                b'"' => return Ok(value),
                b'\\' => match self.next() {
                    Some(byte @ (b'\t' | b' '..=b'~')) => value.push(char::from(byte)),
                    _ => return Err(ChallengeError::Malformed),
                },
                byte @ (b'\t' | b' '..=b'~') => value.push(char::from(byte)),
                // obs-text, of which nothing here is made.
                _ => return Err(ChallengeError::Malformed),
            }
        }
    }

    /// Passes over a token68 if it is all of the element.
    fn token68(&mut self) -> bool {
        let start = self.text;
        let body = self.take(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
        self.take(|byte| byte == b'=');
        let spaces = self.take(is_blank).len();
        let is_one =
            !body.is_empty() && self.ends_element() && (spaces == 0 || !self.text.is_empty());
        if !is_one {
            self.text = start;
        }
        is_one
    }

    fn token(&mut self) -> Option<&'t [u8]> {
        let token =
            self.take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        (!token.is_empty()).then_some(token)
    }

    /// Blanks and commas.
    fn skip_list(&mut self) {
        self.take(|byte| is_blank(byte) || byte == b',');
    }

    fn ends_element(&self) -> bool {
        matches!(self.text.first(), None | Some(b','))
    }

    fn take(&mut self, of: impl Fn(u8) -> bool) -> &'t [u8] {
        let end = self.text.iter().position(|byte| !of(*byte));
        let (taken, rest) = self.text.split_at(end.unwrap_or(self.text.len()));
        self.text = rest;
        taken
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.text.split_first() {
            Some((first, rest)) if *first == byte => {
                self.text = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.text.split_first()?;
        self.text = rest;
        Some(*first)
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn lower(token: &[u8]) -> String {
    String::from_utf8_lossy(token).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read_one(field: &str) -> Result<Vec<Challenge>, ChallengeError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_bytes(field.as_bytes()).unwrap(),
        );
        read(&headers)
    }

    fn said(field: &str) -> String {
        let mut text = String::new();
        for challenge in read_one(field).unwrap() {
            text += &challenge.scheme;
            for (name, value) in &challenge.parameters {
                text += &format!(" {name}=[{value}]");
            }
            text.push(';');
        }
        text
    }

    #[test]
    fn challenges_are_read_as_the_grammar_has_them() {
        for (field, read) in [
            (
                r#"Bearer authorization="https://login.example/t", resource="https://vault.azure.net""#,
                "bearer authorization=[https://login.example/t] resource=[https://vault.azure.net];",
            ),
            (r#"bEARER a=b"#, "bearer a=[b];"),
            (r#"Bearer a = "b" , c	=	d"#, "bearer a=[b] c=[d];"),
            (r#", ,Bearer a="b",, c="d","#, "bearer a=[b] c=[d];"),
            (
                r#"Bearer a="x\"y\\z, Basic q=\"1\"""#,
                r#"bearer a=[x"y\z, Basic q="1"];"#,
            ),
            (
                r#"Basic realm="x", Bearer a="b""#,
                "basic realm=[x];bearer a=[b];",
            ),
            (r#"Negotiate, Bearer a="b""#, "negotiate;bearer a=[b];"),
            (
                "Negotiate oYG2MIGzoAMKAQ==, Bearer a=b",
                "negotiate;bearer a=[b];",
            ),
            ("Bearer", "bearer;"),
        ] {
            assert_eq!(said(field), read, "{field}");
        }
    }

    #[test]
    fn what_is_not_of_the_grammar_is_malformed() {
        for field in [
            "",
            ",",
            "=",
            "Bearer a=\"b",
            "Bearer a=\"b\\",
            "Bearer a=\"b\" c=\"d\"",
            "Bearer a=\"b\"x",
            "Bearer ä=\"b\"",
            "Bearer a=\"ä\"",
            "Bearer a=\"b\", a=\"c\"",
            "Bearer a=\"b\", A=\"c\"",
            "Bearer\ta=b",
            "Bearer(a=b)",
            "\"Bearer\" a=b",
        ] {
            assert_eq!(read_one(field), Err(ChallengeError::Malformed), "{field}");
        }
        assert_eq!(read(&HeaderMap::new()), Err(ChallengeError::Malformed));
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let long = format!("Bearer a=\"{}\"", "x".repeat(MAX_BYTES));
        assert_eq!(read_one(&long), Err(ChallengeError::TooLarge));
        let many = "Basic, ".repeat(MAX_CHALLENGES + 1);
        assert_eq!(read_one(&many), Err(ChallengeError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_parameter_is_read_back(name in "[a-z][a-z0-9_]{0,9}", value in "[ -~]{0,40}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let read = read_one(&format!("Bearer {name}=\"{escaped}\"")).unwrap();
            prop_assert_eq!(read[0].parameter(&name), Some(value.as_str()));
        }

        #[test]
        fn no_field_makes_the_reader_panic(field in "[ -~\t]{0,200}") {
            let _ = read_one(&field);
        }
    }
}
