//! A vault as a source: the challenge once, a token, the secret.

use std::future::Future;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use keyward_egress::Dialer;
use keyward_egress::source::{SourceAnswer, SourceClient, SourceTransportError};
use keyward_names::SourceName;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::answer;
use super::key::SecretKey;
use super::pins::Pins;
use super::settings::{KeyVaultSettings, KeyVaultSetupError};
use crate::error::{ChallengeError, IdentityError, SourceError};
use crate::managed_identity::{ManagedIdentity, Surroundings, Token};
use crate::source::{CheckStep, Fetched, KeyWrapper, Source};

/// Supported since 2022, and by Managed HSM.
const API_VERSION: &str = "7.4";

/// An Azure Key Vault, read with an identity that the platform assigned.
pub struct KeyVault {
    name: SourceName,
    /// `host[:port]`.
    pub(super) place: String,
    pub(super) pins: Pins,
    client: SourceClient,
    /// What the platform lacks is told at each fetch, like all that may pass.
    pub(super) identity: Result<ManagedIdentity, IdentityError>,
    limit: Duration,
    /// Whether the vault's challenge was seen and is as pinned.
    judged: Mutex<bool>,
}

/// What is asked of a vault.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Without the version of the API.
    pub(super) path: String,
    /// JSON, or nothing.
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Ask {
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Zeroizing::default(),
        }
    }
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
        let read = settings.read()?;
        let client =
            SourceClient::with_dialer(read.profile, dialer).map_err(KeyVaultSetupError::Vault)?;
        Ok(Self {
            name,
            place: read.place,
            pins: read.pins,
            client,
            identity: ManagedIdentity::new(&read.identity, surroundings, dialer),
            limit: settings.timeout,
            judged: Mutex::new(false),
        })
    }

    /// `host[:port]` of the vault, in lower case.
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn identity(&self) -> Result<&ManagedIdentity, IdentityError> {
        self.identity.as_ref().map_err(|error| *error)
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

    /// Asks the vault, with a token, and returns the body of its answer of 200.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Zeroizing<Vec<u8>>, SourceError> {
        self.judge_first().await?;
        let identity = self.identity().map_err(SourceError::Identity)?;
        let token = identity.token(None).await.map_err(SourceError::Identity)?;
        let mut answer = self.send(ask, Some(&token)).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            self.judge(&answer).await?;
            // One that ended early, or was made before the vault's tenant was told of
            // a change: a new one is asked for once.
            let token = identity
                .token(Some(token.serial))
                .await
                .map_err(SourceError::Identity)?;
            answer = self.send(ask, Some(&token)).await?;
        }
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status if status.is_redirection() => Err(self.refuse(ChallengeError::Redirect)),
            _ => Err(answer::refusal(&answer)),
        }
    }

    /// Sees to it that the vault's challenge is as pinned before a token is asked for:
    /// by a request without one, to which a vault answers with its challenge.
    pub(super) async fn judge_first(&self) -> Result<(), SourceError> {
        let mut judged = self.judged.lock().await;
        if !*judged {
            let ask = Ask::get("/secrets?maxresults=1".to_owned());
            let answer = self.send(&ask, None).await.map_err(|error| match error {
                SourceError::TooLarge { .. } => self.refuse(ChallengeError::TooLarge),
                error => error,
            })?;
            match answer.status {
                StatusCode::UNAUTHORIZED => self
                    .pins
                    .judge(&answer.headers)
                    .map_err(|error| self.refuse(error))?,
                status if status.is_redirection() => {
                    return Err(self.refuse(ChallengeError::Redirect));
                }
                // A vault that lets everybody in is none.
                status if status.is_success() => {
                    return Err(self.refuse(ChallengeError::Malformed));
                }
                _ => return Err(answer::refusal(&answer)),
            }
            *judged = true;
        }
        Ok(())
    }

    /// Judges the challenge to a request that had a token.
    async fn judge(&self, answer: &SourceAnswer) -> Result<(), SourceError> {
        let judgement = self.pins.judge(&answer.headers);
        if let Err(error) = judgement {
            // The next request goes without a token again.
            *self.judged.lock().await = false;
            return Err(self.refuse(error));
        }
        Ok(())
    }

    fn refuse(&self, error: ChallengeError) -> SourceError {
        tracing::warn!(
            source = %self.name,
            reason = error.word(),
            "a vault's challenge was refused: {error}; no token was sent"
        );
        SourceError::Challenge(error)
    }

    async fn send(&self, ask: &Ask, token: Option<&Token>) -> Result<SourceAnswer, SourceError> {
        let mark = if ask.path.contains('?') { '&' } else { '?' };
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(format!(
                "https://{}{}{mark}api-version={API_VERSION}",
                self.place, ask.path
            ))
            .header(ACCEPT, "application/json");
        if !ask.body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = token {
            let header = token.header().map_err(SourceError::Identity)?;
            request = request.header(AUTHORIZATION, header);
        }
        let request = request
            .body(ask.body.clone())
            .map_err(|_| SourceTransportError::Invalid)?;
        Ok(self.client.send(request).await?)
    }

    async fn fetch_secret(&self, key: &str) -> Result<Fetched, SourceError> {
        let key = SecretKey::parse(key)?;
        let path = match key.version {
            Some(version) => format!("/secrets/{}/{version}", key.name),
            None => format!("/secrets/{}", key.name),
        };
        answer::secret(&self.ask(&Ask::get(path)).await?, key)
    }
}

impl Source for KeyVault {
    fn name(&self) -> &SourceName {
        &self.name
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
