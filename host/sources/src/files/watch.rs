//! Telling when something in a folder changes.
//!
//! The folder is watched, not its files: programs replace files, and Kubernetes swaps
//! a link beside them. What can't be watched is still read on schedule.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::source::{Announcer, Changes};

pub(super) struct Watch {
    directory: PathBuf,
    shared: Arc<Shared>,
    watcher: Mutex<Option<RecommendedWatcher>>,
}

struct Shared {
    announcer: Announcer,
    /// The folder itself went: what watches it sees nothing any more.
    gone: std::sync::atomic::AtomicBool,
}

impl Watch {
    pub(super) fn new(directory: PathBuf) -> Self {
        let shared = Shared {
            announcer: Announcer::new(),
            gone: false.into(),
        };
        Self {
            directory,
            shared: Arc::new(shared),
            watcher: Mutex::new(None),
        }
    }

    pub(super) fn listen(&self) -> Changes {
        self.shared.announcer.listen()
    }

    /// Watches the folder, unless that is done or can't be now.
    pub(super) fn ensure(&self) {
        use std::sync::atomic::Ordering::Relaxed;
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_some() && !self.shared.gone.swap(false, Relaxed) {
            return;
        }
        let (shared, directory) = (Arc::clone(&self.shared), self.directory.clone());
        let tell = move |event: notify::Result<Event>| {
            let Ok(event) = event else {
                shared.announcer.announce();
                return;
            };
            if matches!(event.kind, EventKind::Remove(_)) && event.paths.contains(&directory) {
                shared.gone.store(true, Relaxed);
            }
            if changes_files(event.kind) {
                shared.announcer.announce();
            }
        };
        let made = notify::recommended_watcher(tell).and_then(|mut made| {
            made.watch(&self.directory, RecursiveMode::Recursive)?;
            Ok(made)
        });
        if let Err(error) = &made {
            tracing::debug!(folder = %self.directory.display(), %error, "the folder can't be watched");
        }
        *watcher = made.ok();
    }
}

/// Not those that reading makes.
fn changes_files(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
