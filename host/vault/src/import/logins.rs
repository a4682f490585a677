//! Names with a password or a key: HTTP Basic, OAuth clients, AWS access keys.

use super::fields::{Field, is_visible, stored, text};
use crate::plaintext::Plaintext;
use crate::secret::{ImportError, Secret};

/// The least length of a password, in characters: shorter ones can't be searched
/// for in answers without finding them by chance.
pub(super) const MIN_PASSWORD_CHARACTERS: usize = 8;
/// The least length of an OAuth client's secret, in characters.
const MIN_CLIENT_SECRET_CHARACTERS: usize = 16;

/// `user:password`, divided at the first colon (RFC 7617, section 2). Stored as
/// `[user, password]`.
pub(super) fn basic(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "basic",
        reason,
    };
    let exposed = value.expose();
    let (user, password) = text(&exposed[..], "basic")?
        .split_once(':')
        .ok_or(malformed("it has the form user:password"))?;
    if user.is_empty() {
        return Err(malformed("there must be a user before the colon"));
    }
    if password.chars().count() < MIN_PASSWORD_CHARACTERS {
        return Err(malformed("the password must have at least 8 characters"));
    }
    Ok(stored(&[Field::Text(user), Field::Text(password)]))
}

/// JSON with `client_id` and `client_secret`, and nothing else. Stored as
/// `[client id, client secret]`.
pub(super) fn oauth_client(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "oauth-client",
        reason,
    };
    let form = malformed(r#"it has the form {"client_id": "…", "client_secret": "…"}"#);
    let exposed = value.expose();
    let mut json = Json(text_of_json(&exposed[..]).ok_or(form)?);
    let (mut id, mut secret) = (None, None);
    json.token(b'{').ok_or(form)?;
    loop {
        let key = json.string().ok_or(form)?;
        json.token(b':').ok_or(form)?;
        let place = match &key[..] {
            b"client_id" => &mut id,
            b"client_secret" => &mut secret,
            _ => {
                return Err(malformed(
                    "it has client_id and client_secret and nothing else",
                ));
            }
        };
        if place.is_some() {
            return Err(malformed("client_id and client_secret stand once each"));
        }
        *place = Some(json.string().ok_or(form)?);
        if json.token(b',').is_none() {
            break;
        }
    }
    json.token(b'}').ok_or(form)?;
    let (Some(id), Some(secret), true) = (id, secret, json.0.trim_ascii().is_empty()) else {
        return Err(form);
    };
    if !is_visible(&id, 1, 1024) {
        return Err(malformed(
            "the client_id must be 1 to 1024 visible ASCII characters",
        ));
    }
    if !is_visible(&secret, MIN_CLIENT_SECRET_CHARACTERS, 4096) {
        return Err(malformed(
            "the client_secret must be 16 to 4096 visible ASCII characters",
        ));
    }
    let (id, secret) = (as_text(&id), as_text(&secret));
    Ok(stored(&[Field::Text(id), Field::Text(secret)]))
}

/// JSON is UTF-8.
fn text_of_json(bytes: &[u8]) -> Option<&[u8]> {
    std::str::from_utf8(bytes).ok().map(|_| bytes)
}

/// What has been found to be visible ASCII.
fn as_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// As much of JSON (RFC 8259) as an object of strings needs. A library would leave
/// copies of strings with escapes.
struct Json<'a>(&'a [u8]);

impl Json<'_> {
    fn token(&mut self, expected: u8) -> Option<()> {
        let rest = self.0.trim_ascii_start();
        self.0 = rest.strip_prefix(&[expected])?;
        Some(())
    }

    /// A string without its escapes.
    fn string(&mut self) -> Option<Plaintext> {
        self.token(b'"')?;
        // The text is never longer than its escaped form.
        let mut text = Plaintext::with_room(self.0.len());
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(text),
                b'\\' => self.escape(&mut text)?,
                0..0x20 => return None,
                byte => text.push(*byte)?,
            }
        }
    }

    fn escape(&mut self, text: &mut Plaintext) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        text.push(match first {
            b'"' | b'\\' | b'/' => *first,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (digits, rest) = self.0.split_first_chunk::<4>()?;
                self.0 = rest;
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let mut code = 0;
                for byte in digits {
                    code = code * 16 + digit(byte)?;
                }
                // Nothing beyond ASCII is accepted afterwards anyway.
                u8::try_from(code).ok().filter(u8::is_ascii)?
            }
            _ => return None,
        })
    }
}

/// Lines of an AWS credentials file. Stored as `[access key id, secret access key,
/// session token]`, the last one empty if there is none.
pub(super) fn aws_key(value: &Secret) -> Result<Secret, ImportError> {
    let malformed = |reason| ImportError::Malformed {
        kind: "aws-key",
        reason,
    };
    let exposed = value.expose();
    let bytes = &exposed[..];
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut first = true;
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") || line.starts_with(b";") {
            continue;
        }
        let is_first = std::mem::replace(&mut first, false);
        if is_first && line.starts_with(b"[") && line.ends_with(b"]") {
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=');
        let (name, value) = equals
            .and_then(|at| Some((line.get(..at)?, line.get(at + 1..)?)))
            .ok_or(malformed("its lines have the form name = value"))?;
        let place = match name.trim_ascii() {
            b"aws_access_key_id" => &mut id,
            b"aws_secret_access_key" => &mut secret,
            b"aws_session_token" => &mut token,
            _ => {
                return Err(malformed(
                    "its lines set aws_access_key_id, aws_secret_access_key and \
                     aws_session_token, of one profile",
                ));
            }
        };
        if place.replace(value.trim_ascii()).is_some() {
            return Err(malformed("each of its lines stands once"));
        }
    }
    let (Some(id), Some(secret)) = (id, secret) else {
        return Err(malformed(
            "it needs lines with aws_access_key_id and aws_secret_access_key",
        ));
    };
    let is_id = |prefix: &[u8]| {
        let rest = id.strip_prefix(prefix);
        let upper = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        rest.is_some_and(|rest| rest.len() == 16 && rest.iter().all(upper))
    };
    if !is_id(b"AKIA") && !is_id(b"ASIA") {
        return Err(malformed(
            "the access key id is AKIA or ASIA and 16 of A-Z and 0-9",
        ));
    }
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
    if secret.len() != 40 || !secret.iter().all(base64) {
        return Err(malformed(
            "the secret access key has 40 of A-Z, a-z, 0-9, '/' and '+'",
        ));
    }
    match token {
        None if is_id(b"ASIA") => {
            return Err(malformed(
                "a temporary key (ASIA…) needs its aws_session_token",
            ));
        }
        Some(token) if !is_visible(token, 16, 4096) => {
            return Err(malformed(
                "the session token has 16 to 4096 visible ASCII characters",
            ));
        }
        _ => {}
    }
    let (id, secret) = (as_text(id), as_text(secret));
    let token = as_text(token.unwrap_or_default());
    let fields = [Field::Text(id), Field::Text(secret), Field::Text(token)];
    Ok(stored(&fields))
}
