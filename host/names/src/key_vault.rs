//! Key Vault references: the text by which Azure's services name a secret in a
//! vault, in both of its forms.
//!
//! ```text
//! @Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/stripe-key)
//! @Microsoft.KeyVault(VaultName=shop;SecretName=stripe-key;SecretVersion=0123…)
//! ```
//!
//! The grammar is that of App Service's "Use Key Vault references", read
//! narrowly: a reference names a secret of a vault and nothing else. It is only
//! a name. Whether that vault may be asked is for an operator's file to say; see
//! [`KeyVaultReference::source`].

use std::fmt;
use std::ops::Range;

use crate::name::SourceName;

/// How a reference begins, whatever the case of its letters.
const START: &str = "@Microsoft.KeyVault";
/// What a reference looks like, for messages.
const FORMS: &str =
    "SecretUri=https://VAULT.vault.azure.net/secrets/NAME or VaultName=VAULT;SecretName=NAME";
/// The longest text that is read as a reference, in bytes.
const MAX_BYTES: usize = 1024;
/// The longest name of a secret, in bytes (Key Vault, "Vault name and object name").
const MAX_SECRET_BYTES: usize = 127;
/// The digits of a version (Key Vault, "Object identifiers").
const VERSION_DIGITS: usize = 32;
/// How many characters the name of a vault has.
const VAULT_NAME: std::ops::RangeInclusive<usize> = 3..=24;
/// The longest host name, in bytes (RFC 1035, 2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// A secret in an Azure Key Vault, as a reference names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultReference {
    vault: KeyVault,
    secret: String,
    version: Option<String>,
}

/// Which vault a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyVault {
    /// The one at this host (lower case) and port; 443 where none is written.
    At {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// The one of this name (lower case): the first label of its host.
    Named(String),
}

/// What is wrong with a part of a reference, and what to write instead. None
/// carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyVaultFault {
    /// More bytes than a reference has.
    #[error("a Key Vault reference has at most {MAX_BYTES} bytes")]
    TooLong,
    /// It begins with something else.
    #[error("a Key Vault reference is the whole of a value and starts with @Microsoft.KeyVault(")]
    Start,
    /// No bracket at the end.
    #[error("the reference does not end: write `)` after it")]
    Open,
    /// Something after the bracket.
    #[error("a Key Vault reference is the whole of a value: leave out what stands after the `)`")]
    Rest,
    /// A part without `=`, or nothing at all.
    #[error("write {FORMS}")]
    Form,
    /// A key that references don't have.
    #[error("a reference has SecretUri, or VaultName, SecretName and SecretVersion; write {FORMS}")]
    UnknownPart,
    /// A key a second time.
    #[error("this part stands there already: leave one out")]
    Second,
    /// Both forms in one.
    #[error("SecretUri says all: leave it out, or leave out the other parts")]
    BothForms,
    /// A part that has to be there.
    #[error("{0} is missing: write VaultName=VAULT;SecretName=NAME")]
    Missing(&'static str),
    /// Another scheme, or none.
    #[error("the URI has to start with https://")]
    Scheme,
    /// `user@` in the URI.
    #[error("the URI can't have a user or a password: leave out what stands before the `@`")]
    UserInfo,
    /// No host, or one that is not a plain ASCII host name.
    #[error(
        "the host has to be a host name of a-z, 0-9, `-` and `.`, such as shop.vault.azure.net"
    )]
    Host,
    /// A port that is none.
    #[error("the port has to be a number from 1 to 65535; leave it out for 443")]
    Port,
    /// `?` in the URI.
    #[error("the URI can't have a query: leave out what stands after the secret")]
    Query,
    /// `#` in the URI.
    #[error("the URI can't have a fragment: leave out what stands after the secret")]
    Fragment,
    /// `/keys/…`, `/certificates/…`.
    #[error(
        "only secrets can be fetched: write /secrets/NAME; a certificate with its private key is the secret of the same name"
    )]
    NotASecret,
    /// Another path.
    #[error("the path has to be /secrets/NAME or /secrets/NAME/VERSION")]
    Path,
    /// A name that no secret can have.
    #[error("the name of a secret has 1 to {MAX_SECRET_BYTES} of A-Z, a-z, 0-9 and `-`")]
    SecretName,
    /// A version that no secret can have.
    #[error("a version has {VERSION_DIGITS} digits of 0-9 and a-f; leave it out for the newest")]
    SecretVersion,
    /// A name that no vault can have.
    #[error("the name of a vault has 3 to 24 of A-Z, a-z, 0-9 and `-`, a letter first")]
    VaultName,
}

