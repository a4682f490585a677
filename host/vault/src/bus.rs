//! A namespace of Service Bus or Event Hubs, as its connection string names it.

use minicbor::Decoder;

use crate::kind::MacAlgorithm;
use crate::mac::MacKey;
use crate::secret::Secret;

/// A rule of a namespace, or of an entity in it, ready to sign with.
pub(crate) struct ServiceBus {
    pub(crate) host: Box<str>,
    pub(crate) key_name: Box<str>,
    /// Its text is the key; it is not decoded.
    pub(crate) key: MacKey,
    /// The entity that the rule is of; empty for the namespace.
    pub(crate) entity_path: Box<str>,
}

crate::secret::assert_not_implemented!(ServiceBus: std::fmt::Debug, Clone, serde::Serialize);

impl ServiceBus {
    /// From the stored form; `None` if it isn't one.
    pub(crate) fn prepare(value: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(value);
        (decoder.array().ok()? == Some(4)).then_some(())?;
        Some(Self {
            host: decoder.str().ok()?.into(),
            key_name: decoder.str().ok()?.into(),
            key: MacKey::prepare(
                MacAlgorithm::Sha256,
                Secret::copy_of(decoder.str().ok()?.as_bytes()),
            ),
            entity_path: decoder.str().ok()?.into(),
        })
    }

    /// The public parts: names and texts.
    pub(crate) fn public(&self) -> Vec<(String, String)> {
        let mut parts = vec![
            ("endpoint".to_owned(), format!("https://{}", self.host)),
            ("key-name".to_owned(), self.key_name.to_string()),
        ];
        if !self.entity_path.is_empty() {
            parts.push(("entity-path".to_owned(), self.entity_path.to_string()));
        }
        parts
    }
}
