//! From a document of a hundred statements to a policy that can run.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keyward_document::compile::compile;
use keyward_document::model::{NoFragments, effective};
use keyward_document::read::{Options, read};
use keyward_engine::{Engine, EngineConfig};
use rustix::time::ClockId;

use crate::memory::Folder;
use crate::{cpu_time, median, program};

const ROUNDS: usize = 60;
const COLD: usize = 3;
const WARM: usize = 15;

pub(crate) fn measure() {
    let text = program::hundred_statements();
    let bindings = program::bindings();
    let mut samples: [Vec<f64>; 4] = Default::default();
    for round in 0..=ROUNDS {
        let mut at = [0.0; 5];
        let now = || cpu_time(ClockId::ThreadCPUTime).as_secs_f64() * 1e3;
        at[0] = now();
        let document = read("bench.xml", &text, &Options::default()).document;
        let document = document.unwrap();
        at[1] = now();
        let in_force = effective(&[&document], &NoFragments).unwrap();
        at[2] = now();
        let compiled = compile(&in_force, &bindings).unwrap();
        at[3] = now();
        black_box(compiled.program.encode().unwrap());
        at[4] = now();
        // The first round warms up.
        if round > 0 {
            for (samples, pair) in samples.iter_mut().zip(at.windows(2)) {
                samples.push(pair[1] - pair[0]);
            }
        }
    }
    let bytes = program::compiled(&text).program.encode().unwrap().len();
    println!(
        "A document of 100 statements and 50 expressions, {} bytes, in milliseconds of CPU; its \
         program has {bytes} bytes.\n",
        text.len(),
    );
    println!("| | median | fastest tenth |\n|---|---|---|");
    let names = [
        "read",
        "put scopes together",
        "compile",
        "encode the program",
    ];
    let mut whole = [0.0; 2];
    for (name, samples) in names.iter().zip(&mut samples) {
        let figures = [median(samples), samples[ROUNDS / 10]];
        println!("| {name} | {:.3} | {:.3} |", figures[0], figures[1]);
        for (whole, figure) in whole.iter_mut().zip(figures) {
            *whole += figure;
        }
    }
    println!("| in all | {:.3} | {:.3} |\n", whole[0], whole[1]);
    loading(&text);
}

/// What the engine takes to load it: with code to make, and with code that is kept.
fn loading(text: &str) {
    let directory = tempfile::tempdir().unwrap();
    let guest = program::component("document");
    let settings = program::settings(&program::compiled(text));
    let once = |code: &Path| {
        let vault = crate::vault(directory.path());
        let mut config = EngineConfig::default();
        config.cache = Some(Arc::new(Folder::of(code)));
        let engine = Engine::new(&config, vault).unwrap();
        // The first policy of an engine also makes its pool.
        program::load_plain(&engine, "bench-by-hand", None);
        let (cpu, wall) = (cpu_time(ClockId::ProcessCPUTime), Instant::now());
        black_box(program::load(&engine, &guest, &settings));
        let cpu = cpu_time(ClockId::ProcessCPUTime) - cpu;
        [cpu, wall.elapsed()].map(|time| time.as_secs_f64() * 1e3)
    };
    println!(
        "Loading it, milliseconds; the component has {} bytes.\n",
        guest.len()
    );
    println!("| | CPU | CPU, fastest | from begin to end |\n|---|---|---|---|");
    let folders: Vec<_> = (0..COLD).map(|_| tempfile::tempdir().unwrap()).collect();
    let cold: Vec<_> = folders.iter().map(|folder| once(folder.path())).collect();
    let warm: Vec<_> = (0..WARM).map(|_| once(folders[0].path())).collect();
    for (name, times) in [
        ("configure and make code", cold),
        ("code that is kept", warm),
    ] {
        let mut cpu: Vec<f64> = times.iter().map(|[cpu, _]| *cpu).collect();
        let mut wall: Vec<f64> = times.iter().map(|[_, wall]| *wall).collect();
        let middle = median(&mut cpu);
        println!(
            "| {name} | {middle:.1} | {:.1} | {:.1} |",
            cpu[0],
            median(&mut wall)
        );
    }
    println!();
}
