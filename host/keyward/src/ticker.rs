//! Two threads beside the engine, for as long as there is one: the clock of computing
//! time, which ticks every millisecond and does nothing that waits, and the keeper,
//! which has the vault tidy its memory each second.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use keyward_engine::Engine;

const TICK: Duration = Duration::from_millis(1);
/// How long lies between two tidyings of the vault's memory.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Starts the threads. They end by themselves after the engine is gone: the clock
/// within a tick, the keeper within a second.
///
/// Errors: the system gives no thread.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<()> {
    let ticked = Arc::downgrade(engine);
    thread("keyward-ticker", move || {
        while with(&ticked, Engine::tick) {
            std::thread::sleep(TICK);
        }
    })?;
    let kept = Arc::downgrade(engine);
    let revoking = Arc::new(AtomicBool::new(false));
    thread("keyward-keeper", move || {
        // It takes locks that requests hold, and wipes what may be large.
        while with(&kept, |engine| engine.vault().shield_idle()) {
            revoke_reflected(&kept, &revoking);
            std::thread::sleep(TIDY_EVERY);
        }
    })
}

/// Does something with the engine; `false` if it is gone.
fn with(engine: &Weak<Engine>, act: impl FnOnce(&Engine)) -> bool {
    let engine = engine.upgrade();
    engine.map(|engine| act(&engine)).is_some()
}

/// Revokes the grants whose values came back, on a thread that may wait for the
/// disk: one at a time. Where it fails, there is another a second later; the grants
/// are suspended.
fn revoke_reflected(engine: &Weak<Engine>, revoking: &Arc<AtomicBool>) {
    let Some(engine) = engine.upgrade() else {
        return;
    };
    if !engine.vault().has_reflected() || revoking.swap(true, Ordering::AcqRel) {
        return;
    }
    let running = Arc::clone(revoking);
    let started = thread("keyward-revoke", move || {
        engine.vault().revoke_reflected().ok();
        drop(engine);
        running.store(false, Ordering::Release);
    });
    if started.is_err() {
        revoking.store(false, Ordering::Release);
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(body).map(drop)
}
