//! How a secret is called in a vault.

use crate::error::SourceError;

/// The longest name of a secret, in bytes (Microsoft, "About Azure Key Vault keys,
/// secrets and certificates", vault name and object name).
const MAX_NAME: usize = 127;
/// The digits of a version.
const VERSION_DIGITS: usize = 32;
const EXPECTED: &str = "NAME or NAME/VERSION, the name of A-Z, a-z, 0-9 and `-`, at most 127 \
                        characters, the version of 32 hexadecimal digits";

/// A secret of a vault: `NAME` for its newest version, or `NAME/VERSION`. Of a
/// certificate it is the secret of the same name that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretKey<'a> {
    /// The name.
    pub name: &'a str,
    /// The version; none: the newest.
    pub version: Option<&'a str>,
}

impl<'a> SecretKey<'a> {
    /// Errors: [`SourceError::Key`].
    pub fn parse(text: &'a str) -> Result<Self, SourceError> {
        let (name, version) = match text.split_once('/') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        if is_object_name(name) && version.is_none_or(is_version) {
            Ok(Self { name, version })
        } else {
            Err(SourceError::Key { expected: EXPECTED })
        }
    }
}

/// Whether a secret, key or certificate can be called so: `^[0-9A-Za-z-]{1,127}$`.
pub fn is_object_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(super) fn is_version(text: &str) -> bool {
    text.len() == VERSION_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Name and version out of an object's identifier, `https://HOST/COLLECTION/NAME/VERSION`.
/// Its host is not looked at: nothing is ever sent there.
pub(super) fn parse_id<'a>(id: &'a str, collection: &str) -> Option<(&'a str, &'a str)> {
    let (_, path) = id.strip_prefix("https://")?.split_once('/')?;
    let mut segments = path.trim_end_matches('/').split('/');
    let (found, name, version) = (segments.next()?, segments.next()?, segments.next()?);
    let fits = found == collection && is_object_name(name) && is_version(version);
    (fits && segments.next().is_none()).then_some((name, version))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use super::*;

    const VERSION: &str = "0123456789abcdef0123456789ABCDEF";

    #[test]
    fn a_key_is_a_name_with_or_without_a_version() {
        let newest = SecretKey::parse("Stripe-Key-1").unwrap();
        assert_eq!((newest.name, newest.version), ("Stripe-Key-1", None));
        let text = format!("a/{VERSION}");
        let pinned = SecretKey::parse(&text).unwrap();
        assert_eq!((pinned.name, pinned.version), ("a", Some(VERSION)));
        for text in [
            "",
            "/",
            "a/",
            "a/1",
            "a b",
            "a_b",
            "a.b",
            "ä",
            "a%2fb",
            "..",
            "a/../b",
            "a?b",
            "a#b",
            &format!("/{VERSION}"),
            &format!("a/{VERSION}/"),
            &"x".repeat(128),
        ] {
            assert!(SecretKey::parse(text).is_err(), "{text}");
        }
        assert!(SecretKey::parse(&"x".repeat(127)).is_ok());
    }

    #[test]
    fn an_identifier_names_an_object_of_the_collection() {
        let id = format!("https://v.vault.azure.net/secrets/a/{VERSION}");
        assert_eq!(parse_id(&id, "secrets"), Some(("a", VERSION)));
        assert_eq!(parse_id(&id, "keys"), None);
        for id in [
            "https://v.vault.azure.net/secrets/a",
            "http://v/secrets/a/0123456789abcdef0123456789abcdef",
            "https://v/x/secrets/a/0123456789abcdef0123456789abcdef",
            "secrets/a/0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(parse_id(id, "secrets"), None, "{id}");
        }
    }
}