/// One mistake and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultMistake {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What is wrong there.
    pub fault: KeyVaultFault,
}

/// All that is wrong with a reference, in the order of its text; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVaultErrors(Vec<KeyVaultMistake>);

impl KeyVaultErrors {
    /// The mistakes, in the order of the text.
    pub fn iter(&self) -> std::slice::Iter<'_, KeyVaultMistake> {
        self.0.iter()
    }
}

impl fmt::Display for KeyVaultErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a Key Vault reference")?;
        for (index, KeyVaultMistake { span, fault }) in self.0.iter().enumerate() {
            let before = if index == 0 { ": " } else { "; " };
            write!(
                f,
                "{before}at byte {}: {fault}",
                span.start.saturating_add(1)
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for KeyVaultErrors {}

/// Why no source can be asked for what a reference names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoKeyVaultSource {
    /// The operator listed no such vault.
    #[error("no source of kind \"key-vault\" is the vault {vault}, so it is not asked")]
    Unlisted {
        /// The vault as the reference has it.
        vault: KeyVault,
    },
    /// More than one source is that vault.
    #[error("the vault {vault} is several sources: {}", names(.sources))]
    Several {
        /// The vault as the reference has it.
        vault: KeyVault,
        /// The sources.
        sources: Vec<SourceName>,
        /// What the secret is called there.
        key: String,
    },
}

impl NoKeyVaultSource {
    /// What to do about it: the section to add, or what to write instead.
    pub fn help(&self) -> String {
        match self {
            Self::Unlisted { vault } => {
                let (name, url) = match vault {
                    KeyVault::Named(name) => (name.as_str(), format!("{name}.vault.azure.net")),
                    KeyVault::At { host, port } => {
                        let name = host.split('.').next().unwrap_or_default();
                        let name = match host.starts_with(|c: char| c.is_ascii_alphabetic()) {
                            true => name,
                            false => "azure",
                        };
                        let port = match port {
                            443 => String::new(),
                            port => format!(":{port}"),
                        };
                        (name, format!("{host}{port}"))
                    }
                };
                format!(
                    "if it may be, add to keyward.toml:\n\n[sources.{name}]\nkind = \"key-vault\"\nvault = \"https://{url}\"\ntenant = \"00000000-0000-0000-0000-000000000000\"  # the tenant that it trusts\n"
                )
            }
            Self::Several { sources, key, .. } => {
                let forms: Vec<String> =
                    sources.iter().map(|name| format!("{name}:{key}")).collect();
                format!("write the one that is meant: {}", forms.join(" or "))
            }
        }
    }
}

fn names(sources: &[SourceName]) -> String {
    let names: Vec<&str> = sources.iter().map(SourceName::as_str).collect();
    names.join(", ")
}

impl fmt::Display for KeyVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At { host, port: 443 } => f.write_str(host),
            Self::At { host, port } => write!(f, "{host}:{port}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl KeyVaultReference {
    /// Whether someone meant a text, or a part of it, as a reference. Such a text
    /// must not be used as it is: it would reach where the secret was meant to.
    pub fn is_meant_by(text: &str) -> bool {
        Self::is_in(text.as_bytes())
    }

    /// The same of bytes that need not be a text.
    pub fn is_in(bytes: &[u8]) -> bool {
        bytes
            .windows(START.len())
            .any(|window| window.eq_ignore_ascii_case(START.as_bytes()))
    }

    /// Reads a reference. Space around it and around its parts is left out, the
    /// case of its keys does not matter.
    ///
    /// Errors: every mistake, with its place.
    pub fn parse(text: &str) -> Result<Self, KeyVaultErrors> {
        let mut reader = Reader::default();
        let read = reader.reference(text);
        reader.finish(read)
    }

    /// Reads the identifier of a secret by itself: `https://HOST/secrets/NAME`,
    /// with `/VERSION` or without.
    ///
    /// Errors: every mistake, with its place.
    pub fn parse_uri(text: &str) -> Result<Self, KeyVaultErrors> {
        let mut reader = Reader::default();
        let read = match text.len() > MAX_BYTES {
            true => reader.mistake(0..text.len(), KeyVaultFault::TooLong),
            false => reader.uri(Part { text, start: 0 }),
        };
        reader.finish(read)
    }

    /// Which vault.
    pub fn vault(&self) -> &KeyVault {
        &self.vault
    }

    /// The secret's name there.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The version; none: the newest.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What a source calls the secret: `NAME` or `NAME/VERSION`.
    pub fn key(&self) -> String {
        match &self.version {
            Some(version) => format!("{}/{version}", self.secret),
            None => self.secret.clone(),
        }
    }

    /// The source that is the vault, of those that an operator listed with their
    /// host and port.
    ///
    /// Errors: none is, or several are.
    pub fn source<'a>(
        &self,
        listed: impl IntoIterator<Item = (&'a SourceName, &'a str, u16)>,
    ) -> Result<&'a SourceName, NoKeyVaultSource> {
        let is_it = |host: &str, port: u16| match &self.vault {
            KeyVault::At {
                host: meant,
                port: meant_port,
            } => meant.eq_ignore_ascii_case(host) && *meant_port == port,
            KeyVault::Named(name) => host
                .split('.')
                .next()
                .is_some_and(|label| label.eq_ignore_ascii_case(name)),
        };
        let found: Vec<&SourceName> = listed
            .into_iter()
            .filter(|(_, host, port)| is_it(host, *port))
            .map(|(name, ..)| name)
            .collect();
        match found.as_slice() {
            [] => Err(NoKeyVaultSource::Unlisted {
                vault: self.vault.clone(),
            }),
            [one] => Ok(one),
            several => Err(NoKeyVaultSource::Several {
                vault: self.vault.clone(),
                sources: several.iter().map(|name| (*name).clone()).collect(),
                key: self.key(),
            }),
        }
    }
}

