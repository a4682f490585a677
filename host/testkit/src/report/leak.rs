//! A canary where it must not be.

use serde::Serialize;

/// A canary where it must not be: which one, in which form, where, and what put it
/// there. The canary itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Leak {
    /// The secret, as the suite names it; with a field where it has several.
    pub secret: String,
    /// How it was written: `raw`, `base64`, `hex`, …
    pub form: String,
    /// What held it: `guest memory`, `response`, `log`, `variable`, `call`, …
    pub sink: String,
    /// Where in it: a header's name, an offset, a policy and phase.
    pub place: String,
    /// What put it there: the last host call before it was seen, or the call that
    /// carried it.
    pub operation: String,
    /// Which request of the case, from 1.
    pub step: usize,
    /// The hostile backend that was in place of the suite's, if one was.
    pub echo: Option<String>,
}
