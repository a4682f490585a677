//! The uses of secrets: one type for each.
//!
//! A handle is opened by the alias that a grant gives the secret. Opening proves
//! nothing and reads nothing; each use is checked, recorded and carried out by
//! the host. No value ever enters the policy.

use crate::{Exchange, Failure, Request, host};

/// A secret that the host writes into a request, where the grant says.
pub struct Credential<'a> {
    exchange: &'a host::Exchange,
    handle: host::Credential,
}

impl Credential<'_> {
    /// Notes that the secret goes onto the exchange's request to the backend. It
    /// is written after the last policy has run, once the final method, host and
    /// path have been checked against the grant.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn attach(&self) -> Result<(), Failure> {
        host::attach_credential(&self.handle, self.exchange)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>) -> Result<(), Failure> {
        host::attach_credential_to(&self.handle, &request.handle)
    }

    /// Like [`attach`](Self::attach), where the grant's template has holes: what goes
    /// into each, by its name. The host encodes it for its place.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach); [`Failure::Invalid`] also if a hole is missing,
    /// is no hole of the template's, or can't take that text.
    pub fn attach_with(&self, holes: &[(String, String)]) -> Result<(), Failure> {
        host::attach_credential_with(&self.handle, self.exchange, holes)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach_with`](Self::attach_with).
    pub fn attach_to_with(
        &self,
        request: &Request<'_>,
        holes: &[(String, String)],
    ) -> Result<(), Failure> {
        host::attach_credential_to_with(&self.handle, &request.handle, holes)
    }
}

/// A key with which the host signs a whole request.
pub struct Signer<'a> {
    exchange: &'a host::Exchange,
    handle: host::Signer,
}

impl Signer<'_> {
    /// Notes that the exchange's request to the backend is to be signed, over its
    /// final bytes.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn attach(&self) -> Result<(), Failure> {
        host::attach_signer(&self.handle, self.exchange)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>) -> Result<(), Failure> {
        host::attach_signer_to(&self.handle, &request.handle)
    }
}

/// A client of an authorisation server, for which the host obtains tokens.
pub struct Token<'a> {
    exchange: &'a host::Exchange,
    handle: host::Token,
}

impl Token<'_> {
    /// Notes that a token goes onto the exchange's request to the backend. It is
    /// obtained after the last policy has run, unless one is at hand; without one,
    /// nothing is sent.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn attach(&self) -> Result<(), Failure> {
        host::attach_token(&self.handle, self.exchange)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>) -> Result<(), Failure> {
        host::attach_token_to(&self.handle, &request.handle)
    }

    /// Like [`attach`](Self::attach), with a token that the host obtains in exchange
    /// for one that came with the client's request: at most 16 KiB of visible ASCII.
    /// Whose it is and whether it is still good is the policy's to see to.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach); [`Failure::Denied`] also where the grant's flow
    /// is no such exchange.
    pub fn attach_on_behalf_of(&self, subject_token: &str) -> Result<(), Failure> {
        host::attach_token_for(&self.handle, self.exchange, subject_token)
    }
}

/// A key for making message authentication codes (HMAC, RFC 2104).
pub struct MacSigner<'a> {
    exchange: &'a host::Exchange,
    handle: host::MacSigner,
}

impl MacSigner<'_> {
    /// The code of a message of at most 512 KiB: 32, 48 or 64 bytes, as fixed when
    /// the key was stored.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        host::sign_mac(&self.handle, self.exchange, message)
    }
}

/// A key for checking message authentication codes.
pub struct MacVerifier<'a> {
    exchange: &'a host::Exchange,
    handle: host::MacVerifier,
}

impl MacVerifier<'_> {
    /// Whether `code` is the whole code of the message.
    ///
    /// # Errors
    /// As of [`MacSigner::sign`].
    pub fn verify(&self, message: &[u8], code: &[u8]) -> Result<bool, Failure> {
        host::verify_mac(&self.handle, self.exchange, message, code)
    }
}

/// A key with which the host makes shared access signatures. The policy never sees
/// one: the host writes it into the request.
pub struct SharedAccess<'a> {
    exchange: &'a host::Exchange,
    handle: host::SharedAccess,
}

/// What a shared access signature is to allow, within what the grant allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedAccessTerms {
    /// What it covers. Which one that is says the path of the request.
    pub scope: SharedAccessScope,
    /// What it allows; nothing for Service Bus and Event Hubs.
    pub permissions: &'static [SharedAccessPermission],
    /// How long it is good for; as long as the grant allows, if there is none.
    pub lifetime_seconds: Option<u32>,
}

/// What a shared access signature covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedAccessScope {
    /// The blob or file that the request is about; the whole queue, table or entity.
    Item,
    /// The directory in which it is, and all below it.
    Directory,
    /// The whole container or share.
    Container,
    /// The whole service, where the grant is about that.
    Account,
}

/// Something that a shared access signature allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedAccessPermission {
    /// Read.
    Read,
    /// Add to what is there.
    Add,
    /// Make something new.
    Create,
    /// Write over what is there.
    Write,
    /// Delete.
    Delete,
    /// List.
    List,
    /// Read and write tags.
    Tags,
    /// Change a message or an entity.
    Update,
    /// Take a message.
    Process,
}

impl SharedAccess<'_> {
    /// Notes that the exchange's request to the backend gets a shared access signature.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`] (also if the terms are more than the
    /// grant allows), [`Failure::Exhausted`], [`Failure::Unavailable`].
    pub fn attach(&self, terms: SharedAccessTerms) -> Result<(), Failure> {
        host::attach_shared_access(&self.handle, self.exchange, terms)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(
        &self,
        request: &Request<'_>,
        terms: SharedAccessTerms,
    ) -> Result<(), Failure> {
        host::attach_shared_access_to(&self.handle, &request.handle, terms)
    }
}

/// A key with which the host presigns a request's URL for AWS.
pub struct Presigner<'a> {
    exchange: &'a host::Exchange,
    handle: host::Presigner,
}