/// As it is written in one of its forms.
impl fmt::Display for KeyVaultReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vault {
            at @ KeyVault::At { .. } => {
                write!(f, "{START}(SecretUri=https://{at}/secrets/{})", self.key())
            }
            KeyVault::Named(vault) => {
                write!(f, "{START}(VaultName={vault};SecretName={}", self.secret)?;
                if let Some(version) = &self.version {
                    write!(f, ";SecretVersion={version}")?;
                }
                f.write_str(")")
            }
        }
    }
}

/// A part of the text and where it begins.
#[derive(Clone, Copy)]
struct Part<'t> {
    text: &'t str,
    start: usize,
}

impl<'t> Part<'t> {
    fn span(self) -> Range<usize> {
        self.start..self.start.saturating_add(self.text.len())
    }

    /// What stands before and after the first `mark`.
    fn split_once(self, mark: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(mark)?;
        let start = self.span().end.saturating_sub(after.len());
        let before = Self {
            text: before,
            start: self.start,
        };
        Some((before, Self { text: after, start }))
    }

    /// Without the space around it.
    fn trim(self) -> Self {
        let from_start = self.text.trim_ascii_start();
        let skipped = self.text.len().saturating_sub(from_start.len());
        Self {
            text: from_start.trim_ascii_end(),
            start: self.start.saturating_add(skipped),
        }
    }

    /// The parts between marks.
    fn split(self, mark: char) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let part = rest?;
            let (first, more) = match part.split_once(mark) {
                Some((first, more)) => (first, Some(more)),
                None => (part, None),
            };
            rest = more;
            Some(first)
        })
    }
}

/// Collects what is wrong.
#[derive(Default)]
struct Reader(Vec<KeyVaultMistake>);

