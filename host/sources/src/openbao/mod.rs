//! OpenBao and Vault: values of a KV engine of version 2, and keys that never leave
//! (transit).
//!
//! What this source promises:
//!
//! - it asks the address of its settings and nothing else; a redirect to another
//!   instance is [`SourceError::Standby`], never followed;
//! - a token is had by one login at a time, renewed after two thirds of its lease,
//!   and had anew where that fails; a token that is refused is asked about before
//!   another login, so that a permission that is missing costs no lease;
//! - tokens, secret ids and answers stand in buffers that are wiped, and are in no
//!   error and no log line;
//! - with the transit engine it makes and checks codes (HMAC), signs, and seals data
//!   under keys that never leave it, and opens and closes master keys.
//!
//! The protocol is that of <https://openbao.org/api-docs/>, under `/v1/`.

mod api;
mod auth;
mod check;
mod key;
mod messages;
mod settings;
mod transit;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::Method;
use jiff::Timestamp;
use keyward_egress::Dialer;
use keyward_egress::source::{SourceClient, SourceProfile};
use keyward_names::SourceName;
use keyward_vault::{Secret, Validity};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::SourceVersion;
use crate::error::SourceError;
use crate::source::{CheckStep, Fetched, KeyWrapper, RemoteKeys, Source};

use self::api::{Answer, Api};
use self::auth::Login;
use self::key::Key;
use self::messages::{Envelope, Gone, KvData, Metadata};
pub use self::settings::{OpenBaoAuth, OpenBaoSettings, OpenBaoSettingsError};

/// An OpenBao or Vault server, asked as [`OpenBaoSettings`] say.
pub struct OpenBao {
    name: SourceName,
    api: Arc<Api>,
    login: Login,
    mount: String,
    transit: String,
    versions: transit::Versions,
    public_keys: transit::PublicKeys,
}

impl OpenBao {
    /// Prepares the source, without connecting. `profile` brings what every source
    /// has (networks, certificate authorities, times); the address is added to it.
    ///
    /// Errors: a setting that can't be; authorities that can't be read.
    pub fn new(
        name: SourceName,
        settings: OpenBaoSettings,
        profile: SourceProfile,
        dialer: &Dialer,
    ) -> Result<Self, OpenBaoSettingsError> {
        let (base, namespace) = settings.check()?;
        let profile = profile.with_origin(&settings.address)?;
        let client = SourceClient::with_dialer(profile, dialer)?;
        let api = Arc::new(Api::new(client, base, namespace));
        Ok(Self {
            name,
            login: Login::new(Arc::clone(&api), settings.auth),
            api,
            mount: settings.mount,
            transit: settings.transit,
            versions: transit::Versions::default(),
            public_keys: transit::PublicKeys::default(),
        })
    }

    /// Asks with the token, and once more with a new one if the server doesn't know
    /// it any longer.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Zeroizing<Vec<u8>>,
    ) -> Result<Answer, SourceError> {
        let token = self.login.token().await?;
        let again = || Zeroizing::new(body.to_vec());
        let answer = self
            .api
            .send(method.clone(), path, Some(&token), again())
            .await?;
        if !answer.is_denied() {
            return Ok(answer);
        }
        match self.login.after_denial(&token).await? {
            Some(token) => self.api.send(method, path, Some(&token), again()).await,
            None => Ok(answer),
        }
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        message: &(impl serde::Serialize + Sync),
    ) -> Result<T, SourceError> {
        let body = messages::write(message)?;
        let answer = self.ask(Method::POST, path, &body).await?;
        let answer: Envelope<T> = answer.accepted()?.read()?;
        answer.data.ok_or(SourceError::Malformed { what: "data" })
    }

    async fn fetch_version(&self, key: &Key<'_>) -> Result<(KvData, Metadata), SourceError> {
        let path = key.path_under(&self.mount);
        let answer = self.ask(Method::GET, &path, &Zeroizing::default()).await?;
        if answer.is_not_found() {
            // A version that was deleted is answered so, with what is left of it.
            let gone = answer.read::<Envelope<Gone>>();
            let metadata = gone.ok().and_then(|gone| gone.data?.metadata);
            return Err(match metadata {
                Some(metadata) if !metadata.destroyed => SourceError::Disabled,
                _ => SourceError::NotFound,
            });
        }
        let answer: Envelope<KvData> = answer.accepted()?.read()?;
        let mut data = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        let metadata = data.metadata.take();
        let metadata = metadata.ok_or(SourceError::Malformed { what: "metadata" })?;
        Ok((data, metadata))
    }

    async fn fetch_value(&self, key: &str) -> Result<Fetched, SourceError> {
        let key = Key::parse(key)?;
        let (data, metadata) = self.fetch_version(&key).await?;
        let fields = data.data.ok_or(SourceError::NotFound)?;
        let value = fields.pick(key.field())?;
        if value.is_empty() {
            return Err(SourceError::Empty);
        }
        let max = value.len();
        let value = Secret::read_from(value.as_bytes(), max).map_err(|_| SourceError::Empty)?;
        Ok(Fetched {
            value,
            version: metadata.source_version()?,
            // The version may be set to be deleted by itself.
            validity: Validity {
                not_before: None,
                not_after: metadata.deletion()?,
            },
            enabled: true,
            content_type: None,
        })
    }
}

impl Source for OpenBao {
    fn name(&self) -> &SourceName {
        &self.name
    }

    fn kind(&self) -> &'static str {
        "openbao"
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        Box::pin(self.fetch_value(key))
    }

    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        Box::pin(check::check(self, key))
    }

    fn check_key(&self, key: &str) -> Result<(), SourceError> {
        Key::parse(key).map(|_| ())
    }

    fn key_wrapper(&self) -> Option<&dyn KeyWrapper> {
        Some(self)
    }

    fn remote_keys(&self) -> Option<&dyn RemoteKeys> {
        Some(self)
    }
}

impl Metadata {
    /// `3@2026-01-02T03:04:05.678Z`: numbers start anew where a secret is deleted as
    /// a whole, times don't.
    fn source_version(&self) -> Result<SourceVersion, SourceError> {
        let version = format!("{}@{}", self.version, self.created_time);
        Ok(SourceVersion::parse(&version)?)
    }

    /// When the version is deleted.
    fn deletion(&self) -> Result<Option<Timestamp>, SourceError> {
        if self.deletion_time.is_empty() {
            return Ok(None);
        }
        let time = self.deletion_time.parse();
        let what = "deletion time";
        time.map(Some).map_err(|_| SourceError::Malformed { what })
    }
}
