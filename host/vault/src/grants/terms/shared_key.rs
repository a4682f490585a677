//! Terms of `sign-request` with `scheme = "shared-key"` and `"shared-key-lite"`: the
//! signatures of Azure Storage.

use std::fmt::Write as _;

use super::super::diff::Effect;
use super::super::parse::GrantReader;
use super::super::render::quoted;
use crate::Use;

/// The version of the storage protocol that requests name unless the grant says
/// otherwise.
const DEFAULT_API_VERSION: &str = "2021-12-02";
/// From this version on an empty body's length is signed as nothing; before it, as 0.
const FIRST_API_VERSION: &str = "2015-02-21";

/// How a request to Azure Storage is signed: Shared Key or Shared Key Lite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedKey {
    /// The service, which decides what is signed and which endpoint it is.
    pub service: StorageService,
    /// Shared Key Lite, which covers less: neither the body's length nor conditions.
    pub is_lite: bool,
    /// What the host writes into `x-ms-version`: a date, 2015-02-21 or later.
    pub api_version: String,
}

/// A service of a storage account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StorageService {
    /// Blobs.
    Blob,
    /// Files.
    File,
    /// Queues.
    Queue,
    /// Tables.
    Table,
}

impl StorageService {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Blob, Self::File, Self::Queue, Self::Table];

    /// As people write it: `blob`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::File => "file",
            Self::Queue => "queue",
            Self::Table => "table",
        }
    }
}

crate::kind::display_as_str!(StorageService);

impl SharedKey {
    /// What stands for it in `scheme`: `shared-key`, `shared-key-lite`.
    pub const fn scheme(&self) -> &'static str {
        match self.is_lite {
            true => "shared-key-lite",
            false => "shared-key",
        }
    }

    pub(in crate::grants) fn write(&self, toml: &mut String) {
        let Self {
            service,
            api_version,
            ..
        } = self;
        let _ = writeln!(toml, "scheme = {}", quoted(self.scheme()));
        let _ = writeln!(toml, "service = {}", quoted(service.as_str()));
        let _ = writeln!(toml, "api-version = {}", quoted(api_version));
    }

    pub(in crate::grants) fn in_words(&self) -> String {
        let what = match self.is_lite {
            true => "Shared Key Lite",
            false => "Shared Key",
        };
        format!("{what}, for the account's {} service", self.service)
    }

    pub(in crate::grants) fn compare(&self, old: &Self, parts: &mut Vec<(Effect, String)>) {
        if (old.service, old.is_lite) != (self.service, self.is_lite) {
            let (new, old) = (self.in_words(), old.in_words());
            parts.push((
                Effect::Wider,
                format!("requests are signed with {new}, not with {old}"),
            ));
        }
        if old.api_version != self.api_version {
            let (new, old) = (&self.api_version, &old.api_version);
            parts.push((
                Effect::Wider,
                format!("requests name version {new} of the protocol, not {old}"),
            ));
        }
    }
}

impl GrantReader<'_, '_, '_> {
    pub(super) fn shared_key(&mut self, is_lite: bool) -> Option<SharedKey> {
        let what = format!(
            "scheme = \"{}\"",
            SharedKey {
                service: StorageService::Blob,
                is_lite,
                api_version: String::new(),
            }
            .scheme()
        );
        let service = self.storage_service(Use::SignRequest, &what);
        let api_version = match self.fields.key("api-version") {
            None => Some(DEFAULT_API_VERSION.to_owned()),
            Some(_) => self.checked_text(
                "api-version",
                is_api_version,
                "a version is a date, 2015-02-21 or later: \"2021-12-02\"",
            ),
        };
        Some(SharedKey {
            service: service?,
            is_lite,
            api_version: api_version?,
        })
    }

    /// The service of a storage account that a grant is about.
    pub(super) fn storage_service(&mut self, use_: Use, what: &str) -> Option<StorageService> {
        let what = format!("a grant of {:?} with {what}", use_.as_str());
        self.fields
            .need("service", &what, "service = \"blob\"", self.problems);
        self.fields.key("service")?;
        self.one_of("service", StorageService::ALL, StorageService::as_str)
    }
}

/// `YYYY-MM-DD`, not before 2015-02-21.
fn is_api_version(text: &str) -> bool {
    let is_date = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    is_date && text >= FIRST_API_VERSION
}
