//! Withdraws grants whose values come back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use keyward_names::GrantId;

use super::watch::REMEMBERED_FOR;
use crate::error::VaultError;
use crate::grants::Grant;
use crate::identity::Actor;
use crate::vault::Vault;

/// So many finds within 24 hours withdraw a grant that says so.
const FINDS: usize = 3;

/// Counts the finds of those grants that are to be withdrawn for them.
#[derive(Default)]
pub(crate) struct Quarantine {
    /// Whether a grant is suspended: most often none is, and that is all to ask.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last finds of each grant.
    finds: HashMap<GrantId, Vec<Instant>>,
    /// What is no longer allowed, and not yet revoked in the vault file.
    suspended: Vec<GrantId>,
}

impl Quarantine {
    /// Counts a find. The third one suspends the grant at once.
    pub(super) fn count(&self, grant: &GrantId) {
        let now = Instant::now();
        let mut state = self.lock();
        let finds = state.finds.entry(grant.clone()).or_default();
        finds.retain(|find| now.duration_since(*find) < REMEMBERED_FOR);
        finds.push(now);
        if finds.len() >= FINDS {
            finds.clear();
            if !state.suspended.contains(grant) {
                state.suspended.push(grant.clone());
            }
            self.any.store(true, Ordering::Release);
        }
    }

    /// Whether a grant may not be used although it is not revoked yet.
    fn holds(&self, grant: &GrantId) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().suspended.contains(grant)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Whether a grant may not be used although it is not revoked yet.
    pub(crate) fn is_suspended(&self, grant: &Grant) -> bool {
        self.watches.quarantine().holds(&grant.id)
    }

    /// Whether there are grants to revoke because their values came back.
    pub fn has_reflected(&self) -> bool {
        self.watches.quarantine().any.load(Ordering::Acquire)
    }

    /// Revokes the grants that say `reflected = "revoke"` and whose values were found
    /// in answers three times within 24 hours. They are suspended since the third.
    /// The act's actor is `keyward`, its reason `reflected`.
    ///
    /// Blocks until it is on disk and in the audit trail. To be called soon after
    /// [`has_reflected`](Self::has_reflected) says so, on a thread that may wait;
    /// the crate `keyward` does so on its own. Errors: a file can't be written; the
    /// grants stay suspended for as long as the vault is open.
    pub fn revoke_reflected(&self) -> Result<(), VaultError> {
        let quarantine = self.watches.quarantine();
        let suspended = quarantine.lock().suspended.clone();
        let actor = Actor {
            name: "keyward".to_owned(),
            reason: Some("reflected".to_owned()),
        };
        for grant in &suspended {
            match self.revoke_grant(grant, &actor) {
                // Without such a grant there is nothing to revoke.
                Ok(()) | Err(VaultError::NoSuchGrant(_)) => {}
                Err(error) => return Err(error),
            }
            let mut state = quarantine.lock();
            state.suspended.retain(|other| other != grant);
            quarantine
                .any
                .store(!state.suspended.is_empty(), Ordering::Release);
        }
        Ok(())
    }
}
