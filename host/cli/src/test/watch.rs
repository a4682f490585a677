//! `keyward test --watch`: again whenever something changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use keyward_testkit::Suite;
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::select::Filter;
use super::{Test, find};
use crate::Common;
use crate::exit::{Failure, Outcome};
use crate::output::counted;

/// For so long nothing may change before anything is read: editors and compilers
/// write in several steps.
const QUIET: Duration = Duration::from_millis(150);
/// What changes all the time is run all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until the process is ended. Errors: nothing can be watched; a failure of one
/// run is shown, and the next change starts another.
pub(crate) fn run(test: &Test, filter: &Filter, common: &Common) -> Outcome {
    let output = common.output();
    let (tell, changes) = sync_channel(1);
    loop {
        let files = find::suites(&test.paths)?;
        let watched = Watched::of(&files, &test.paths);
        // Before the run: what changes meanwhile starts the next one.
        let watcher = watched.begin(tell.clone())?;
        let ended = super::build::components(&files, common)
            .and_then(|()| test.once(&files, filter, common));
        if let Err(failure) = ended {
            output.failure(&failure);
        }
        output.say(format!(
            "\nwatching {}; Ctrl-C to end",
            counted(watched.files.len(), "file")
        ));
        wait(&changes);
        drop(watcher);
        while changes.try_recv().is_ok() {}
    }
}

/// What a change of starts another run.
struct Watched {
    /// Suites and their components and documents.
    files: BTreeSet<PathBuf>,
    /// Folders in which a new suite may come up.
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn of(suites: &[PathBuf], paths: &[PathBuf]) -> Self {
        let mut files = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for file in suites {
            files.insert(absolute(file));
            let Ok(suite) = Suite::load(file) else {
                continue;
            };
            let components = suite.policies.iter().map(|policy| &policy.component.value);
            let fragments = suite.fragments.iter().map(|(_, file)| file);
            let documents = suite.documents.iter().chain(&suite.global_document);
            let documents = documents.chain(fragments);
            let named = components.chain(documents.map(|document| &document.value));
            files.extend(named.map(|file| absolute(file)));
        }
        let here = [PathBuf::from(".")];
        for path in if paths.is_empty() { &here[..] } else { paths } {
            if path.is_dir() {
                folders.insert(absolute(path));
            }
        }
        folders.extend(
            files
                .iter()
                .filter_map(|file| Some(file.parent()?.to_owned())),
        );
        Self { files, folders }
    }

    fn begin(&self, tell: SyncSender<()>) -> Result<RecommendedWatcher, Failure> {
        let cannot = |error: notify::Error| Failure::new(format!("can't watch: {error}"));
        let files = self.files.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let concerns = |path: &PathBuf| files.contains(path) || is_source(path);
            // An error means that something was missed: better to look.
            let look = event.is_err()
                || event
                    .is_ok_and(|event| !event.kind.is_access() && event.paths.iter().any(concerns));
            if look {
                // One that waits already speaks for this one.
                let _ = tell.try_send(());
            }
        })
        .map_err(cannot)?;
        for folder in &self.folders {
            let sources = folder.join("src");
            if sources.is_dir() {
                watcher
                    .watch(&sources, RecursiveMode::Recursive)
                    .map_err(cannot)?;
            }
            // A component that was never built has no folder yet.
            if folder.is_dir() {
                watcher
                    .watch(folder, RecursiveMode::NonRecursive)
                    .map_err(cannot)?;
            }
        }
        Ok(watcher)
    }
}

/// A suite, or what a policy is built from.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.toml") || name.ends_with(".rs") || name == "Cargo.toml"
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Waits for a change, and until nothing has changed for a moment.
fn wait(changes: &Receiver<()>) {
    if changes.recv().is_err() {
        return;
    }
    let at_last = Instant::now() + PATIENCE;
    while Instant::now() < at_last && changes.recv_timeout(QUIET).is_ok() {}
}
