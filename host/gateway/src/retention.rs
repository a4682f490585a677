//! Records of the audit trail go when they are older than `[audit] retention`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use keyward::vault::{Actor, PruneError, Vault};

use crate::control::Node;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Removes records that are older than `retention`, now and once in each `period`,
/// for ever.
pub(crate) async fn retain(
    node: Arc<dyn Node>,
    retention: Duration,
    period: Duration,
    now: impl Fn() -> Timestamp,
) {
    let mut days = tokio::time::interval(period);
    loop {
        days.tick().await;
        let (node, now) = (Arc::clone(&node), now());
        let work = tokio::task::spawn_blocking(move || prune(node.vault(), retention, now));
        if let Ok(Err(error)) = work.await {
            tracing::error!(%error, "old records of the audit trail can't be removed");
        }
    }
}

fn prune(vault: &Vault, retention: Duration, now: Timestamp) -> Result<(), PruneError> {
    let Ok(before) = now.checked_sub(retention) else {
        // Before the calendar begins there are no records.
        return Ok(());
    };
    let actor = Actor {
        name: "keyward".to_owned(),
        reason: Some("retention".to_owned()),
    };
    if let Some(pruned) = vault.audit().prune(before, &actor)? {
        tracing::info!(
            below = pruned.entries,
            "old records of the audit trail removed"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use keyward::vault::{Act, Administrative, Durability, VaultFiles, trail_extent};

    use crate::control::{GrantsReloaded, Status};

    use super::*;

    struct OnlyVault(Vault, PathBuf);

    impl Node for OnlyVault {
        fn vault(&self) -> &Vault {
            &self.0
        }

        fn trail(&self) -> &Path {
            &self.1
        }

        fn reload_grants(&self, _: &Actor) -> Result<GrantsReloaded, String> {
            Err("there are none".to_owned())
        }

        fn status(&self) -> Option<Status> {
            None
        }
    }

    #[tokio::test]
    async fn records_go_on_the_day_on_which_they_are_too_old() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let files = VaultFiles::in_directory(folder.path());
        Vault::create(&files).unwrap();
        let vault = Vault::open(&files, Durability::Buffered).unwrap();
        for _ in 0..300 {
            let act = Administrative::new(Act::Opened, "uid 0", None).vault(4, [0; 32]);
            vault.audit().append_administrative(act).unwrap();
        }
        let trail = files.audit.clone();
        let first = {
            let trail = trail.clone();
            move || trail_extent(&trail).unwrap().first
        };
        let node = Arc::new(OnlyVault(vault, trail));
        // A day passes with each round. The clock is asked when a round begins, so
        // what it finds is what the rounds before have left.
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let days = Mutex::new(0_i64);
        let now = move || {
            let mut days = days.lock().unwrap();
            let _ = tell.send(first());
            *days += 1;
            Timestamp::now() + jiff::SignedDuration::from_hours(24 * (*days - 1))
        };
        let work = tokio::spawn(retain(node, DAY + DAY / 2, Duration::from_millis(1), now));
        let mut left = Vec::new();
        for _ in 0..4 {
            left.push(told.recv().await.unwrap());
        }
        work.abort();
        assert_eq!(left, [0, 0, 0, 256]);
    }
}
