//! A request for a token, as its endpoint reads it: a form (RFC 6749, appendix B) and
//! the client's proof of who it is. Both in secret pages.

use bytes::Bytes;
use data_encoding::BASE64;
use http::HeaderValue;
use minicbor::Decoder;

use crate::memory::Scratch;
use crate::plaintext::Plaintext;
use crate::secret::Secret;

/// A client of an authorisation server, and its secret.
pub(crate) struct OauthClient {
    id: String,
    pub(crate) secret: Secret,
}

crate::secret::assert_not_implemented!(OauthClient: std::fmt::Debug, Clone, serde::Serialize);

impl OauthClient {
    /// From the stored form: `[client id, client secret]`. `None` if it isn't that.
    pub(crate) fn prepare(stored: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(stored);
        if decoder.array().ok()? != Some(2) {
            return None;
        }
        let (id, secret) = (decoder.str().ok()?, decoder.str().ok()?);
        Some(Self {
            id: id.to_owned(),
            secret: Secret::copy_of(secret.as_bytes()),
        })
    }

    /// The value of `authorization` (RFC 6749, 2.3.1: both are encoded as in a form).
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let secret = self.secret.expose();
        let mut pair = Plaintext::with_room(3 * (self.id.len() + secret.len()) + 1);
        encode(self.id.as_bytes(), &mut pair)?;
        pair.push(b':')?;
        encode(&secret, &mut pair)?;
        let prefix = b"Basic ";
        let mut text = Scratch::new(prefix.len() + BASE64.encode_len(pair.len()));
        let (start, rest) = text.split_at_mut(prefix.len());
        start.copy_from_slice(prefix);
        BASE64.encode_mut(&pair, rest);
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Adds both to a form.
    pub(super) fn post(&self, form: &mut Form) -> Option<()> {
        form.add("client_id", self.id.as_bytes())?;
        form.add("client_secret", &self.secret.expose())
    }

    /// How many bytes both take at most, encoded.
    pub(super) fn room(&self) -> usize {
        64 + 3 * (self.id.len() + self.secret.length())
    }

    /// Whether a text holds the secret as it is or as `basic` has it: no token does.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let secret = self.secret.expose();
        let holds = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
        let mut encoded = Scratch::new(BASE64.encode_len(secret.len()));
        BASE64.encode_mut(&secret, &mut encoded);
        let basic = self.basic();
        let basic = basic.as_ref().map(HeaderValue::as_bytes);
        let basic = basic.and_then(|value| value.strip_prefix(b"Basic "));
        holds(&secret) || holds(&encoded) || basic.is_some_and(holds)
    }
}

/// A form that is being written.
pub(super) struct Form(Plaintext);

impl Form {
    /// With room for this many bytes, encoded.
    pub(super) fn with_room(room: usize) -> Self {
        Self(Plaintext::with_room(room))
    }

    /// How many bytes a field takes at most.
    pub(super) fn room_of(name: &str, value: &str) -> usize {
        2 + 3 * (name.len() + value.len())
    }

    /// Adds a field. `None` if there is no room for it.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) -> Option<()> {
        if !self.0.is_empty() {
            self.0.push(b'&')?;
        }
        encode(name.as_bytes(), &mut self.0)?;
        self.0.push(b'=')?;
        encode(value, &mut self.0)
    }

    /// All of it, wiped when the last copy is dropped.
    pub(super) fn finish(self) -> Bytes {
        let mut text = Scratch::new(self.0.len());
        text.copy_from_slice(&self.0);
        Bytes::from_owner(text)
    }
}

/// Encodes as a form does.
fn encode(bytes: &[u8], into: &mut Plaintext) -> Option<()> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b' ' => into.push(b'+')?,
            byte if byte.is_ascii_alphanumeric() || b"*-._".contains(byte) => into.push(*byte)?,
            byte => {
                into.push(b'%')?;
                into.push(DIGITS[usize::from(byte >> 4)])?;
                into.push(DIGITS[usize::from(byte & 15)])?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn client() -> OauthClient {
        OauthClient {
            id: "a client:1".to_owned(),
            secret: Secret::copy_of(b"s3cr+t/%:0123456789"),
        }
    }

    #[test]
    fn what_a_client_shows_is_encoded_twice_in_the_header_and_once_in_the_form() {
        let basic = client().basic().unwrap();
        assert!(basic.is_sensitive());
        let coded = basic.as_bytes().strip_prefix(b"Basic ").unwrap();
        let decoded = BASE64.decode(coded).unwrap();
        assert_eq!(decoded, b"a+client%3A1:s3cr%2Bt%2F%25%3A0123456789");

        let mut form = Form::with_room(1024);
        form.add("scope", "a b/é".as_bytes()).unwrap();
        client().post(&mut form).unwrap();
        assert_eq!(
            &form.finish()[..],
            b"scope=a+b%2F%C3%A9&client_id=a+client%3A1&client_secret=s3cr%2Bt%2F%25%3A0123456789"
        );
    }

    #[test]
    fn a_text_that_holds_the_secret_in_either_form_is_told() {
        let client = client();
        let basic = client.basic().unwrap();
        let basic = &basic.as_bytes()[6..];
        for text in [&b"x-s3cr+t/%:0123456789-y"[..], basic] {
            assert!(client.is_in(text));
        }
        assert!(client.is_in(BASE64.encode(b"s3cr+t/%:0123456789").as_bytes()));
        assert!(!client.is_in(b"another text"));
        assert!(!client.is_in(b""));
    }

    #[test]
    fn a_form_without_room_is_no_form() {
        let mut form = Form::with_room(4);
        assert_eq!(form.add("a", b"b c d"), None);
    }
}
