//! What is logged, at its most talkative, for searching.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sinks;

/// Catches what is logged on one thread.
#[derive(Clone, Default)]
pub struct Log {
    caught: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    /// Catches everything that this thread logs, at level TRACE, until the guard is
    /// dropped. Use it in a test with a single thread.
    pub fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// What has been caught so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.caught
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a text has been caught.
    pub fn contains(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.bytes()).contains(text)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
        caught.extend_from_slice(bytes);
        // It is in the place of the log that is kept.
        sinks::keep("log", bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
