//! A backend refuses a value that a source keeps: the source is asked for another one.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward::egress::Refresh;
use keyward::names::SecretName;
use keyward::sources::refresh::{Refresher, Selection};
use tokio::time::Instant;

/// How often a source is asked for one secret for this reason, at most: any client can
/// have a backend answer 401.
const AT_MOST_EACH: Duration = Duration::from_secs(5);

/// When a source was last asked, or is being asked now.
type Asked = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// Fetches secrets for egress, when a backend has answered 401.
pub(crate) struct Refused {
    refresher: Refresher,
    /// At most one for each secret that comes from a source.
    asked: Mutex<HashMap<SecretName, Asked>>,
}

impl Refused {
    pub(crate) fn new(refresher: Refresher) -> Self {
        Self {
            refresher,
            asked: Mutex::default(),
        }
    }

    fn asked(&self, secret: &SecretName) -> Asked {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asked.entry(secret.clone()).or_default())
    }
}

impl Refresh for Refused {
    fn refresh<'a>(
        &'a self,
        secret: &'a SecretName,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if self.refresher.secret(secret).is_none() {
                return;
            }
            // Who comes while it is asked waits here for the same answer.
            let asked = self.asked(secret);
            let mut asked = asked.lock().await;
            if asked.is_some_and(|at| at.elapsed() < AT_MOST_EACH) {
                return;
            }
            *asked = Some(Instant::now());
            let selection = Selection::Secrets(vec![secret.clone()]);
            self.refresher.refresh(&selection).await;
        })
    }
}
