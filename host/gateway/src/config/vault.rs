//! `[vault]` and `[audit]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyward::vault::Durability;

use super::parse::Parser;
use super::reader::{At, Reader};
use super::{AuditSection, VaultKey, VaultSection};

/// The longest time for which records can be kept, in days: a hundred years.
const MAX_RETENTION_DAYS: u64 = 36_525;

/// Why there is no such credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The name is a path, or none.
    #[error("the name of a credential has no slash")]
    Name,
    /// Nobody hands over credentials.
    #[error(
        "no service manager hands over credentials here ($CREDENTIALS_DIRECTORY is not set); \
         in a unit file: LoadCredentialEncrypted={0}"
    )]
    NoDirectory(String),
}

/// The file of a credential that the service manager hands over: `NAME` in
/// `$CREDENTIALS_DIRECTORY`. Whether it is there is not checked.
///
/// Errors: see [`CredentialError`].
pub fn credential(name: &str) -> Result<PathBuf, CredentialError> {
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(CredentialError::Name);
    }
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) if !directory.is_empty() => Ok(Path::new(&directory).join(name)),
        _ => Err(CredentialError::NoDirectory(name.to_owned())),
    }
}

impl<'a> Parser<'a> {
    /// None only if there are findings.
    pub(super) fn vault(&self, root: &Reader<'a, '_>) -> Option<VaultSection> {
        let default_key = || VaultKey::File(self.base.join("vault.key"));
        let default_file = || self.base.join("vault.keyward");
        let Some(section) = root.section("vault", "[vault]") else {
            return Some(VaultSection {
                file: default_file(),
                key: default_key(),
                expiry_warning: EXPIRY_WARNING,
            });
        };
        let file = self.path(&section, "file").unwrap_or_else(default_file);
        let key_file = self.path(&section, "key-file").map(VaultKey::File);
        let named = section.text("credential");
        let has_name = named.is_some();
        let credential = named.and_then(|text| self.credential(text));
        let passphrase = section.flag("passphrase").filter(|asked| *asked);
        let passphrase = passphrase.map(|_| VaultKey::Passphrase);
        let asked = section.text("source-key");
        let has_source = asked.is_some();
        let source = asked.and_then(|text| self.source_key(text));
        let ways = [
            key_file.is_some(),
            has_name,
            passphrase.is_some(),
            has_source,
        ];
        let ways = ways.into_iter().filter(|given| *given).count();
        if ways > 1 {
            self.findings.add_with_help(
                section.span(),
                "[vault] says in more than one way what opens the vault",
                "keep one of `key-file`, `credential`, `passphrase` and `source-key`",
            );
        }
        let expiry_warning = match section.text("expiry-warning") {
            None => EXPIRY_WARNING,
            Some(At { value, span }) => days(value).unwrap_or_else(|| {
                self.findings.add_with_help(
                    span,
                    "`expiry-warning` is not a number of days",
                    format!("write \"30d\"; 1 to {MAX_RETENTION_DAYS} days"),
                );
                EXPIRY_WARNING
            }),
        };
        section.finish();
        let key = match key_file.or(credential).or(passphrase).or(source) {
            Some(key) => key,
            None if has_name || has_source => return None,
            None => default_key(),
        };
        Some(VaultSection {
            file,
            key,
            expiry_warning,
        })
    }

    fn source_key(&self, text: At<&str>) -> Option<VaultKey> {
        match text.value.parse() {
            Ok(reference) => Some(VaultKey::Source(reference)),
            Err(error) => {
                self.findings.add_with_help(
                    text.span,
                    format!("`source-key`: {error}"),
                    "name a source of [sources] and the key in it: \"corp:vault-master\"",
                );
                None
            }
        }
    }

    fn credential(&self, text: At<&str>) -> Option<VaultKey> {
        match credential(text.value) {
            Ok(file) => Some(VaultKey::Credential(file)),
            Err(error) => {
                self.findings.add_with_help(
                    text.span,
                    format!("`credential`: {error}"),
                    "the file is looked for in $CREDENTIALS_DIRECTORY, which the service manager sets",
                );
                None
            }
        }
    }

    pub(super) fn audit(&self, root: &Reader<'a, '_>) -> AuditSection {
        let mut audit = AuditSection {
            directory: self.base.join("audit"),
            durability: Durability::Strict,
            retention: None,
        };
        let Some(section) = root.section("audit", "[audit]") else {
            return audit;
        };
        if let Some(directory) = self.path(&section, "directory") {
            audit.directory = directory;
        }
        match section.text("durability") {
            None
            | Some(At {
                value: "strict", ..
            }) => {}
            Some(At {
                value: "buffered", ..
            }) => audit.durability = Durability::Buffered,
            Some(At { span, .. }) => self.findings.add_with_help(
                span,
                "`durability` is neither \"strict\" nor \"buffered\"",
                "\"strict\" waits until a record is on the disk, \"buffered\" until it is written",
            ),
        }
        if let Some(At { value, span }) = section.text("retention") {
            audit.retention = days(value);
            if audit.retention.is_none() {
                self.findings.add_with_help(
                    span,
                    "`retention` is not a number of days",
                    format!("write \"400d\"; 1 to {MAX_RETENTION_DAYS} days"),
                );
            }
        }
        section.finish();
        audit
    }
}

/// How long before a secret's end it is warned about, unless the file says otherwise.
const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 24 * 3600);

fn days(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('d')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let days: u64 = number.parse().ok().filter(|_| digits)?;
    (1..=MAX_RETENTION_DAYS)
        .contains(&days)
        .then(|| Duration::from_secs(days.saturating_mul(24 * 3600)))
}
