//! What may be logged at all, whatever level was asked for.
//!
//! Libraries below us write what goes over the wire at their most talkative:
//! bytes of requests with what was attached to them. So the modules of others
//! tell of what matters and no more, and no command line or variable changes
//! that. Azure's tell nothing: of each request that fails they repeat URL and error,
//! and the source that made it says so itself, with what to do.

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// The most talkative level of modules that are not Keyward's.
const OTHERS: Level = Level::INFO;

/// Whether a line or a span may be written: those of Keyward's own modules at any
/// level, those of others from INFO up, those of Azure's crates not at all.
pub fn may_log(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    is_ours(target) || (*metadata.level() <= OTHERS && !is_azures(target))
}

fn is_azures(target: &str) -> bool {
    target.starts_with("azure_") || target.starts_with("typespec")
}

fn is_ours(target: &str) -> bool {
    // `keyward`, `keyward::policy`, `keyward_gateway::listen`; not `keywardx`.
    let rest = target.strip_prefix("keyward");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
}

/// What was asked for, as far as it may be logged.
pub fn capped<S>(asked: EnvFilter) -> impl Filter<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    asked.and(filter_fn(may_log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_of_keyward_are_ours_and_no_others() {
        for target in ["keyward", "keyward::policy", "keyward_gateway::listen"] {
            assert!(is_ours(target), "{target}");
        }
        for target in ["hyper::proto::h1", "h2", "keywardx", "rustls", ""] {
            assert!(!is_ours(target), "{target}");
        }
        assert!(is_azures("typespec_client_core::http::policies::logging"));
        assert!(is_azures("azure_core::http") && !is_azures("hyper::azure_core"));
    }
}
