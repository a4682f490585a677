//! `keyward source check`: all that a fetch does, step by step.

use super::source::KeyVault;
use crate::error::{IdentityError, SourceError, Unreachable};
use crate::source::{CheckStep, Source as _};

const RESOLVES: &str = "the vault's name has an address";
const ALLOWED: &str = "its address is allowed";
const CONNECTS: &str = "it accepts a connection";
const TRUSTED: &str = "its certificate is trusted";
const CHALLENGE: &str = "its challenge is as pinned";
const ENDPOINT: &str = "the identity endpoint answers";
const TOKEN: &str = "it gives a token for the vault";
const READABLE: &str = "the secret can be read";

/// The steps of a connection, in their order.
const CONNECTION: [&str; 4] = [RESOLVES, ALLOWED, CONNECTS, TRUSTED];
const ALL: [&str; 8] = [
    RESOLVES, ALLOWED, CONNECTS, TRUSTED, CHALLENGE, ENDPOINT, TOKEN, READABLE,
];

/// What is known so far.
struct Walk(Vec<CheckStep>);

impl Walk {
    fn pass(&mut self, step: &'static str, detail: impl Into<String>) {
        self.0.push(CheckStep::passed(step, detail));
    }

    /// A step that failed: those before it went well, those after it are not tried.
    fn fail(mut self, step: &'static str, error: SourceError) -> Vec<CheckStep> {
        let at = ALL.iter().position(|known| *known == step).unwrap_or(0);
        for before in ALL.iter().take(at).skip(self.0.len()) {
            self.pass(before, "");
        }
        self.0.push(CheckStep::failed(step, error));
        self.finish()
    }

    fn finish(mut self) -> Vec<CheckStep> {
        for after in ALL.iter().skip(self.0.len()) {
            self.0.push(CheckStep::skipped(*after));
        }
        self.0
    }
}

impl KeyVault {
    pub(super) async fn walk(&self, key: Option<&str>) -> Vec<CheckStep> {
        let mut walk = Walk(Vec::new());
        if let Err(error) = self.bounded(self.pinned.judge_first()).await {
            let step = match &error {
                SourceError::Unreachable(Unreachable::Resolve) => RESOLVES,
                SourceError::Unreachable(Unreachable::Address) => ALLOWED,
                SourceError::Unreachable(Unreachable::Connect)
                | SourceError::TimedOut
                | SourceError::Protocol => CONNECTS,
                SourceError::Unreachable(_) => TRUSTED,
                _ => CHALLENGE,
            };
            return walk.fail(step, error);
        }
        for step in CONNECTION {
            let detail = match step {
                RESOLVES => self.place(),
                _ => "",
            };
            walk.pass(step, detail);
        }
        let pins = &self.pinned.pins;
        walk.pass(
            CHALLENGE,
            format!(
                "{}, tenant {}, {}",
                pins.authority, pins.tenant, pins.resource
            ),
        );

        let token = match self.pinned.identity() {
            Ok(identity) => identity.token(None).await.map(|token| (identity, token)),
            Err(error) => Err(error),
        };
        let (identity, token) = match token {
            Ok(both) => both,
            Err(error) => {
                let step = match error {
                    // Before anything is asked, or instead of an answer.
                    IdentityError::NoEndpoint
                    | IdentityError::CredentialFile
                    | IdentityError::TimedOut
                    | IdentityError::Environment { .. }
                    | IdentityError::Authority(_)
                    | IdentityError::Platform { .. } => ENDPOINT,
                    _ => TOKEN,
                };
                return walk.fail(step, SourceError::Identity(error));
            }
        };
        let platform = identity.platform();
        walk.pass(ENDPOINT, platform.as_str());
        let minutes = token.remaining().as_secs() / 60;
        walk.pass(TOKEN, format!("{}, for {minutes} min more", pins.resource));

        let Some(key) = key else {
            return walk.finish();
        };
        match self.fetch(key).await {
            Ok(fetched) if fetched.enabled => {
                walk.pass(READABLE, fetched.told());
                walk.finish()
            }
            Ok(_) => walk.fail(READABLE, SourceError::Disabled),
            Err(error) => walk.fail(READABLE, error),
        }
    }
}