impl Presigner<'_> {
    /// Notes that the URL of the exchange's request to the backend is to be presigned,
    /// over its final bytes.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn attach(&self) -> Result<(), Failure> {
        host::attach_presigner(&self.handle, self.exchange)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>) -> Result<(), Failure> {
        host::attach_presigner_to(&self.handle, &request.handle)
    }
}

/// The public parts of a connection string.
pub struct Connection<'a> {
    exchange: &'a host::Exchange,
    handle: host::Connection,
}

impl Connection<'_> {
    /// A public part, such as `account` or `blob-endpoint`; none if there is no such
    /// part, or if that is a secret one.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn part(&self, name: &str) -> Result<Option<String>, Failure> {
        host::connection_part(&self.handle, self.exchange, name)
    }
}

/// The keys of an API's consumers.
pub struct ClientKeys<'a> {
    exchange: &'a host::Exchange,
    handle: host::ClientKeys,
}

impl ClientKeys<'_> {
    /// Who is calling; none if the client presented no key or an unknown one.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Exhausted`], [`Failure::Unavailable`].
    pub fn identify(&self) -> Result<Option<String>, Failure> {
        host::identify(&self.handle, self.exchange)
    }
}

/// A certificate that the host shows in TLS to whom requests go.
pub struct TlsIdentity<'a> {
    exchange: &'a host::Exchange,
    handle: host::TlsIdentity,
}

impl TlsIdentity<'_> {
    /// Notes that the exchange's request to the backend goes over a connection on
    /// which the certificate is shown. If the backend asks for none, nothing is sent.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn attach(&self) -> Result<(), Failure> {
        host::attach_tls_identity(&self.handle, self.exchange)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>) -> Result<(), Failure> {
        host::attach_tls_identity_to(&self.handle, &request.handle)
    }
}

/// The value of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// A text of at most 1024 bytes.
    Text(String),
    /// A number from -(2^53-1) to 2^53-1.
    Integer(i64),
    /// A truth.
    Flag(bool),
    /// At most 64 texts.
    Texts(Vec<String>),
}

/// What a token is to say, of what the grant leaves open. Without anything, the grant
/// says it all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    pub(crate) audience: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) own: Vec<(String, ClaimValue)>,
}

impl Claims {
    /// Nothing beside what the grant says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For whom it is, where the grant names several.
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self {
            audience: Some(audience.into()),
            ..self
        }
    }

    /// Whom it is about, where the grant leaves that open.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        Self {
            subject: Some(subject.into()),
            ..self
        }
    }

    /// Another claim, which the grant names.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: ClaimValue) -> Self {
        self.own.push((name.into(), value));
        self
    }
}

/// A certificate's key with which the host signs tokens (JWS, RFC 7515).
pub struct JwsSigner<'a> {
    exchange: &'a host::Exchange,
    handle: host::JwsSigner,
}

impl JwsSigner<'_> {
    /// Notes that a token with these claims goes onto the exchange's request to the
    /// backend, where the grant says.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`] (also of claims that the grant does
    /// not allow), [`Failure::Exhausted`], [`Failure::Unavailable`].
    pub fn attach(&self, claims: &Claims) -> Result<(), Failure> {
        host::attach_jws(&self.handle, self.exchange, claims)
    }

    /// The same, for a request of the policy's own.
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn attach_to(&self, request: &Request<'_>, claims: &Claims) -> Result<(), Failure> {
        host::attach_jws_to(&self.handle, &request.handle, claims)
    }

    /// A token with these claims, where the grant says that the policy may have it
    /// (`returns = "jws"`).
    ///
    /// # Errors
    /// As of [`attach`](Self::attach).
    pub fn sign(&self, claims: &Claims) -> Result<String, Failure> {
        host::sign_jws(&self.handle, self.exchange, claims)
    }
}

