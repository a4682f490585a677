//! Reloading when a file of the configuration changes.
//!
//! What is watched are the folders of the files: editors replace files, and
//! Kubernetes swaps a link beside them. Several changes at once make one reload,
//! and a change that leaves every file as it was makes none.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keyward::vault::Actor;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::reload::digest;
use crate::serve::Gateway;

/// For so long nothing may change before the files are read.
const QUIET: Duration = Duration::from_millis(200);
/// Files that change all the time are read all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// The link that Kubernetes swaps in a volume of a configuration or a secret.
const SWAPPED: &str = "..data";

/// Reloads whenever a file changes, if the gateway was started with
/// `[gateway] watch`.
pub(crate) async fn reload_on_change(gateway: Arc<Gateway>) {
    if !gateway.opened.gateway.watch {
        return;
    }
    let mut files = watched(&gateway);
    loop {
        let (tell, mut changes) = mpsc::channel(1);
        let watching = match watch(&files, tell) {
            Ok(watching) => watching,
            Err(error) => {
                tracing::error!("the configuration's files can't be watched: {error}");
                return;
            }
        };
        // What changed before the watch began is seen now.
        let mut again = gateway.snapshot().digest != digest_now(&gateway).await;
        loop {
            if !again {
                if changes.recv().await.is_none() {
                    return;
                }
                settle(&mut changes).await;
                again = gateway.snapshot().digest != digest_now(&gateway).await;
            }
            if std::mem::take(&mut again) {
                reload(&gateway, "a file changed").await;
            }
            let now = watched(&gateway);
            if now != files {
                files = now;
                break;
            }
        }
        drop(watching);
    }
}

/// Reloads on behalf of the gateway itself. What comes of it is in the log.
pub(crate) async fn reload(gateway: &Arc<Gateway>, reason: &str) {
    let actor = Actor {
        name: "keyward".to_owned(),
        reason: Some(reason.to_owned()),
    };
    let gateway = Arc::clone(gateway);
    let work = tokio::task::spawn_blocking(move || gateway.reload(&actor).is_ok());
    if work.await.is_err() {
        tracing::error!("a mistake in Keyward kept the configuration from being reloaded");
    }
}

async fn digest_now(gateway: &Arc<Gateway>) -> [u8; 32] {
    let snapshot = gateway.snapshot();
    let read = tokio::task::spawn_blocking(move || digest(&snapshot.config));
    read.await.unwrap_or_default()
}

fn watched(gateway: &Gateway) -> BTreeSet<PathBuf> {
    gateway.snapshot().config.files().into_iter().collect()
}

/// Waits until nothing has changed for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let at_last = Instant::now() + PATIENCE;
    loop {
        let quiet = (Instant::now() + QUIET).min(at_last);
        match tokio::time::timeout_at(quiet, changes.recv()).await {
            Ok(Some(())) if Instant::now() < at_last => {}
            _ => return,
        }
    }
}

fn watch(files: &BTreeSet<PathBuf>, tell: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let files: BTreeSet<PathBuf> = files.iter().map(|file| absolute(file)).collect();
    let folders: BTreeSet<PathBuf> = files
        .iter()
        .filter_map(|file| file.parent().map(Path::to_owned))
        .chain(files.iter().filter(|file| file.is_dir()).cloned())
        .collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let concerns = |path: &PathBuf| {
            files.contains(path)
                // A file that is new in a folder of fragments.
                || path.parent().is_some_and(|folder| files.contains(folder))
                || path.file_name() == Some(OsStr::new(SWAPPED))
        };
        // An error means that something was missed: better to look.
        let look = event.is_err()
            || event.is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(concerns));
        if look {
            // One that waits already speaks for this one.
            let _ = tell.try_send(());
        }
    })?;
    for folder in &folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}
