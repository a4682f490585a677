//! A policy that does one thing, for measuring what that costs in a sandbox.

#![forbid(unsafe_code)]

use keyward_policy::{Decision, Exchange, Verdict, policy};
use serde::Deserialize;

/// What to do.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum Settings {
    /// Nothing.
    Nothing,
    /// Attach the secret `backend` to the exchange.
    Attach,
    /// The same, and add a header to the response.
    AttachAndMark,
    /// Make the code of a message of that many bytes with the secret `mac`.
    Mac {
        /// The message's length.
        bytes: usize,
    },
}

/// Does it.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn decide(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    match settings {
        Settings::Nothing => {}
        Settings::Attach | Settings::AttachAndMark => exchange.credential("backend")?.attach()?,
        Settings::Mac { bytes } => {
            let message = vec![b'm'; *bytes];
            exchange.mac_signer("mac")?.sign(&message)?;
        }
    }
    Ok(Verdict::Proceed)
}

/// Marks the response.
///
/// # Errors
/// [`keyward_policy::Failure`], as the host refused it.
pub fn mark(settings: &Settings, exchange: &Exchange<'_>) -> Decision {
    if matches!(settings, Settings::AttachAndMark) {
        exchange.response().append_header("x-policy-1", b"seen")?;
    }
    Ok(Verdict::Proceed)
}

policy! {
    settings: Settings,
    inbound: decide,
    outbound: mark,
}