/// What the parts of a reference say.
#[derive(Default)]
struct Parts<'t> {
    uri: Option<Part<'t>>,
    vault: Option<Part<'t>>,
    secret: Option<Part<'t>>,
    version: Option<Part<'t>>,
}

impl Reader {
    fn mistake<T>(&mut self, span: Range<usize>, fault: KeyVaultFault) -> Option<T> {
        self.0.push(KeyVaultMistake { span, fault });
        None
    }

    fn finish(
        mut self,
        read: Option<KeyVaultReference>,
    ) -> Result<KeyVaultReference, KeyVaultErrors> {
        match read {
            Some(reference) if self.0.is_empty() => Ok(reference),
            _ => {
                self.0.sort_by_key(|mistake| mistake.span.start);
                Err(KeyVaultErrors(self.0))
            }
        }
    }

    fn reference(&mut self, text: &str) -> Option<KeyVaultReference> {
        if text.len() > MAX_BYTES {
            return self.mistake(0..text.len(), KeyVaultFault::TooLong);
        }
        let whole = Part { text, start: 0 }.trim();
        let begins = whole
            .text
            .get(..START.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(START));
        let inside = whole.text.get(START.len()..).filter(|_| begins);
        let Some(inside) = inside.and_then(|rest| rest.strip_prefix('(')) else {
            return self.mistake(whole.span(), KeyVaultFault::Start);
        };
        let inside = Part {
            text: inside,
            start: whole.span().end.saturating_sub(inside.len()),
        };
        let Some((inside, rest)) = inside.split_once(')') else {
            return self.mistake(whole.span(), KeyVaultFault::Open);
        };
        if !rest.text.is_empty() {
            self.mistake::<()>(rest.span(), KeyVaultFault::Rest);
        }
        let parts = self.parts(inside)?;
        self.forms(inside, parts)
    }

