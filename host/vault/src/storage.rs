//! A storage account as its connection string names it: its key, and the endpoints
//! whose requests may be signed with it.

use minicbor::Decoder;

use crate::grants::StorageService;
use crate::kind::MacAlgorithm;
use crate::mac::MacKey;
use crate::secret::Secret;

/// An account, ready to sign with.
pub(crate) struct StorageAccount {
    pub(crate) name: Box<str>,
    pub(crate) key: MacKey,
    /// Empty where the endpoints are given.
    suffix: Box<str>,
    /// In the order of [`StorageService`]: blob, file, queue, table; empty if it isn't
    /// given.
    endpoints: [Box<str>; 4],
}

crate::secret::assert_not_implemented!(StorageAccount: std::fmt::Debug, Clone, serde::Serialize);

impl StorageAccount {
    /// From the stored form; `None` if it isn't one.
    pub(crate) fn prepare(value: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(value);
        (decoder.array().ok()? == Some(7)).then_some(())?;
        let name = decoder.str().ok()?.into();
        let key = Secret::copy_of(decoder.bytes().ok()?);
        let mut text = || Some(Box::from(decoder.str().ok()?));
        let suffix = text()?;
        let (blob, queue, table, file) = (text()?, text()?, text()?, text()?);
        Some(Self {
            name,
            key: MacKey::prepare(MacAlgorithm::Sha256, key),
            suffix,
            endpoints: [blob, file, queue, table],
        })
    }

    /// The URL of a service, without a slash at its end.
    pub(crate) fn endpoint(&self, service: StorageService) -> Option<String> {
        if self.suffix.is_empty() {
            let at = StorageService::ALL.iter().position(|one| *one == service)?;
            let given = self.endpoints.get(at).filter(|given| !given.is_empty())?;
            return Some(given.trim_end_matches('/').to_owned());
        }
        Some(format!("https://{}.{service}.{}", self.name, self.suffix))
    }

    /// The path below which the service lies at that authority: nothing for an account
    /// that has a host of its own, `/account` at an emulator. `None` if the authority
    /// is not the account's: what is signed for an account goes nowhere else.
    pub(crate) fn base_path(&self, service: StorageService, authority: &str) -> Option<String> {
        let endpoint = self.endpoint(service)?;
        let (scheme, rest) = endpoint.split_once("://")?;
        let (host, base) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let port = if scheme == "http" { ":80" } else { ":443" };
        let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
        let asked = bare(authority);
        // The account's copy in another region, which can be read.
        let secondary = host
            .split_once('.')
            .filter(|(first, _)| !self.suffix.is_empty() && **first == *self.name)
            .map(|(first, rest)| format!("{first}-secondary.{rest}"));
        let is_own = asked == bare(host) || secondary.is_some_and(|host| asked == bare(&host));
        is_own.then(|| base.to_owned())
    }

    /// The public parts: names and texts.
    pub(crate) fn public(&self) -> Vec<(String, String)> {
        let mut parts = vec![("account".to_owned(), self.name.to_string())];
        if !self.suffix.is_empty() {
            parts.push(("endpoint-suffix".to_owned(), self.suffix.to_string()));
        }
        for service in StorageService::ALL {
            if let Some(endpoint) = self.endpoint(service) {
                parts.push((format!("{service}-endpoint"), endpoint));
            }
        }
        parts
    }
}
