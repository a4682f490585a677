//! The gateway beside its peers: what a proxied request costs each of them.
//!
//! Each proxy is alone on the first core; load and backend share the second. In each
//! round all take their turn, so that what slows the machine slows all. The figures
//! are the proxy's own CPU time for each request, requests per second, and latency
//! under that load; read them as ratios of one run.
//!
//! Before it is measured, each proxy shows that it does what its name says: with a
//! credential, the backend gets it; without, it does not.

mod chart;
mod load;
mod peers;
mod report;

use anyhow::{Context as _, Result, ensure};

use crate::servers::running::Running;
use crate::servers::{self, Server};
use crate::{steps, workspace};

use load::Sample;
use peers::{Peer, World};

/// One peer and what was measured of it, round by round.
pub(crate) struct Measured {
    pub(crate) peer: &'static Peer,
    pub(crate) samples: Vec<Sample>,
}

/// Builds, installs, measures, and writes `target/bench/gateway.json` and `.svg`.
///
/// Errors: a build fails; a peer can't be had, does not come up, or does not do what
/// it should.
pub(crate) fn run(rounds: u32, seconds: u32) -> Result<()> {
    servers::ensure(servers::MEASURED)?;
    ensure!(
        std::thread::available_parallelism()?.get() >= 2,
        "this takes two cores: one for the proxy, one for load and backend"
    );
    let world = World::build()?;
    let backend = world.backend()?;
    let mut running: Vec<(Running, Measured)> = Vec::new();
    for peer in peers::ALL {
        let proxy = world
            .start(peer, backend.address)
            .with_context(|| format!("{} can't be started", peer.name))?;
        world
            .check(peer, proxy.address)
            .with_context(|| format!("{} does not do what it should", peer.name))?;
        // Code and connections get warm.
        load::run(&proxy, 1)?;
        let samples = Vec::new();
        running.push((proxy, Measured { peer, samples }));
    }
    for round in 1..=rounds {
        steps::note(format_args!("round {round} of {rounds}"));
        for (proxy, measured) in &mut running {
            proxy.check()?;
            let sample = load::run(proxy, seconds)
                .with_context(|| format!("{} fails under load", measured.peer.name))?;
            measured.samples.push(sample);
        }
    }
    let measured: Vec<Measured> = running.into_iter().map(|(_, measured)| measured).collect();
    let report = report::Report::new(&measured, &versions()?, seconds);
    let folder = workspace::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("gateway.json"), report.json()?)?;
    std::fs::write(folder.join("gateway.svg"), chart::svg(&report))?;
    println!("{}", report.table());
    steps::done(format_args!("{}/gateway.json and .svg", folder.display()));
    Ok(())
}

fn versions() -> Result<String> {
    let mut versions = Vec::new();
    for (name, server) in [
        ("nginx", Server::Nginx),
        ("HAProxy", Server::Haproxy),
        ("Envoy", Server::Envoy),
    ] {
        versions.push(format!("{name} {}", server.version()?));
    }
    Ok(versions.join(", "))
}
