//! What a secret is: fixed at import, sealed with the value, never changed.
//!
//! A kind fixes the algorithm and the encoding too, so that no use can choose
//! them later. The rules by which a value is accepted stand in `import.rs`.

use std::str::FromStr;

/// What a secret is. Which uses it permits stands in [`Use::fits`](crate::Use::fits).
///
/// As text: `client-keys`, `api-key`, `basic`, `hmac-key`, `oauth-client`,
/// `certificate`, `storage-account`, `database`, `aws-key`, `data-key`,
/// `service-bus`, `connection-string`. The text `hmac-key` parses as SHA-256 and [`KeyEncoding::Raw`], `data-key` as
/// [`KeyEncoding::Raw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The keys of an API's consumers: lines of `subject = key`, at most two keys
    /// for a subject so that they can be rotated. The vault keeps a keyed hash of
    /// each; the key's text is gone after import.
    ClientKeys,
    /// A value that a backend wants to see, such as an API key or a bearer token:
    /// 8 to 4096 bytes of visible ASCII.
    ApiKey,
    /// A user and a password for HTTP Basic (RFC 7617): `user:password`, divided
    /// at the first colon; UTF-8 without control characters, the password of at
    /// least 8 characters.
    Basic,
    /// A key for message authentication codes: 32 to 4096 bytes after decoding.
    HmacKey {
        /// The hash of every code made with it.
        algorithm: MacAlgorithm,
        /// How the imported text becomes the key's bytes.
        encoding: KeyEncoding,
    },
    /// A client of an OAuth 2.0 authorisation server (RFC 6749, section 2.3.1):
    /// JSON `{"client_id": "…", "client_secret": "…"}`, the secret of at least 16
    /// visible ASCII characters.
    OauthClient,
    /// A certificate and its key: PEM (RFC 7468) with the chain, the leaf first,
    /// and one unencrypted private key (PKCS#8, PKCS#1 or SEC1), which must be the
    /// leaf's: RSA, ECDSA (P-256, P-384, P-521) or Ed25519.
    Certificate,
    /// A connection string of an Azure storage account: `AccountName`,
    /// `AccountKey` (base64 of 64 bytes), and `EndpointSuffix` or the endpoints
    /// themselves (`BlobEndpoint`, `QueueEndpoint`, `TableEndpoint`, `FileEndpoint`).
    StorageAccount,
    /// A PostgreSQL connection URL: `postgres://user:password@host:port/database`, or
    /// `Host=…;Port=…;Database=…;Username=…;Password=…`; the password of at least 8
    /// characters.
    Database,
    /// An AWS access key, as the lines of a credentials file:
    /// `aws_access_key_id`, `aws_secret_access_key`, and `aws_session_token` if
    /// there is one.
    AwsKey,
    /// A key with which a policy's own data are sealed: 32 bytes.
    DataKey {
        /// How the imported text becomes the key's bytes.
        encoding: KeyEncoding,
    },
    /// A connection string of a Service Bus or Event Hubs namespace, or of an entity
    /// in one: `Endpoint`, `SharedAccessKeyName`, `SharedAccessKey`, and `EntityPath`
    /// if there is one.
    ServiceBus,
    /// Any other connection string: `Name=Value;…`, or Redis as
    /// `host:port,name=value,…` or as a URL. It is parsed and kept; what a policy may
    /// read of it are its public parts.
    ConnectionString,
}

impl Kind {
    /// All kinds, in each algorithm and encoding.
    pub fn all() -> impl Iterator<Item = Self> {
        let mac_keys = MacAlgorithm::ALL.into_iter().flat_map(|algorithm| {
            KeyEncoding::ALL
                .into_iter()
                .map(move |encoding| Self::HmacKey {
                    algorithm,
                    encoding,
                })
        });
        let data_keys = KeyEncoding::ALL
            .into_iter()
            .map(|encoding| Self::DataKey { encoding });
        let plain = [
            Self::ClientKeys,
            Self::ApiKey,
            Self::Basic,
            Self::OauthClient,
            Self::Certificate,
            Self::StorageAccount,
            Self::Database,
            Self::AwsKey,
            Self::ServiceBus,
            Self::ConnectionString,
        ];
        plain.into_iter().chain(mac_keys).chain(data_keys)
    }

