//! Logging in, and keeping the token: one request for it at a time, whoever waits.
//!
//! A token is renewed when it is asked for after two thirds of its lease. Where that
//! fails because the server is not well it goes on being used until it ends; where
//! the server refuses, another one is had.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::api::{Answer, Api};
use super::messages::{self, Envelope, Grant, SecretId, TokenInfo, Wrapping};
use super::settings::OpenBaoAuth;
use crate::error::{IdentityError, SourceError};

/// The longest credential that is read from a file, in bytes.
const MAX_CREDENTIAL: u64 = 64 << 10;
/// How long to wait before a renewal that failed is tried again.
const RENEW_AGAIN: Duration = Duration::from_secs(10);
/// A token that can't be asked about and was had so lately is not had again because
/// it was refused: then it is the permission that is missing.
const NEW: Duration = Duration::from_secs(5);

/// The way to a token.
pub(super) struct Login {
    api: Arc<Api>,
    auth: OpenBaoAuth,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    /// The secret id that came out of a wrapping token, and of which file.
    unwrapped: Option<(Stamp, Zeroizing<String>)>,
}

struct Token {
    header: HeaderValue,
    since: Instant,
    /// Whether the server tells it about itself, so that a token that is gone can be
    /// told from a permission that is missing.
    is_told: bool,
    /// None if it doesn't end.
    lease: Option<Lease>,
    /// Of the file that it is from.
    stamp: Option<Stamp>,
}

struct Lease {
    /// When the token was new.
    length: Duration,
    renew: Instant,
    end: Instant,
    renewable: bool,
}

/// What changes when somebody writes a file or puts another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    inode: u64,
    length: u64,
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct JwtLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct WrappedToken<'a> {
    token: &'a str,
}

/// Nothing that matters.
#[derive(Deserialize)]
struct Ignored {}

impl Login {
    pub(super) fn new(api: Arc<Api>, auth: OpenBaoAuth) -> Self {
        Self {
            api,
            auth,
            held: Mutex::default(),
        }
    }

    /// Whether another token can be had by asking for it.
    pub(super) fn can_log_in(&self) -> bool {
        !matches!(self.auth, OpenBaoAuth::TokenFile { .. })
    }

    /// A token that is good as far as is known.
    ///
    /// Cancel safety: dropped, it gives up; the next call starts anew.
    pub(super) async fn token(&self) -> Result<HeaderValue, SourceError> {
        let mut held = self.held.lock().await;
        if let OpenBaoAuth::TokenFile { file } = &self.auth {
            let stamp = stamp(file).await?;
            if held
                .token
                .as_ref()
                .is_some_and(|token| token.stamp != Some(stamp))
            {
                held.token = None;
            }
        }
        let now = Instant::now();
        let Some(token) = &mut held.token else {
            return self.replace(&mut held).await;
        };
        let header = token.header.clone();
        let Some(lease) = &mut token.lease else {
            return Ok(header);
        };
        if now < lease.renew {
            return Ok(header);
        }
        if now >= lease.end {
            return self.replace(&mut held).await;
        }
        let renewed = match lease.renewable {
            true => self.renew(&header, lease).await,
            false => Renewed::Refused,
        };
        match renewed {
            Renewed::Done => Ok(header),
            Renewed::Later => {
                lease.renew = now + RENEW_AGAIN;
                Ok(header)
            }
            Renewed::Refused => match self.replace(&mut held).await {
                Ok(header) => Ok(header),
                // The old one is good for a while.
                Err(_) => {
                    if let Some(lease) = held.token.as_mut().and_then(|it| it.lease.as_mut()) {
                        lease.renew = now + RENEW_AGAIN;
                    }
                    Ok(header)
                }
            },
        }
    }

    /// What to do after the server refused a token: another one, or `None` if the
    /// token is good and something else is missing.
    pub(super) async fn after_denial(
        &self,
        refused: &HeaderValue,
    ) -> Result<Option<HeaderValue>, SourceError> {
        let mut held = self.held.lock().await;
        match &held.token {
            // Somebody else has had another one meanwhile.
            Some(token) if token.header != *refused => return Ok(Some(token.header.clone())),
            _ => {}
        }
        if self.info(refused).await?.is_some() {
            return Ok(None);
        }
        let is_new = |token: &Token| !token.is_told && token.since.elapsed() < NEW;
        if self.can_log_in() && held.token.as_ref().is_some_and(is_new) {
            return Ok(None);
        }
        held.token = None;
        let token = self.replace(&mut held).await?;
        if token == *refused {
            held.token = None;
            return Err(SourceError::Unauthenticated);
        }
        Ok(Some(token))
    }

