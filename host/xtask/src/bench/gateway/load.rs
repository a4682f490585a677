//! Load: wrk, on the second core, over connections that stay open.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::peers::PATH;
use crate::servers::Server;
use crate::servers::running::{Running, on_core};
use crate::steps;

/// How many connections are open at one time.
pub(crate) const CONNECTIONS: u32 = 64;
/// The core of load and backend.
pub(crate) const CORE: usize = 1;

/// What a client of some API sends, 330 bytes or so.
const FIELDS: &[&str] = &[
    "accept: application/json",
    "accept-language: en-GB,en;q=0.8",
    "accept-encoding: identity",
    "user-agent: some-client/3.14 (linux; x86_64)",
    "x-request-id: 0123456789abcdef0123456789abcdef",
    "x-tenant: a-tenant-of-ours",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
];

/// Prints what wrk alone does not: the far end of the distribution.
const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d}\n',
    summary.requests, summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"#;

/// One turn of one proxy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// The proxy's CPU time for each request, in microseconds.
    pub(crate) cpu: f64,
    /// Requests in a second.
    pub(crate) rate: f64,
    /// Latencies in microseconds, under that load.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// Resident memory afterwards, in bytes.
    pub(crate) resident: u64,
}

#[derive(Deserialize)]
struct Summary {
    requests: u32,
    microseconds: u32,
    errors: u32,
    p50: u32,
    p99: u32,
    p999: u32,
}

/// Loads a proxy for some seconds.
///
/// Errors: a request failed, or wrk did.
pub(crate) fn run(proxy: &Running, seconds: u32) -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("done.lua");
    std::fs::write(&script, SCRIPT)?;
    let mut wrk = Command::new(Server::Wrk.program());
    wrk.args(["--threads", "1", "--timeout", "10s"])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .arg("--script")
        .arg(&script);
    for field in FIELDS {
        wrk.args(["--header", field]);
    }
    wrk.arg(format!("http://{}{PATH}", proxy.address))
        .stdin(Stdio::null());
    let before = proxy.cpu()?;
    let said = on_core(CORE, || steps::capture(&mut wrk))??;
    let spent = proxy.cpu()?.saturating_sub(before);
    let line = said
        .lines()
        .find(|line| line.starts_with('{'))
        .context("wrk said nothing")?;
    let summary: Summary = serde_json::from_str(line)?;
    ensure!(
        summary.errors == 0 && summary.requests > 0,
        "{} of {} requests failed",
        summary.errors,
        summary.requests
    );
    let requests = f64::from(summary.requests);
    Ok(Sample {
        cpu: micros(spent) / requests,
        rate: requests * 1e6 / f64::from(summary.microseconds),
        p50: summary.p50.into(),
        p99: summary.p99.into(),
        p999: summary.p999.into(),
        resident: proxy.resident()?,
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
