//! `cargo xtask oracle`: what .NET makes of the expressions of policy documents.
//!
//! `host/document/oracle/cases.txt` lists expressions. A C# program evaluates each
//! under Mono, with Newtonsoft.Json; what it prints stands in `expected.txt`, which
//! the tests hold Keyward's own evaluator to. Mono is the machine's, or else the
//! system's packages, downloaded and unpacked into `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::setup::apt;
use crate::{steps, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write what .NET says now, instead of comparing it
    #[arg(long)]
    update: bool,
}

const PACKAGES: &[&str] = &["mono-mcs", "mono-runtime", "libnewtonsoft-json5.0-cil"];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mono = Mono::ensure()?;
    let folder = workspace::root().join("host/document/oracle");
    let cases = fs::read_to_string(folder.join("cases.txt"))?;
    let cases: Vec<&str> = cases
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let work = tempfile::tempdir()?;
    let source = work.path().join("Cases.cs");
    fs::write(&source, program(&cases))?;
    let oracle = work.path().join("oracle.exe");
    steps::doing(format_args!(
        "asking .NET about {} expressions",
        cases.len()
    ));
    steps::capture(
        mono.run(&mono.library("mono/4.5/mcs.exe"))
            .args(["-nologo", "-warn:0", "-langversion:7"])
            .arg(format!("-lib:{}", mono.library("mono/4.5").display()))
            .arg(format!("-r:{}", mono.newtonsoft().display()))
            .arg(format!("-out:{}", oracle.display()))
            .arg(folder.join("Oracle.cs"))
            .arg(&source),
    )?;
    let printed = steps::capture(mono.run(&oracle).arg(folder.join("world.json")))?;
    let results: Vec<&str> = printed.lines().collect();
    if results.len() != cases.len() {
        bail!("{} expressions, but {} results", cases.len(), results.len());
    }
    let mut found = String::from("# Written by: cargo xtask oracle --update\n");
    for (case, result) in cases.iter().zip(&results) {
        found.push_str(&format!("{result}\t{case}\n"));
    }
    let file = folder.join("expected.txt");
    if options.update {
        fs::write(&file, found)?;
        steps::done(format_args!("{} is written", file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if expected == found {
        steps::done("as expected");
        return Ok(ExitCode::SUCCESS);
    }
    let known: Vec<&str> = expected.lines().collect();
    for line in found.lines().filter(|line| !known.contains(line)) {
        steps::note(line);
    }
    bail!(".NET says otherwise, or the cases are new; cargo xtask oracle --update writes it down")
}

/// A function for each expression.
fn program(cases: &[&str]) -> String {
    let mut text = String::from(
        "using System;\nusing System.Linq;\nusing System.Net;\nusing System.Text;\n\
         using Newtonsoft.Json;\nusing Newtonsoft.Json.Linq;\n\
         public static partial class Oracle {\n",
    );
    let mut table = String::from("static readonly Func<Context, object>[] All = {\n");
    for (number, case) in cases.iter().enumerate() {
        let body = if case.starts_with('{') {
            (*case).to_owned()
        } else {
            format!("{{ return (object)({case}); }}")
        };
        text.push_str(&format!(
            "static object C{number}(Context context) {body}\n"
        ));
        table.push_str(&format!("C{number},\n"));
    }
    text + &table + "};\n}\n"
}

/// Where Mono is: `/usr`, or where its packages are unpacked.
struct Mono(PathBuf);

impl Mono {
    fn ensure() -> Result<Self> {
        let unpacked = workspace::tools().join("mono");
        for place in [Path::new("/usr"), &unpacked.join("usr")] {
            let mono = Self(place.to_path_buf());
            if mono.library("mono/4.5/mcs.exe").exists() && mono.newtonsoft().exists() {
                return Ok(mono);
            }
        }
        steps::doing("fetching Mono");
        let work = apt::folder()?;
        fs::create_dir_all(&unpacked)?;
        apt::unpack(work.path(), PACKAGES, &unpacked)
            .with_context(|| format!("Mono can't be had; install {}", PACKAGES.join(", ")))?;
        Ok(Self(unpacked.join("usr")))
    }

    fn library(&self, path: &str) -> PathBuf {
        self.0.join("lib").join(path)
    }

    fn newtonsoft(&self) -> PathBuf {
        self.library("cli/Newtonsoft.Json-5.0/Newtonsoft.Json.dll")
    }

    /// A program of .NET's, wherever Mono is.
    fn run(&self, program: &Path) -> Command {
        let mut command = Command::new(self.0.join("bin/mono-sgen"));
        let libraries = [
            self.library("mono/4.5"),
            self.library("cli/Newtonsoft.Json-5.0"),
        ];
        let paths: Vec<String> = libraries
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        command
            .env("MONO_PATH", paths.join(":"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        if self.0 != Path::new("/usr") {
            let root = self.0.parent().unwrap_or(&self.0);
            command
                .env("MONO_CFG_DIR", root.join("etc"))
                .env("LD_LIBRARY_PATH", self.0.join("lib"));
        }
        command.arg(program);
        command
    }
}