    /// Has another token, and keeps it.
    async fn replace(&self, held: &mut Held) -> Result<HeaderValue, SourceError> {
        let token = match &self.auth {
            OpenBaoAuth::TokenFile { file } => self.read_token(file).await?,
            OpenBaoAuth::AppRole {
                mount,
                role_id,
                secret_id_file,
                wrapped,
            } => {
                let secret_id = match wrapped {
                    true => self.unwrap(held, mount, secret_id_file).await?,
                    false => read(secret_id_file).await?.1,
                };
                let message = AppRoleLogin {
                    role_id,
                    secret_id: &secret_id,
                };
                let body = messages::write(&message)?;
                self.log_in(&format!("auth/{mount}/login"), body).await?
            }
            OpenBaoAuth::Kubernetes {
                mount,
                role,
                token_file,
            }
            | OpenBaoAuth::Jwt {
                mount,
                role,
                token_file,
            } => {
                let (_, jwt) = read(token_file).await?;
                let body = messages::write(&JwtLogin { role, jwt: &jwt })?;
                self.log_in(&format!("auth/{mount}/login"), body).await?
            }
        };
        let header = token.header.clone();
        held.token = Some(token);
        Ok(header)
    }

    async fn log_in(&self, path: &str, body: Zeroizing<Vec<u8>>) -> Result<Token, SourceError> {
        let asked = Instant::now();
        let answer = self.api.send(Method::POST, path, None, body).await?;
        let answer: Envelope<Ignored> = login_accepted(answer)?.read()?;
        let malformed = SourceError::Identity(IdentityError::Malformed);
        let grant = answer.auth.ok_or(malformed)?;
        let header = header(&grant.client_token.0)?;
        Ok(Token {
            is_told: self.info(&header).await?.is_some(),
            header,
            since: asked,
            lease: lease(&grant, asked),
            stamp: None,
        })
    }

    async fn read_token(&self, file: &Path) -> Result<Token, SourceError> {
        let (stamp, text) = read(file).await?;
        let header = header(&text)?;
        let asked = Instant::now();
        // One that may not ask about itself is used as it is.
        let info = self.info(&header).await?;
        let is_told = info.is_some();
        let lease = info.filter(|info| info.ttl > 0).map(|info| {
            let length = Duration::from_secs(info.ttl);
            Lease::new(length, length, info.renewable, asked)
        });
        Ok(Token {
            header,
            since: asked,
            is_told,
            lease,
            stamp: Some(stamp),
        })
    }

    /// What the server says of a token; `None` if it doesn't take it.
    async fn info(&self, token: &HeaderValue) -> Result<Option<TokenInfo>, SourceError> {
        let path = "auth/token/lookup-self";
        let answer = self
            .api
            .send(Method::GET, path, Some(token), Zeroizing::default())
            .await?;
        if answer.is_denied() {
            return Ok(None);
        }
        let answer: Envelope<TokenInfo> = answer.accepted()?.read()?;
        let info = answer.data.ok_or(SourceError::Malformed { what: "data" })?;
        Ok(Some(info))
    }

    async fn renew(&self, token: &HeaderValue, lease: &mut Lease) -> Renewed {
        let asked = Instant::now();
        let sent = self.api.send(
            Method::POST,
            "auth/token/renew-self",
            Some(token),
            Zeroizing::new(b"{}".to_vec()),
        );
        let renewed = match sent.await.and_then(Answer::accepted) {
            Ok(answer) => answer.read::<Envelope<Ignored>>(),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(Envelope {
                auth: Some(grant), ..
            }) => {
                let left = Duration::from_secs(grant.lease_duration);
                // It is near the longest that it may live.
                if self.can_log_in() && left < lease.length / 2 {
                    return Renewed::Refused;
                }
                *lease = Lease::new(lease.length, left, grant.renewable, asked);
                Renewed::Done
            }
            Err(error) if error.is_transient() => Renewed::Later,
            _ => Renewed::Refused,
        }
    }

