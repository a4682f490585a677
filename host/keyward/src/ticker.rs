//! The clock of computing time: a thread that ticks the engine every millisecond
//! for as long as there is an engine, and has the vault tidy its memory each second.

use std::sync::{Arc, Weak};
use std::time::Duration;

use keyward_engine::Engine;

const TICK: Duration = Duration::from_millis(1);
/// How many ticks lie between two tidyings of the vault's memory.
const TIDY_EVERY: u32 = 1000;

/// Revokes the grants whose values came back, on a thread that may wait for the
/// disk. If there is none now, there is one in a second; the grants are suspended.
fn revoke_reflected(engine: &Arc<Engine>) {
    let engine = Arc::clone(engine);
    std::thread::Builder::new()
        .name("keyward-revoke".to_owned())
        .spawn(move || engine.vault().revoke_reflected().ok())
        .ok();
}

/// Starts the thread. It ends by itself within a tick after the engine is gone.
///
/// Errors: the system gives no thread.
pub(crate) fn start(engine: &Arc<Engine>) -> std::io::Result<()> {
    let engine: Weak<Engine> = Arc::downgrade(engine);
    std::thread::Builder::new()
        .name("keyward-ticker".to_owned())
        .spawn(move || {
            let mut ticks = 0_u32;
            while let Some(engine) = engine.upgrade() {
                engine.tick();
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(TIDY_EVERY) {
                    engine.vault().shield_idle();
                    if engine.vault().has_reflected() {
                        revoke_reflected(&engine);
                    }
                }
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
    Ok(())
}
