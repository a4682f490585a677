//! How fast `keyward test` is: a thousand cases of one policy on one core, from the
//! command's start to its end.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::servers::running::on_core;
use crate::{steps, workspace};

/// Cases in a run.
const CASES: u32 = 1000;
/// Runs, of which the middle one counts.
const RUNS: usize = 5;
/// What the thousand cases should take at most.
const AIM: Duration = Duration::from_secs(5);
/// The core.
const CORE: usize = 0;

/// The policy attaches a canary to each request; the answer says which case it was.
const SUITE: &str = r#"
[secrets.stripe]
kind = "api-key"

[routes.billing]
url = "https://billing.example"

[[grant]]
id = "attach-stripe"
policy = "attach-api-key"
secret = "stripe"
alias = "backend"
use = "attach"
header = "authorization"
template = "Bearer {secret}"
to = [{ route = "billing", methods = ["GET"], paths = ["/v1/charges/{id}"] }]

[[backend]]
route = "billing"
respond = { status = 200, body = "a charge" }

[[case]]
name = "the key is attached to charge {id}"
request = { method = "GET", path = "/v1/charges/{id}" }
expect = { status = 200, body = "a charge", calls = [{ route = "billing", path = "/v1/charges/{id}", attached = ["stripe"] }] }
table = [
"#;

/// Builds the command for release and measures.
///
/// Errors: it can't be built; a case does not hold.
pub(super) fn run() -> Result<()> {
    steps::doing(format_args!("benchmark testkit"));
    steps::run(workspace::cargo().args(["build", "--release", "--package", "keyward-cli"]))?;
    let folder = tempfile::tempdir().context("can't make a temporary folder")?;
    let file = folder.path().join("attach-api-key.test.toml");
    let component = workspace::policies().join("attach-api-key.wasm");
    std::fs::write(&file, suite(&component)?)?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(once(&file)?);
    }
    times.sort_unstable();
    let middle = times[RUNS / 2];
    steps::note(format_args!(
        "{CASES} cases on one core, start-up included: {:.2} s ({:.2} to {:.2}), {:.0} a second; the aim is {} s",
        middle.as_secs_f64(),
        times[0].as_secs_f64(),
        times[RUNS - 1].as_secs_f64(),
        f64::from(CASES) / middle.as_secs_f64(),
        AIM.as_secs(),
    ));
    ensure!(middle <= AIM, "that is slower than the aim");
    Ok(())
}

fn suite(component: &Path) -> Result<String> {
    let component = component.to_str().context("a path that is text")?;
    let mut text = format!("policy = {}\n{SUITE}", serde_json::Value::from(component));
    for number in 0..CASES {
        let _ = writeln!(text, "    {{ id = \"{number}\" }},");
    }
    text.push_str("]\n");
    Ok(text)
}

fn once(file: &Path) -> Result<Duration> {
    let program = workspace::target().join("release/keyward");
    let mut command = std::process::Command::new(program);
    command.args(["test", "--jobs", "1"]).arg(file);
    let began = Instant::now();
    let said = on_core(CORE, || steps::capture(&mut command))??;
    let took = began.elapsed();
    ensure!(said.contains(&format!("{CASES} passed")), "{said}");
    Ok(took)
}
