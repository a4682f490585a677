//! The way out of Microsoft's clients: `azure_core` has requests sent by an
//! [`HttpClient`], and this one sends them over the egress's profile for sources, to
//! the pinned vault and nobody else.
//!
//! It keeps to itself what decides over trust. The crates see nothing but requests
//! without a token, and answers of 200:
//!
//! - challenges are judged here, all of each, before a token is asked for. Their
//!   `KeyVaultAuthorizer` finds a challenge's resource by searching the text, compares
//!   only the end of a host's name, neither authority nor tenant, and quotes it all in
//!   its errors; what it is shown here is made of the pins;
//! - tokens are put in as a request leaves, in buffers that are wiped. Their
//!   `BearerTokenAuthorizer` keeps one in plain strings until the next; what it keeps
//!   here is a word that stands for none;
//! - refusals are read here and end as a [`SourceError`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{Headers, WWW_AUTHENTICATE};
use azure_core::http::{
    AsyncRawResponse, Body, ClientOptions, HttpClient, Request as Wanted, RetryOptions,
    StatusCode as Status, Transport,
};
use azure_core::time::OffsetDateTime;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use keyward_egress::Dialer;
use keyward_egress::source::{SourceAnswer, SourceClient, SourceTransportError};
use keyward_names::SourceName;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::answer;
use super::pins::Pins;
use super::settings::{KeyVaultSetupError, Read};
use crate::error::{ChallengeError, IdentityError, SourceError};
use crate::managed_identity::{ManagedIdentity, Surroundings, Token};

/// Supported since 2022, and by Managed HSM.
pub(super) const API_VERSION: &str = "7.4";

/// A vault that was pinned, and whose tokens it is asked with.
pub(super) struct PinnedVault {
    name: SourceName,
    /// `host[:port]`.
    pub(super) place: String,
    pub(super) pins: Pins,
    client: SourceClient,
    /// What the platform lacks is told at each fetch, like all that may pass.
    identity: Result<ManagedIdentity, IdentityError>,
    /// Whether the vault's challenge was seen and is as pinned.
    judged: Mutex<bool>,
}

impl fmt::Debug for PinnedVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PinnedVault").field(&self.place).finish()
    }
}

/// What is asked of a vault, without a token.
struct Ask {
    method: Method,
    uri: Uri,
    /// `Accept` and `Content-Type`. What else the crates add tells of this machine.
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Ask {
    /// As a client of the crates wants it.
    fn read(wanted: &Wanted) -> Option<Self> {
        let mut headers = HeaderMap::new();
        for (name, value) in wanted.headers().iter() {
            for known in [ACCEPT, CONTENT_TYPE] {
                if known.as_str().eq_ignore_ascii_case(name.as_str()) {
                    headers.insert(known, HeaderValue::from_str(value.as_str()).ok()?);
                }
            }
        }
        let Body::Bytes(body) = wanted.body() else {
            return None;
        };
        Some(Self {
            method: Method::from_bytes(wanted.method().as_str().as_bytes()).ok()?,
            uri: wanted.url().as_str().parse().ok()?,
            headers,
            body: Zeroizing::new(body.to_vec()),
        })
    }
}

impl PinnedVault {
    pub(super) fn new(
        name: SourceName,
        read: Read,
        surroundings: &Surroundings,
        dialer: &Dialer,
    ) -> Result<Self, KeyVaultSetupError> {
        let client =
            SourceClient::with_dialer(read.profile, dialer).map_err(KeyVaultSetupError::Vault)?;
        Ok(Self {
            name,
            place: read.place,
            pins: read.pins,
            client,
            identity: ManagedIdentity::new(&read.identity, surroundings, dialer),
            judged: Mutex::new(false),
        })
    }

    pub(super) fn name(&self) -> &SourceName {
        &self.name
    }

    pub(super) fn identity(&self) -> Result<&ManagedIdentity, IdentityError> {
        self.identity.as_ref().map_err(|error| *error)
    }

    /// What clients of the crates are made with: this way out, and no second try of
    /// theirs.
    pub(super) fn client_options(self: &Arc<Self>) -> ClientOptions {
        ClientOptions {
            transport: Some(Transport::new(Arc::clone(self) as Arc<dyn HttpClient>)),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    }

    /// Asks the vault, with a token, and returns the body of its answer of 200.
    async fn ask(&self, ask: &Ask) -> Result<Zeroizing<Vec<u8>>, SourceError> {
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
            let uri = format!(
                "https://{}/secrets?maxresults=1&api-version={API_VERSION}",
                self.place
            );
            let ask = Ask {
                method: Method::GET,
                uri: uri.parse().map_err(|_| SourceTransportError::Invalid)?,
                headers: HeaderMap::new(),
                body: Zeroizing::default(),
            };
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
        let mut request = Request::new(ask.body.clone());
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.uri.clone();
        *request.headers_mut() = ask.headers.clone();
        if let Some(token) = token {
            let header = token.header().map_err(SourceError::Identity)?;
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        Ok(self.client.send(request).await?)
    }

    /// What the crates are shown of a challenge.
    fn pinned_challenge(&self) -> AsyncRawResponse {
        let mut headers = Headers::new();
        headers.insert(
            WWW_AUTHENTICATE,
            format!(r#"Bearer resource="{}""#, self.pins.resource),
        );
        AsyncRawResponse::from_bytes(Status::Unauthorized, headers, Bytes::new())
    }
}

#[async_trait]
impl HttpClient for PinnedVault {
    async fn execute_request(&self, request: &Wanted) -> azure_core::Result<AsyncRawResponse> {
        // A client's first request is made to be challenged, and has lost its body.
        let named = |name: &str| name.eq_ignore_ascii_case(AUTHORIZATION.as_str());
        if !request
            .headers()
            .iter()
            .any(|(name, _)| named(name.as_str()))
        {
            return Ok(self.pinned_challenge());
        }
        let asked = match Ask::read(request) {
            Some(ask) => self.ask(&ask).await,
            None => Err(SourceTransportError::Invalid.into()),
        };
        let body = asked.map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        Ok(AsyncRawResponse::from_bytes(
            Status::Ok,
            Headers::new(),
            Bytes::from_owner(body),
        ))
    }
}

/// The error that [`PinnedVault`] gave a client of the crates. Of their own, which
/// quote what they could not use, nothing is taken.
pub(super) fn told(error: azure_core::Error) -> SourceError {
    error
        .into_downcast()
        .unwrap_or(SourceError::Malformed { what: "answer" })
}

/// What stands where the crates keep a token.
#[derive(Debug)]
pub(super) struct NoToken;

#[async_trait]
impl TokenCredential for NoToken {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // It has always ended, so that nothing depends on the clock.
        Ok(AccessToken::new("none", OffsetDateTime::UNIX_EPOCH))
    }
}
