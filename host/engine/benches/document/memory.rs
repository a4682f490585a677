//! What loaded documents hold: as many different ones as can be made in a while, and a
//! thousand from code that is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_engine::{CodeCache, CodeKey, Engine, EngineConfig, Policy};

use crate::program::{self, DOCUMENT};
use crate::{in_a_process, vault};

const DOCUMENTS: usize = 1000;
/// How long code is made for.
const COLD: Duration = Duration::from_secs(90);
/// KiB at which loading ends, so that other things on the machine have room.
const MOST: u64 = 6 << 20;

/// Code that is kept in a folder.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn of(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl CodeCache for Folder {
    fn get(&self, key: &CodeKey) -> Option<Vec<u8>> {
        std::fs::read(self.0.join(key.to_string())).ok()
    }

    fn put(&self, key: &CodeKey, entry: &[u8]) {
        std::fs::write(self.0.join(key.to_string()), entry).unwrap();
    }
}

pub(crate) fn measure() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    println!("Loaded documents of 20 statements, each with a program of its own.\n");
    println!("| | documents | s | ms each | MiB in all | KiB each |\n|---|---|---|---|---|---|");
    // One process makes the code; another holds it, as a gateway does whose compiler is
    // a process of its own.
    print!("{}", in_a_process(&["--cold", path]));
    print!("{}", in_a_process(&["--warm", path]));
    println!();
}

/// A document like no other.
fn settings(number: usize) -> serde_json::Value {
    let text = DOCUMENT.replace("x-caller", &format!("x-caller-{number}"));
    program::settings(&program::compiled(&text))
}

fn engine(directory: &Path) -> Engine {
    let mut config = EngineConfig::default();
    config.cache = Some(Arc::new(Folder::of(directory)));
    Engine::new(&config, vault(directory)).unwrap()
}

pub(crate) fn cold(directory: &Path) {
    let (engine, guest) = (engine(directory), program::component("document"));
    program::load_plain(&engine, "bench-by-hand", None);
    let (before, begun) = (resident(), Instant::now());
    let mut policies: Vec<Policy> = Vec::new();
    while policies.len() < DOCUMENTS && begun.elapsed() < COLD && resident() < MOST {
        let settings = settings(policies.len());
        policies.push(program::load(&engine, &guest, &settings));
    }
    std::fs::write(directory.join("made"), policies.len().to_string()).unwrap();
    row("code made in this process", &policies, before, begun);
}

pub(crate) fn warm(directory: &Path) {
    let made = std::fs::read_to_string(directory.join("made")).unwrap();
    let made: usize = made.parse().unwrap();
    // Where less than a thousand were made, some are loaded more than once: nothing is
    // shared between two policies, whatever their code.
    let settings: Vec<_> = (0..made).map(settings).collect();
    let (engine, guest) = (engine(directory), program::component("document"));
    program::load_plain(&engine, "bench-by-hand", None);
    let (before, begun) = (resident(), Instant::now());
    let mut policies: Vec<Policy> = Vec::new();
    while policies.len() < DOCUMENTS && resident() < MOST {
        let settings = &settings[policies.len() % made];
        policies.push(program::load(&engine, &guest, settings));
    }
    row("code that is kept", &policies, before, begun);
}

fn row(name: &str, policies: &[Policy], before: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    let held = resident().saturating_sub(before) as f64;
    let number = policies.len() as f64;
    println!(
        "| {name} | {number} | {seconds:.1} | {:.1} | {:.0} | {:.0} |",
        seconds * 1e3 / number,
        held / 1024.0,
        held / number,
    );
}

/// KiB of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().trim_end_matches("kB").trim();
    number.parse().unwrap()
}
