//! `cargo xtask`: set-up, guests and tests, for people who work on Keyward.
//!
//! Each step says what it does, is skipped where it has been done, and fails
//! with the command that mends it. Of the host's crates, it depends on the
//! smallest alone, so that it is built in seconds on a fresh clone.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "a command line: what it prints is what it is for"
)]

mod bench;
mod check;
mod corpus;
mod coverage;
mod demo;
mod docs;
mod fuzz;
mod guests;
mod left_out;
mod oracle;
mod servers;
mod setup;
mod soak;
mod steps;
mod timing;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up, guests and tests, for people who work on Keyward.
///
/// On a fresh clone: `cargo xtask test`. It sets up what is missing, builds the
/// policies and proves the promises.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what build and tests need: the WebAssembly target, cargo-deny, Python
    /// packages, and nginx and Envoy.
    ///
    /// The target `wasm32-unknown-unknown` comes from rustup. Where rustup can't
    /// fetch it and the system is Debian-like, the standard library's source is
    /// taken from the distribution's package `rust-src` of the same version and
    /// built here. Nothing is installed system-wide. cargo-deny, the packages with
    /// which a second implementation reads vaults, and the servers with which the
    /// gateway is compared go into `target/tools`.
    ///
    /// Doing it again does only what is missing.
    Setup(setup::Options),
    /// Build the policies into `target/policies/<policy>.wasm`.
    ///
    /// Each crate under `guest-policies/` and `tests/hostile/guests/` with a
    /// `[package.metadata.keyward]` becomes one component, named for its folder,
    /// with its manifest in the custom section `keyward:manifest`. A component
    /// that imports anything outside `keyward:policy` is refused.
    Guests(guests::Options),
    /// Check everything: format, lints, tests, documentation, dependencies.
    ///
    /// Sets up and builds the policies first. The last line counts the tests:
    /// `N passed, N failed`. The exit status is 0 only if all is well.
    Test(check::Options),
    /// Watch it work: real requests through a gateway, seven steps, each checked.
    ///
    /// Sets up and builds first. Starts a gateway, a backend and an attacker's host
    /// on loopback, and ends by itself. The exit status is 0 only if all held.
    Demo(demo::Options),
    /// Write the reference of the contract: a page for each interface of `wit/`.
    Docs(docs::Options),
    /// Measure what things cost, as ratios in one run. Builds for release first.
    Bench(bench::Options),
    /// Show how much of each policy's code its native tests reach.
    ///
    /// Fails below what `guest-policies/coverage.toml` demands. The numbers leave the
    /// tests' own code out.
    Coverage(coverage::Options),
    /// Read policy documents that others published, and hold what comes of each against
    /// what is expected of it.
    ///
    /// The last lines count: read, refused on purpose, not supported, wrong. The exit
    /// status is 0 only if none is wrong.
    Corpus(corpus::Options),
    /// Fuzz what parses others' bytes, with libFuzzer, on the stable compiler.
    Fuzz(fuzz::Options),
    /// Reload a gateway under load, and crash the vault's storage over and over.
    ///
    /// For a minute, a gateway under full load gets another configuration every 100 ms
    /// and a new version of a secret every second: no request may fail or meet two
    /// configurations. Then losses of power, and real kills.
    ///
    /// Random changes, uses, rotations and rekeys; after each crash everything that
    /// was reported done has to be there, and nothing may look tampered with.
    ///
    /// The kills take most of the time, on a busy machine with two cores a third of a
    /// second each: there the default takes about an hour, `--rounds 600` three
    /// minutes. It says every ten seconds or so how far it is.
    Soak(soak::Options),
    /// Measure whether answers take a time that says something about a secret.
    ///
    /// A million samples of each of two classes of inputs, under Welch's t-test: wrong
    /// codes, unknown client keys, names that are not granted. A comparison that ends at
    /// the first difference is measured the same way, and must be found. Let nothing else
    /// run meanwhile.
    Timing(timing::Options),
    /// Ask .NET what the expressions of `host/document/oracle/cases.txt` give.
    ///
    /// Compares it with what is written down, which the tests hold Keyward to.
    /// Fetches Mono if it is not there.
    Oracle(oracle::Options),
    /// The demo's backend, in its own process.
    #[command(hide = true)]
    DemoBackend(demo::BackendOptions),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Setup(options) => setup::run(&options),
        Command::Guests(options) => guests::run(&options),
        Command::Test(options) => check::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Docs(options) => docs::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Coverage(options) => coverage::run(&options),
        Command::Corpus(options) => corpus::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Timing(options) => timing::run(&options),
        Command::Oracle(options) => oracle::run(&options),
        Command::DemoBackend(options) => demo::run_backend(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
