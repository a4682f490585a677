//! A vault as a source: Microsoft's clients over the pinned way to it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::Response;
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use keyward_egress::Dialer;
use keyward_names::SourceName;
use tokio::time::timeout;
use zeroize::Zeroize as _;

use super::answer;
use super::key::SecretKey;
use super::settings::{KeyVaultSettings, KeyVaultSetupError};
use super::transport::{API_VERSION, NoToken, PinnedVault, told};
use crate::error::SourceError;
use crate::managed_identity::Surroundings;
use crate::source::{CheckStep, Fetched, KeyWrapper, Source};

/// An Azure Key Vault, read with an identity that the platform assigned.
pub struct KeyVault {
    pub(super) pinned: Arc<PinnedVault>,
    secrets: SecretClient,
    pub(super) keys: KeyClient,
    limit: Duration,
}

impl KeyVault {
    /// Reads the settings and prepares the way to the vault and to where tokens are.
    /// Asks nobody.
    ///
    /// Errors: a setting can't be as it is. What the platform should have told and did
    /// not is no such error: each fetch fails with it.
    pub fn new(
        name: SourceName,
        settings: &KeyVaultSettings,
        surroundings: &Surroundings,
        dialer: &Dialer,
    ) -> Result<Self, KeyVaultSetupError> {
        let pinned = PinnedVault::new(name, settings.read()?, surroundings, dialer)?;
        let pinned = Arc::new(pinned);
        let place = format!("https://{}", pinned.place);
        let unusable = |_| KeyVaultSetupError::VaultForm;
        // The crates verify that a resource is the end of the vault's host. It was
        // compared with the pinned one, and a vault in a network of one's own may be
        // called something else.
        let secrets = SecretClientOptions {
            api_version: API_VERSION.to_owned(),
            client_options: pinned.client_options(),
            verify_challenge_resource: Some(false),
        };
        let keys = KeyClientOptions {
            api_version: API_VERSION.to_owned(),
            client_options: pinned.client_options(),
            verify_challenge_resource: Some(false),
        };
        Ok(Self {
            secrets: SecretClient::new(&place, Arc::new(NoToken), Some(secrets))
                .map_err(unusable)?,
            keys: KeyClient::new(&place, Arc::new(NoToken), Some(keys)).map_err(unusable)?,
            limit: settings.timeout,
            pinned,
        })
    }

    /// `host[:port]` of the vault, in lower case.
    pub fn place(&self) -> &str {
        &self.pinned.place
    }

    /// Bounds what is asked for as a whole.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        timeout(self.limit, work)
            .await
            .unwrap_or(Err(SourceError::TimedOut))
    }

    async fn fetch_secret(&self, key: &str) -> Result<Fetched, SourceError> {
        let key = SecretKey::parse(key)?;
        let options = SecretClientGetSecretOptions {
            secret_version: key.version.map(str::to_owned),
            ..Default::default()
        };
        let answer = self.secrets.get_secret(key.name, Some(options)).await;
        answer::secret(&WipedBody::of(answer.map_err(told)?).0, key)
    }
}

/// The body of an answer, wiped when dropped.
pub(super) struct WipedBody(pub(super) Bytes);

impl WipedBody {
    pub(super) fn of<T>(answer: Response<T>) -> Self {
        Self(answer.into_body().into())
    }
}

impl Drop for WipedBody {
    fn drop(&mut self) {
        if let Ok(mut bytes) = std::mem::take(&mut self.0).try_into_mut() {
            bytes.zeroize();
        }
    }
}

impl Source for KeyVault {
    fn name(&self) -> &SourceName {
        self.pinned.name()
    }

    fn kind(&self) -> &'static str {
        "key-vault"
    }

    fn fetch<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Fetched, SourceError>> {
        Box::pin(self.bounded(self.fetch_secret(key)))
    }

    fn check<'a>(&'a self, key: Option<&'a str>) -> BoxFuture<'a, Vec<CheckStep>> {
        Box::pin(self.walk(key))
    }

    fn check_key(&self, key: &str) -> Result<(), SourceError> {
        SecretKey::parse(key).map(drop)
    }

    fn key_wrapper(&self) -> Option<&dyn KeyWrapper> {
        Some(self)
    }
}
