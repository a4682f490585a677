//! What an evaluation may use.

use super::{Exception, Outcome};

/// Steps and memory that evaluations may still use. One budget may serve several
/// evaluations, as those of one phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    steps: u64,
    bytes: u64,
}

impl Budget {
    /// So many steps (nodes; long texts count more), and so many bytes of values,
    /// counted as they are made and never given back.
    pub fn new(steps: u64, bytes: u64) -> Self {
        Self { steps, bytes }
    }

    /// Steps that are left.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn step(&mut self) -> Outcome<()> {
        self.steps = self.steps.checked_sub(1).ok_or(Exception::Steps)?;
        Ok(())
    }

    /// Going through so many bytes.
    pub(crate) fn work(&mut self, bytes: usize) -> Outcome<()> {
        let steps = u64::try_from(bytes / 64).unwrap_or(u64::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(Exception::Steps)?;
        Ok(())
    }

    /// Making so many bytes.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Outcome<()> {
        self.work(bytes)?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Exception::Memory)?;
        Ok(())
    }
}

impl Default for Budget {
    /// 100,000 steps and 4 MiB.
    fn default() -> Self {
        Self::new(100_000, 4 << 20)
    }
}
