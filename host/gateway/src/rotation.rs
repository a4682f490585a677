//! New values of secrets are made when their schedules say so.

use std::sync::Arc;
use std::time::Duration;

use keyward::vault::Actor;

use crate::control::Node;

/// How often the schedules are looked at. The wall clock decides, so that a machine
/// that slept, or whose clock was set, is noticed as soon as this.
pub const PERIOD: Duration = Duration::from_secs(10);

/// Makes a new value for each secret whose time has come, now and once in each
/// `period`, for ever. What was missed while no gateway ran is made up for once.
///
/// What can't be done is logged and tried again in the next period. Cancel safety:
/// dropped, a change under way is made to its end.
pub async fn rotate(node: Arc<dyn Node>, period: Duration) {
    let mut periods = tokio::time::interval(period);
    periods.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        periods.tick().await;
        // Most nodes have no schedules, and need no thread to find that out.
        if node.vault().next_rotation().is_none() {
            continue;
        }
        let node = Arc::clone(&node);
        let work = tokio::task::spawn_blocking(move || {
            let actor = Actor {
                name: "schedule".to_owned(),
                reason: None,
            };
            node.vault().rotate_due(&actor)
        });
        for (secret, rotated) in work.await.unwrap_or_default() {
            match rotated {
                Ok(info) => {
                    tracing::info!(%secret, version = info.version, "a secret was rotated on schedule");
                }
                Err(error) => {
                    tracing::error!(%secret, %error, "a secret can't be rotated on schedule");
                }
            }
        }
    }
}
