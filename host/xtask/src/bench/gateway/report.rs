//! What was measured, as a table and as JSON, and whether the aims are met.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::Measured;
use super::load::{CONNECTIONS, Sample};

/// The whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Processor, kernel, compiler's target.
    pub(crate) machine: String,
    pub(crate) versions: String,
    pub(crate) seconds: u32,
    pub(crate) rounds: usize,
    pub(crate) connections: u32,
    pub(crate) rows: Vec<Row>,
    pub(crate) aims: Vec<Aim>,
}

/// One proxy: medians over the rounds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) cpu_us: Spread,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) resident_mib: f64,
}

/// CPU per request, in microseconds, which is milliseconds for 1,000.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// One proxy's CPU against another's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Aim {
    pub(crate) what: &'static str,
    pub(crate) against: &'static str,
    pub(crate) at_most: f64,
    pub(crate) is: f64,
    pub(crate) met: bool,
}

const AIMS: &[(&str, &str, f64)] = &[
    ("Keyward, no policy", "plain hyper proxy", 1.15),
    ("Keyward, 1 policy", "Envoy, credential injector", 0.6),
    ("Keyward, 3 policies", "Envoy", 0.9),
];

impl Report {
    pub(crate) fn new(measured: &[Measured], versions: &str, seconds: u32) -> Self {
        let rows: Vec<Row> = measured.iter().map(Row::new).collect();
        let cpu = |name: &str| {
            rows.iter()
                .find(|row| row.name == name)
                .map_or(f64::NAN, |row| row.cpu_us.median)
        };
        let aims = AIMS
            .iter()
            .map(|(what, against, at_most)| {
                let is = cpu(what) / cpu(against);
                Aim {
                    what,
                    against,
                    at_most: *at_most,
                    is,
                    met: is <= *at_most,
                }
            })
            .collect();
        Report {
            machine: machine(),
            versions: versions.to_owned(),
            seconds,
            rounds: measured.first().map_or(0, |first| first.samples.len()),
            connections: CONNECTIONS,
            rows,
            aims,
        }
    }

    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let plain = self.rows.first().map_or(f64::NAN, |row| row.cpu_us.median);
        let mut text = format!(
            "{}; {}.\nMedians of {} rounds of {} s each, {} connections, proxy alone on one core.\n\n\
             | proxy | CPU µs per request (least–most) | : plain hyper | requests/s | p50 ms | p99 ms | p99.9 ms | MiB |\n\
             |---|---|---|---|---|---|---|---|\n",
            self.machine, self.versions, self.rounds, self.seconds, self.connections
        );
        for row in &self.rows {
            let Row {
                name,
                cpu_us:
                    Spread {
                        median,
                        least,
                        most,
                    },
                ..
            } = row;
            let _ = writeln!(
                text,
                "| {name} | {median:.1} ({least:.1}–{most:.1}) | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.0} |",
                median / plain,
                row.requests_per_second,
                row.p50_us / 1e3,
                row.p99_us / 1e3,
                row.p999_us / 1e3,
                row.resident_mib
            );
        }
        text.push('\n');
        for aim in &self.aims {
            let _ = writeln!(
                text,
                "{}: {} : {} is {:.2}, aim {:.2}",
                if aim.met { "met" } else { "NOT met" },
                aim.what,
                aim.against,
                aim.is,
                aim.at_most
            );
        }
        text
    }
}

impl Row {
    fn new(measured: &Measured) -> Self {
        let of = |value: fn(&Sample) -> f64| {
            let mut values: Vec<f64> = measured.samples.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            Spread {
                median: values.get(values.len() / 2).copied().unwrap_or(f64::NAN),
                least: values.first().copied().unwrap_or(f64::NAN),
                most: values.last().copied().unwrap_or(f64::NAN),
            }
        };
        Row {
            name: measured.peer.name,
            cpu_us: of(|sample| sample.cpu),
            requests_per_second: of(|sample| sample.rate).median,
            p50_us: of(|sample| sample.p50).median,
            p99_us: of(|sample| sample.p99).median,
            p999_us: of(|sample| sample.p999).median,
            #[expect(clippy::cast_precision_loss, reason = "a size in mebibytes")]
            resident_mib: of(|sample| sample.resident as f64).median / f64::from(1 << 20),
        }
    }
}

/// Processor and kernel, as the system names them.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let kernel = read("/proc/sys/kernel/osrelease");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::gateway::peers;

    fn sample(cpu: f64) -> Sample {
        Sample {
            cpu,
            rate: 1e6 / cpu,
            p50: 1000.0,
            p99: 2000.0,
            p999: 3000.0,
            resident: 64 << 20,
        }
    }

    fn report() -> Report {
        let measured: Vec<Measured> = peers::ALL
            .iter()
            .zip([10.0, 12.0, 30.0, 20.0, 50.0, 9.0, 9.0, 40.0, 45.0, 50.0])
            .map(|(peer, cpu)| Measured {
                peer,
                samples: vec![sample(cpu * 2.0), sample(cpu), sample(cpu / 2.0)],
            })
            .collect();
        Report::new(&measured, "nginx 1, HAProxy 2, Envoy 3", 5)
    }

    #[test]
    fn every_aim_names_two_peers_and_is_judged_by_medians() {
        let report = report();
        let judged: Vec<(f64, bool)> = report.aims.iter().map(|aim| (aim.is, aim.met)).collect();
        assert_eq!(judged, [(1.2, false), (0.4, true), (1.25, false)]);
        let table = report.table();
        assert!(
            table.contains("NOT met: Keyward, no policy : plain hyper proxy is 1.20, aim 1.15")
        );
        assert!(
            table.contains("| Envoy | 40.0 (20.0–80.0) | 4.00 | 25000 |"),
            "{table}"
        );
    }

    #[test]
    fn the_chart_shows_every_peer() {
        let report = report();
        let chart = crate::bench::gateway::chart::svg(&report);
        for peer in peers::ALL {
            assert!(chart.contains(peer.name), "{}", peer.name);
        }
    }
}