    /// The parts by their keys; none if there is no telling what was meant.
    fn parts<'t>(&mut self, inside: Part<'t>) -> Option<Parts<'t>> {
        let inside = inside.trim();
        if inside.text.is_empty() {
            return self.mistake(inside.span(), KeyVaultFault::Form);
        }
        let mut parts = Parts::default();
        let mut all = true;
        let mut last = inside.split(';').peekable();
        while let Some(part) = last.next() {
            let part = part.trim();
            // One `;` at the end is no part.
            if part.text.is_empty() && last.peek().is_none() {
                continue;
            }
            let Some((key, value)) = part.split_once('=') else {
                self.mistake::<()>(part.span(), KeyVaultFault::Form);
                all = false;
                continue;
            };
            let key = key.trim();
            let slot = match key.text.to_ascii_lowercase().as_str() {
                "secreturi" => &mut parts.uri,
                "vaultname" => &mut parts.vault,
                "secretname" => &mut parts.secret,
                "secretversion" => &mut parts.version,
                _ => {
                    self.mistake::<()>(key.span(), KeyVaultFault::UnknownPart);
                    all = false;
                    continue;
                }
            };
            if slot.replace(value.trim()).is_some() {
                self.mistake::<()>(part.span(), KeyVaultFault::Second);
            }
        }
        all.then_some(parts)
    }

    fn forms(&mut self, inside: Part<'_>, parts: Parts<'_>) -> Option<KeyVaultReference> {
        if let Some(uri) = parts.uri {
            if parts.vault.or(parts.secret).or(parts.version).is_some() {
                self.mistake::<()>(inside.span(), KeyVaultFault::BothForms);
            }
            return self.uri(uri);
        }
        for (part, name) in [(parts.vault, "VaultName"), (parts.secret, "SecretName")] {
            if part.is_none() {
                self.mistake::<()>(inside.span(), KeyVaultFault::Missing(name));
            }
        }
        let vault = parts.vault.and_then(|part| self.vault_name(part));
        let secret = parts.secret.and_then(|part| self.secret_name(part));
        // Empty is "the newest", as a setting that a template left empty has it.
        let version = parts.version.filter(|part| !part.text.is_empty());
        let version = match version {
            Some(part) => Some(self.version(part)?),
            None => None,
        };
        Some(KeyVaultReference {
            vault: KeyVault::Named(vault?),
            secret: secret?,
            version,
        })
    }

    fn uri(&mut self, uri: Part<'_>) -> Option<KeyVaultReference> {
        const SCHEME: &str = "https://";
        let scheme = uri.text.get(..SCHEME.len());
        if !scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME)) {
            return self.mistake(uri.span(), KeyVaultFault::Scheme);
        }
        let mut rest = Part {
            text: uri.text.get(SCHEME.len()..)?,
            start: uri.start.saturating_add(SCHEME.len()),
        };
        for (mark, fault) in [('#', KeyVaultFault::Fragment), ('?', KeyVaultFault::Query)] {
            if let Some((before, after)) = rest.split_once(mark) {
                let from = after.start.saturating_sub(1);
                self.mistake::<()>(from..after.span().end, fault);
                rest = before;
            }
        }
        let (authority, path) = rest.split_once('/').unwrap_or_else(|| {
            let end = Part {
                text: "",
                start: rest.span().end,
            };
            (rest, end)
        });
        let vault = self.authority(authority);
        let path = self.path(path);
        let (secret, version) = path?;
        Some(KeyVaultReference {
            vault: vault?,
            secret,
            version,
        })
    }

    fn authority(&mut self, authority: Part<'_>) -> Option<KeyVault> {
        if let Some(at) = authority.text.rfind('@') {
            let end = authority.start.saturating_add(at).saturating_add(1);
            return self.mistake(authority.start..end, KeyVaultFault::UserInfo);
        }
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => {
                let digits = port.text.bytes().all(|byte| byte.is_ascii_digit());
                match port.text.parse::<u16>() {
                    Ok(number) if digits && number > 0 => (host, number),
                    _ => return self.mistake(port.span(), KeyVaultFault::Port),
                }
            }
            None => (authority, 443),
        };
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if host.text.len() > MAX_HOST_BYTES || !host.text.split('.').all(label) {
            return self.mistake(host.span(), KeyVaultFault::Host);
        }
        Some(KeyVault::At {
            host: host.text.to_ascii_lowercase(),
            port,
        })
    }

    /// The secret and its version.
    fn path(&mut self, path: Part<'_>) -> Option<(String, Option<String>)> {
        let segments: Vec<Part<'_>> = path.split('/').collect();
        // A slash at the end says nothing.
        let segments = match segments.as_slice() {
            [before @ .., last] if last.text.is_empty() => before,
            all => all,
        };
        match segments {
            [first, name, rest @ ..] if first.text == "secrets" && rest.len() <= 1 => {
                let name = self.secret_name(*name);
                let version = match rest.first() {
                    Some(version) => Some(self.version(*version)?),
                    None => None,
                };
                Some((name?, version))
            }
            [first, ..] if matches!(first.text, "keys" | "certificates") => {
                self.mistake(first.span(), KeyVaultFault::NotASecret)
            }
            _ => self.mistake(path.span(), KeyVaultFault::Path),
        }
    }

    fn secret_name(&mut self, part: Part<'_>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let length = (1..=MAX_SECRET_BYTES).contains(&part.text.len());
        match length && part.text.bytes().all(plain) {
            true => Some(part.text.to_owned()),
            false => self.mistake(part.span(), KeyVaultFault::SecretName),
        }
    }

    fn version(&mut self, part: Part<'_>) -> Option<String> {
        let digits = part.text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match digits && part.text.len() == VERSION_DIGITS {
            true => Some(part.text.to_ascii_lowercase()),
            false => self.mistake(part.span(), KeyVaultFault::SecretVersion),
        }
    }

    fn vault_name(&mut self, part: Part<'_>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let first = part.text.starts_with(|c: char| c.is_ascii_alphabetic());
        let length = VAULT_NAME.contains(&part.text.len());
        match first && length && part.text.bytes().all(plain) && !part.text.ends_with('-') {
            true => Some(part.text.to_ascii_lowercase()),
            false => self.mistake(part.span(), KeyVaultFault::VaultName),
        }
    }
}

#[cfg(test)]
mod tests;
