//! P3, for everything that a gateway writes: its log at its most talkative, its
//! traces, its metrics, its audit trail, what it prints, and what a crash leaves.
//!
//! The gateway is the real one, in a process of its own, with every module at
//! TRACE. It attaches, signs and identifies; it is asked for what nobody granted,
//! by clients whose keys are nobody's; a backend sends the value back. Then all
//! that it wrote is searched. The control puts a canary where it may be seen, in
//! the path of a pipeline, and finds it in each sink.

mod crash;
mod gateway;

use keyward_gateway::observe::filter::capped;
use keyward_tests::{Canary, Log};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use gateway::{Gateway, Values};

/// What a gateway wrote, by where.
struct Sinks(Vec<(&'static str, Vec<u8>)>);

impl Sinks {
    /// In which sinks a canary is, and in which form.
    fn with(&self, canary: &Canary) -> Vec<(&'static str, &'static str)> {
        let sinks = self.0.iter();
        sinks
            .filter_map(|(name, bytes)| Some((*name, canary.find_in(bytes)?)))
            .collect()
    }
}

async fn story(seen: &Canary) -> (Values, Sinks) {
    let values = Values::new();
    let gateway = Gateway::start(&values, seen).await;
    gateway.be_used(&values).await;
    (values, gateway.stop().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_anything_that_a_gateway_writes() {
    let seen = Canary::new();
    let (values, sinks) = story(&seen).await;
    for (name, canary) in values.all() {
        assert_eq!(sinks.with(canary), [], "{name}");
    }
    // Control: what may be seen is found in each of them.
    let found = sinks.with(&seen);
    let found: Vec<_> = found.iter().map(|(sink, _)| *sink).collect();
    assert_eq!(found, ["log", "traces", "metrics", "configuration"]);
    let length = |name: &str| {
        let sink = sinks.0.iter().find(|(sink, _)| *sink == name).unwrap();
        sink.1.len()
    };
    for name in ["log", "traces", "metrics", "audit trail"] {
        assert!(length(name) > 2000, "{name}: {} bytes", length(name));
    }
}

/// What libraries write at TRACE, as some versions of them do.
fn written_by_a_library(canary: &Canary, cap: bool) -> Vec<u8> {
    let log = Log::default();
    let lines = tracing_subscriber::fmt::layer().with_writer({
        let log = log.clone();
        move || log.clone()
    });
    let all = || EnvFilter::new("trace");
    let lines = match cap {
        true => lines.with_filter(capped(all())).boxed(),
        false => lines.with_filter(all()).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::with_default(subscriber, || {
        let text = canary.text();
        tracing::trace!(target: "hyper::proto::h1::io", "flushed {text}");
        tracing::trace!(target: "h2::codec::framed_write", frame = text);
        tracing::debug!(target: "rustls::client::hs", "{text}");
        tracing::debug!(target: "tokio_rustls", text);
        tracing::trace!(target: "keyward_gateway::listen", "ours");
        tracing::info!(target: "hyper", "theirs");
    });
    log.bytes()
}

#[test]
fn libraries_write_nothing_of_what_goes_over_the_wire_whatever_is_asked_for() {
    let canary = Canary::new();
    let log = written_by_a_library(&canary, true);
    assert_eq!(canary.find_in(&log), None);
    let text = String::from_utf8(log).unwrap();
    assert!(text.contains("ours") && text.contains("theirs"), "{text}");
}

#[test]
fn control_a_library_that_is_not_kept_quiet_writes_it() {
    let canary = Canary::new();
    let log = written_by_a_library(&canary, false);
    assert_eq!(canary.find_in(&log), Some("raw"));
}
