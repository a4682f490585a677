//! Why something is changed.

use clap::Args;

/// The reason for a change.
#[derive(Args)]
pub(crate) struct Reason {
    /// Why, for the audit trail: one line of at most 256 characters.
    #[arg(long = "reason", value_name = "TEXT")]
    text: Option<String>,
}

impl Reason {
    /// The reason, if one was given.
    pub(crate) fn get(&self) -> Option<&str> {
        self.text.as_deref()
    }
}
