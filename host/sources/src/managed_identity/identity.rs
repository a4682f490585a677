//! An identity: where its tokens come from, and the one that is in use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use keyward_egress::source::{
    SourceAnswer, SourceClient, SourceProfile, SourceSetupError, SourceTransportError,
};
use keyward_egress::{Dialer, Roots, Stage, Timeouts};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::failure;
use super::platform::{Chosen, Identity, Platform, Wanted};
use super::request;
use super::surroundings::Surroundings;
use super::token::Token;
use crate::error::{IdentityError, Unreachable};

/// The wait before the second request; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(1340);
/// How often a token is asked for again.
const MAX_RETRIES: u32 = 5;
/// An endpoint on this machine or link accepts at once or not at all.
const LOCAL_CONNECT: Duration = Duration::from_secs(2);
/// The most that an endpoint's answer may be, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Which identity's tokens, for what, and from where.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// Whose tokens.
    pub identity: Identity,
    /// Who hands them out.
    pub platform: Platform,
    /// What they are for: `https://vault.azure.net`.
    pub resource: String,
    /// `https://host[:port]` of the authority. Workload identity logs in there and
    /// nowhere else.
    pub authority: String,
    /// The tenant's GUID.
    pub tenant: String,
    /// Where IMDS answers, if not at `http://169.254.169.254`: an address of this
    /// machine or link.
    pub endpoint: Option<String>,
    /// The federated token's file, if not the one that the platform names.
    pub token_file: Option<PathBuf>,
    /// Who vouches for the authority.
    pub roots: Roots,
    /// For how long a token is asked for, retries included.
    pub patience: Duration,
}

/// An identity that the platform assigned, and its current token.
///
/// However many ask, one request is under way; who waited while it failed is told
/// its error.
pub struct ManagedIdentity {
    chosen: Chosen,
    identity: Identity,
    resource: String,
    patience: Duration,
    client: SourceClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    failed: Option<(Instant, IdentityError)>,
    serial: u64,
}

/// A request that brought no token.
struct Failure {
    error: IdentityError,
    again: bool,
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Self {
            error,
            again: false,
        }
    }
}

impl ManagedIdentity {
    /// Chooses the platform and prepares the way to its endpoint. Asks nobody.
    ///
    /// Errors: what the platform should have told is missing or unusable, contradicts
    /// what is pinned, or the platform is not supported.
    pub fn new(
        settings: &IdentitySettings,
        surroundings: &Surroundings,
        dialer: &Dialer,
    ) -> Result<Self, IdentityError> {
        let wanted = Wanted {
            platform: settings.platform,
            identity: &settings.identity,
            authority: &settings.authority,
            tenant: &settings.tenant,
            endpoint: settings.endpoint.as_deref(),
            token_file: settings.token_file.as_ref(),
        };
        let chosen = Chosen::choose(&wanted, surroundings)?;
        let is_local = chosen.platform() != Platform::Workload;
        let timeouts = match is_local {
            true => Timeouts {
                connect: LOCAL_CONNECT,
                ..Timeouts::default()
            },
            false => Timeouts::default(),
        };
        let profile = SourceProfile::new()
            .with_roots(settings.roots.clone())
            .with_timeouts(timeouts)
            .with_deadline(settings.patience)
            .with_max_body(MAX_BODY);
        let setup = |_: SourceSetupError| match chosen.platform() {
            Platform::AppService => IdentityError::Environment {
                variable: "IDENTITY_ENDPOINT",
            },
            Platform::Workload => IdentityError::Authority(Unreachable::Certificate),
            Platform::Imds | Platform::Auto => IdentityError::NoEndpoint,
        };
        let client = chosen
            .pin(profile)
            .and_then(|profile| SourceClient::with_dialer(profile, dialer))
            .map_err(setup)?;
        Ok(Self {
            identity: settings.identity.clone(),
            resource: settings.resource.clone(),
            patience: settings.patience,
            chosen,
            client,
            state: Mutex::default(),
        })
    }

    /// The platform that was chosen; never [`Platform::Auto`].
    pub fn platform(&self) -> Platform {
        self.chosen.platform()
    }

    /// A token that may be used now: the current one, or a new one if that is about
    /// to end or is `refused`, which the resource did not accept.
    ///
    /// While the endpoint is not well, a token is used until it ends.
    ///
    /// Cancel safety: dropped, it gives up what was under way; the next call asks
    /// anew.
    pub(crate) async fn token(&self, refused: Option<u64>) -> Result<Arc<Token>, IdentityError> {
        let came = Instant::now();
        let mut state = self.state.lock().await;
        let current = state
            .token
            .clone()
            .filter(|token| Some(token.serial) != refused);
        if let Some(token) = &current
            && token.is_fresh(Instant::now())
        {
            return Ok(Arc::clone(token));
        }
        let asked = match state.failed {
            // Somebody else has just asked on behalf of all that wait here.
            Some((at, error)) if at >= came => Err(error),
            _ => self.ask(state.serial.wrapping_add(1)).await,
        };
        match asked {
            Ok(token) => {
                let token = Arc::new(token);
                state.serial = token.serial;
                state.token = Some(Arc::clone(&token));
                state.failed = None;
                Ok(token)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error));
                current
                    .filter(|token| token.is_alive(Instant::now()))
                    .ok_or(error)
            }
        }
    }

    /// Asks until there is a token, an error that asking again doesn't help against,
    /// or no time left.
    async fn ask(&self, serial: u64) -> Result<Token, IdentityError> {
        let end = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        loop {
            let failure = match self.ask_once(serial).await {
                Ok(token) => return Ok(token),
                Err(failure) => failure,
            };
            if !failure.again || tries == MAX_RETRIES || Instant::now() + wait >= end {
                return Err(failure.error);
            }
            sleep(wait).await;
            tries += 1;
            wait *= 2;
        }
    }

    async fn ask_once(&self, serial: u64) -> Result<Token, Failure> {
        let request = request::request(&self.chosen, &self.identity, &self.resource).await?;
        let asked = Instant::now();
        let answer = self.client.send(request).await;
        let SourceAnswer { status, body, .. } = answer.map_err(|error| self.transport(error))?;
        if status != StatusCode::OK {
            return Err(Failure {
                error: failure::judge(self.platform(), status, &body),
                again: failure::is_worth_another_try(self.platform(), status),
            });
        }
        Ok(Token::read(
            &body,
            &self.resource,
            asked,
            Timestamp::now(),
            serial,
        )?)
    }

    fn transport(&self, error: SourceTransportError) -> IdentityError {
        match (error, self.platform()) {
            (SourceTransportError::TimedOut, _) => IdentityError::TimedOut,
            (SourceTransportError::Unreachable(stage), Platform::Workload) => {
                IdentityError::Authority(Unreachable::from_stage(stage))
            }
            (SourceTransportError::Unreachable(Stage::ResolveTimeout | Stage::Busy), _) => {
                IdentityError::TimedOut
            }
            (SourceTransportError::Unreachable(_), _) => IdentityError::NoEndpoint,
            _ => IdentityError::Malformed,
        }
    }
}