    /// The secret id in a wrapping token, which can be taken out once. That it was
    /// made by the role's own endpoint is seen to first: another wrapped thing in
    /// its place would be somebody's attempt.
    async fn unwrap(
        &self,
        held: &mut Held,
        mount: &str,
        file: &Path,
    ) -> Result<Zeroizing<String>, SourceError> {
        let current = stamp(file).await;
        if let Some((stamp, secret_id)) = &held.unwrapped
            && current.as_ref().map_or(true, |current| current == stamp)
        {
            return Ok(secret_id.clone());
        }
        let (stamp, token) = read(file).await?;
        let refused = || SourceError::Identity(IdentityError::LoginRefused);
        let body = messages::write(&WrappedToken { token: &token })?;
        let path = "sys/wrapping/lookup";
        let answer = self.api.send(Method::POST, path, None, body).await?;
        let answer: Envelope<Wrapping> = login_accepted(answer)?.read()?;
        let made_by = answer.data.ok_or_else(refused)?.creation_path;
        let of_role = made_by
            .strip_prefix("auth/")
            .and_then(|rest| rest.strip_prefix(mount))
            .and_then(|rest| rest.strip_prefix("/role/"))
            .and_then(|rest| rest.strip_suffix("/secret-id"));
        if of_role.is_none_or(|role| role.is_empty() || role.contains('/')) {
            return Err(SourceError::Identity(IdentityError::WrongToken));
        }
        let header = header(&token)?;
        let path = "sys/wrapping/unwrap";
        let nothing = Zeroizing::default();
        let answer = self
            .api
            .send(Method::POST, path, Some(&header), nothing)
            .await?;
        let answer: Envelope<SecretId> = login_accepted(answer)?.read()?;
        let secret_id = answer.data.ok_or_else(refused)?.secret_id.0;
        held.unwrapped = Some((stamp, secret_id.clone()));
        Ok(secret_id)
    }
}

enum Renewed {
    Done,
    /// The server is not well.
    Later,
    Refused,
}

impl Lease {
    fn new(length: Duration, left: Duration, renewable: bool, asked: Instant) -> Self {
        Self {
            length,
            renew: asked + left * 2 / 3,
            end: asked + left,
            renewable,
        }
    }
}

fn lease(grant: &Grant, asked: Instant) -> Option<Lease> {
    let length = Duration::from_secs(grant.lease_duration);
    (!length.is_zero()).then(|| Lease::new(length, length, grant.renewable, asked))
}

/// An answer to a login. Whatever is refused there, it is the credential.
fn login_accepted(answer: Answer) -> Result<Answer, SourceError> {
    match answer.failure() {
        None => Ok(answer),
        Some(SourceError::Throttled { .. }) => Err(SourceError::Identity(IdentityError::Throttled)),
        Some(
            SourceError::Malformed { .. } | SourceError::Denied { .. } | SourceError::NotFound,
        ) => Err(SourceError::Identity(IdentityError::LoginRefused)),
        Some(error) => Err(error),
    }
}

/// A token as a header, in a buffer that is wiped after its last use.
fn header(token: &str) -> Result<HeaderValue, SourceError> {
    let bytes = Bytes::from_owner(Zeroizing::new(token.as_bytes().to_vec()));
    let mut header = HeaderValue::from_maybe_shared(bytes)
        .map_err(|_| SourceError::Identity(IdentityError::Malformed))?;
    header.set_sensitive(true);
    Ok(header)
}

fn unreadable() -> SourceError {
    SourceError::Identity(IdentityError::CredentialFile)
}

async fn stamp(file: &Path) -> Result<Stamp, SourceError> {
    let found = tokio::fs::metadata(file).await.map_err(|_| unreadable())?;
    Ok(Stamp {
        modified: found.modified().ok(),
        inode: found.ino(),
        length: found.len(),
    })
}

/// A credential: the visible ASCII text of a file that nobody but its owner writes,
/// without a line's end.
async fn read(file: &Path) -> Result<(Stamp, Zeroizing<String>), SourceError> {
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || read_now(&file)).await;
    read.ok().flatten().ok_or_else(unreadable)
}

fn read_now(file: &Path) -> Option<(Stamp, Zeroizing<String>)> {
    let file = File::open(file).ok()?;
    let found = file.metadata().ok()?;
    let safe = found.is_file() && found.mode() & 0o022 == 0;
    if !safe || found.len() > MAX_CREDENTIAL {
        return None;
    }
    let stamp = Stamp {
        modified: found.modified().ok(),
        inode: found.ino(),
        length: found.len(),
    };
    let capacity = usize::try_from(MAX_CREDENTIAL).ok()?;
    let mut text = Zeroizing::new(String::with_capacity(capacity + 1));
    file.take(MAX_CREDENTIAL + 1)
        .read_to_string(&mut text)
        .ok()?;
    let credential = text.trim_end_matches(['\r', '\n']);
    let is_one = !credential.is_empty() && credential.bytes().all(|byte| byte.is_ascii_graphic());
    is_one.then(|| (stamp, Zeroizing::new(credential.to_owned())))
}