    /// The kind as people write it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ClientKeys => "client-keys",
            Self::ApiKey => "api-key",
            Self::Basic => "basic",
            Self::HmacKey { .. } => "hmac-key",
            Self::OauthClient => "oauth-client",
            Self::Certificate => "certificate",
            Self::StorageAccount => "storage-account",
            Self::Database => "database",
            Self::AwsKey => "aws-key",
            Self::DataKey { .. } => "data-key",
            Self::ServiceBus => "service-bus",
            Self::ConnectionString => "connection-string",
        }
    }

    /// The longest text that can be imported as this kind, in bytes: what to pass
    /// to [`Secret::read_from`](crate::Secret::read_from).
    pub const fn max_bytes(&self) -> usize {
        match self {
            Self::ClientKeys => 1 << 20,
            Self::Certificate => 128 << 10,
            Self::ApiKey
            | Self::Basic
            | Self::StorageAccount
            | Self::Database
            | Self::ServiceBus
            | Self::ConnectionString => 4096,
            // Hexadecimal doubles the length.
            Self::HmacKey { .. } | Self::OauthClient | Self::AwsKey => 8192,
            Self::DataKey { .. } => 128,
        }
    }

    /// Whether a version stays accepted after the next one has taken its place.
    pub(crate) const fn keeps_previous(&self) -> bool {
        matches!(self, Self::HmacKey { .. } | Self::DataKey { .. })
    }

    /// How many versions are kept beside the one in use.
    pub(crate) const fn max_old_versions(&self) -> usize {
        match self {
            // A removed client's key must not linger.
            Self::ClientKeys => 2,
            _ => 8,
        }
    }
}

/// The hash of a MAC key (FIPS 180-4), used as HMAC (RFC 2104).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256: codes of 32 bytes.
    Sha256,
    /// HMAC with SHA-384: codes of 48 bytes.
    Sha384,
    /// HMAC with SHA-512: codes of 64 bytes.
    Sha512,
}

impl MacAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// How many bytes its codes have.
    pub const fn code_bytes(&self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The algorithm as people write it: `sha256`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// How the imported text of a MAC key becomes the key's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyEncoding {
    /// The text's bytes are the key.
    Raw,
    /// The text is hexadecimal, in either case.
    Hex,
    /// The text is base64 in the standard or the URL alphabet, padded or not.
    Base64,
}

impl KeyEncoding {
    /// All encodings.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Hex, Self::Base64];

    /// The encoding as people write it: `base64`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }
}

/// A text that names no such thing. It doesn't carry the text, only what would
/// have been valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what}; there are {valid}")]
pub struct UnknownWord {
    /// What was expected: `kind`, `algorithm`, `encoding`, `use`.
    pub(crate) what: &'static str,
    /// The valid words, separated by commas.
    pub(crate) valid: &'static str,
}

impl FromStr for Kind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        // Of each word, the first is the one with the default parameters.
        let found = Self::all().find(|kind| kind.as_str() == text);
        found.ok_or(UnknownWord {
            what: "kind",
            valid: "client-keys, api-key, basic, hmac-key, oauth-client, certificate, \
                    storage-account, database, aws-key, data-key, service-bus, \
                    connection-string",
        })
    }
}

impl FromStr for MacAlgorithm {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownWord {
            what: "algorithm",
            valid: "sha256, sha384, sha512",
        })
    }
}

impl FromStr for KeyEncoding {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|item| item.as_str() == text);
        found.ok_or(UnknownWord {
            what: "encoding",
            valid: "raw, hex, base64",
        })
    }
}

macro_rules! display_as_str {
    ($($name:ident),+) => {$(
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    )+};
}
pub(crate) use display_as_str;

display_as_str!(Kind, MacAlgorithm, KeyEncoding);
