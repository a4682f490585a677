//! Tests of policies: cases are data, and a case runs what production runs.
//!
//! A *suite* is a file `NAME.test.toml` beside a policy. It names components, grants,
//! secrets and the answers of backends, and holds *cases*: a request or several, and
//! what is expected. `FORMAT.md` describes it. Each case has a vault, an audit trail,
//! counters and connections of its own, all in memory; the components, the engine, the
//! grants, the permits and the egress are the real ones, TLS and HTTP included. There
//! are no sockets, and no files but those that a suite names. Time passes only where a
//! suite says so.
//!
//! In a test of cargo's:
//!
//! ```no_run
//! keyward_testkit::check("attach-api-key.test.toml");
//! ```
#![forbid(unsafe_code)]

mod backend;
mod expect;
pub mod hostile;
pub mod leak;
pub mod property;
pub mod record;
pub mod report;
pub mod run;
pub mod snapshot;
pub mod suite;
mod world;

pub use run::{Listener, Options, check, run};
pub use suite::{Suite, SuiteErrors};
