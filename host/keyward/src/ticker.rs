//! The clock of computing time: a thread that ticks the engine every millisecond
//! for as long as there is an engine.

use std::sync::{Arc, Weak};
use std::time::Duration;

use keyward_engine::Engine;

const TICK: Duration = Duration::from_millis(1);

/// Starts the thread. It ends by itself within a tick after the engine is gone.
///
/// Errors: the system gives no thread.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<()> {
    let engine: Weak<Engine> = Arc::downgrade(engine);
    std::thread::Builder::new()
        .name("keyward-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.tick();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