/// A key for sealing data of the policy's own.
pub struct Sealer<'a> {
    exchange: &'a host::Exchange,
    handle: host::Sealer,
}

impl Sealer<'_> {
    /// A text of at most 512 KiB, encrypted and authenticated; other bytes each time.
    /// It opens with the same context, of at most 4096 bytes, which is not part of it.
    ///
    /// # Errors
    /// [`Failure::Denied`], [`Failure::Invalid`], [`Failure::Exhausted`],
    /// [`Failure::Unavailable`].
    pub fn seal(&self, text: &[u8], context: &[u8]) -> Result<Vec<u8>, Failure> {
        host::seal(&self.handle, self.exchange, text, context)
    }
}

/// A key for opening what was sealed.
pub struct Opener<'a> {
    exchange: &'a host::Exchange,
    handle: host::Opener,
}

impl Opener<'_> {
    /// The text of sealed data.
    ///
    /// # Errors
    /// As of [`Sealer::seal`]; [`Failure::Invalid`] also if they were not sealed so, by
    /// this policy in this context, or have been changed.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, Failure> {
        host::open_sealed(&self.handle, self.exchange, sealed, context)
    }
}

impl<'a> Exchange<'a> {
    /// Opens a key for sealing by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn sealer(&self, alias: &str) -> Result<Sealer<'a>, Failure> {
        Ok(Sealer {
            exchange: self.host,
            handle: host::open_sealer(self.host, alias)?,
        })
    }

    /// Opens a key for opening what was sealed by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn opener(&self, alias: &str) -> Result<Opener<'a>, Failure> {
        Ok(Opener {
            exchange: self.host,
            handle: host::open_opener(self.host, alias)?,
        })
    }

    /// Opens a certificate to show in TLS by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn tls_identity(&self, alias: &str) -> Result<TlsIdentity<'a>, Failure> {
        Ok(TlsIdentity {
            exchange: self.host,
            handle: host::open_tls_identity(self.host, alias)?,
        })
    }

    /// Opens a certificate's key for signing tokens by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn jws_signer(&self, alias: &str) -> Result<JwsSigner<'a>, Failure> {
        Ok(JwsSigner {
            exchange: self.host,
            handle: host::open_jws_signer(self.host, alias)?,
        })
    }

    /// Opens a credential by its alias.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::Exhausted`], [`Failure::Unavailable`].
    pub fn credential(&self, alias: &str) -> Result<Credential<'a>, Failure> {
        Ok(Credential {
            exchange: self.host,
            handle: host::open_credential(self.host, alias)?,
        })
    }

    /// Opens a signer of requests by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn signer(&self, alias: &str) -> Result<Signer<'a>, Failure> {
        Ok(Signer {
            exchange: self.host,
            handle: host::open_signer(self.host, alias)?,
        })
    }

    /// Opens a client of an authorisation server by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn token(&self, alias: &str) -> Result<Token<'a>, Failure> {
        Ok(Token {
            exchange: self.host,
            handle: host::open_token(self.host, alias)?,
        })
    }

    /// Opens a key for making message authentication codes by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn mac_signer(&self, alias: &str) -> Result<MacSigner<'a>, Failure> {
        Ok(MacSigner {
            exchange: self.host,
            handle: host::open_mac_signer(self.host, alias)?,
        })
    }

    /// Opens a key for checking message authentication codes by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn mac_verifier(&self, alias: &str) -> Result<MacVerifier<'a>, Failure> {
        Ok(MacVerifier {
            exchange: self.host,
            handle: host::open_mac_verifier(self.host, alias)?,
        })
    }

    /// Opens a key for shared access signatures by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn shared_access(&self, alias: &str) -> Result<SharedAccess<'a>, Failure> {
        Ok(SharedAccess {
            exchange: self.host,
            handle: host::open_shared_access(self.host, alias)?,
        })
    }

    /// Opens a key for presigned URLs by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn presigner(&self, alias: &str) -> Result<Presigner<'a>, Failure> {
        Ok(Presigner {
            exchange: self.host,
            handle: host::open_presigner(self.host, alias)?,
        })
    }

    /// Opens a connection string, to read its public parts, by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn connection(&self, alias: &str) -> Result<Connection<'a>, Failure> {
        Ok(Connection {
            exchange: self.host,
            handle: host::open_connection(self.host, alias)?,
        })
    }

    /// Opens a set of client keys by its alias.
    ///
    /// # Errors
    /// As of [`credential`](Self::credential).
    pub fn client_keys(&self, alias: &str) -> Result<ClientKeys<'a>, Failure> {
        Ok(ClientKeys {
            exchange: self.host,
            handle: host::open_client_keys(self.host, alias)?,
        })
    }
}
