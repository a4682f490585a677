//! Everything that the tests' gateways write, kept in a folder for a search at the
//! end: with `KEYWARD_SINKS` set to the folder, as `cargo xtask test` does.
//!
//! Each test process writes there: its log, every module at TRACE, as far as a
//! gateway may log at all; what its gateways export as traces; their metrics and
//! files when they end; and a list of the canaries that it has planted. Controls
//! plant theirs where they are seen, so theirs are not listed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use keyward_gateway::config::{LogSection, TelemetrySection};
use keyward_gateway::observe::filter::may_log;
use keyward_gateway::observe::{Metrics, Observer};
use tokio::runtime::{Handle, Runtime};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::Backend;

/// This process's part of the folder.
struct Sinks {
    folder: PathBuf,
    /// Where traces are collected and exported: it outlives each test.
    runtime: Handle,
    collector: String,
}

static SINKS: OnceLock<Option<Sinks>> = OnceLock::new();

fn sinks() -> Option<&'static Sinks> {
    SINKS.get_or_init(Sinks::begin).as_ref()
}

impl Sinks {
    fn begin() -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("KEYWARD_SINKS")?);
        std::fs::create_dir_all(&folder).unwrap();
        let log = open(&folder, "log");
        let lines = tracing_subscriber::fmt::layer().with_writer(move || log.try_clone().unwrap());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter_fn(may_log)));
        // A test process has one of its own at most for single tests.
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let kept = open(&folder, "traces");
        std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            let collector = runtime.block_on(Backend::answering(move |received| {
                (&kept).write_all(&received.everything()).unwrap();
                http::Response::default()
            }));
            tell.send((runtime.handle().clone(), collector.url()))
                .unwrap();
            runtime.block_on(std::future::pending::<()>());
        });
        let (runtime, collector) = told.recv().unwrap();
        Some(Self {
            folder,
            runtime,
            collector,
        })
    }
}

/// A file of this process's own, which grows.
fn open(folder: &std::path::Path, what: &str) -> File {
    let name = folder.join(format!("{what}-{}", std::process::id()));
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(name)
        .unwrap()
}

/// Keeps what was written somewhere.
pub fn keep(what: &str, bytes: &[u8]) {
    if let Some(sinks) = sinks() {
        open(&sinks.folder, what).write_all(bytes).unwrap();
    }
}

/// A value is planted, which nothing may write. Tests' threads have the tests'
/// names.
pub(crate) fn planted(text: &str) {
    let Some(sinks) = sinks() else { return };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let may_be_seen =
        test.contains("control_") || MAY_BE_SEEN.iter().any(|name| test.ends_with(name));
    if !may_be_seen {
        let line = format!("{text} {test}\n");
        let mut canaries = open(&sinks.folder, "canaries");
        canaries.write_all(line.as_bytes()).unwrap();
    }
}

/// Tests that plant where it may be seen what is no secret there: text that a
/// policy is given, and is heard to say.
const MAY_BE_SEEN: &[&str] = &[];

/// Who is told of a test gateway's exchanges.
pub(crate) fn observer() -> Arc<Observer> {
    let Some(sinks) = sinks() else {
        return Arc::default();
    };
    let telemetry = TelemetrySection {
        otlp: Some(sinks.collector.parse().unwrap()),
        ..TelemetrySection::default()
    };
    let observer = Observer::new(Arc::new(Metrics::new()), &LogSection::default(), &telemetry);
    let _runtime = sinks.runtime.enter();
    observer.export(None);
    Arc::new(observer)
}

/// Waits until its traces are exported.
pub(crate) fn flush(observer: &Arc<Observer>) {
    if let Some(sinks) = sinks() {
        let (runtime, observer) = (sinks.runtime.clone(), Arc::clone(observer));
        let flushed = std::thread::spawn(move || runtime.block_on(observer.flush()));
        flushed.join().unwrap();
    }
}

/// Whether anything is kept.
pub(crate) fn are_kept() -> bool {
    sinks().is_some()
}
